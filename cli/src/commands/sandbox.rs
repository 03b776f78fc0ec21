//! `aegis sandbox`: the embedded Kubernetes cluster as a process of its own, for kubectl, helm and runs to
//! share. Runs need none of this: each takes part in the cluster by itself.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_sandbox::{Options, Sandbox as Cluster};
use clap::{Args, Subcommand};

use crate::context::{Context, Global, told};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::say;
use crate::view::table;

#[derive(Debug, Args)]
pub(crate) struct Sandbox {
    #[command(subcommand)]
    verb: Verb,
    /// The sandbox target.
    #[arg(long, short = 't', global = true, value_name = "NAME", default_value = "sandbox")]
    target: String,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start it in the background.
    Up(Start),
    /// End the one in the background; the cluster stays as it is on disk.
    Down,
    /// Tell whether it answers, and where.
    Status,
    /// Forget everything in it.
    Reset,
    /// Print a kubeconfig for it.
    Kubeconfig,
    /// Serve it in the foreground until interrupted.
    Serve(Start),
}

/// How it is started; what is not given is as the configuration says.
#[derive(Debug, Args)]
struct Start {
    /// Let pods that ask for it run their commands as processes of this machine, as you.
    #[arg(long)]
    allow_processes: bool,
    /// How fast its time runs; 1 is real time.
    #[arg(long, value_name = "FACTOR", value_parser = faster)]
    time_scale: Option<f64>,
}

impl Start {
    fn options(&self, context: &Context) -> Options {
        let configured = context.sandbox_options();
        Options {
            allow_processes: self.allow_processes || configured.allow_processes,
            time_scale: self.time_scale.unwrap_or(configured.time_scale),
            ..configured
        }
    }

    /// The same as words of a command line.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.allow_processes {
            words.push("--allow-processes".to_owned());
        }
        if let Some(factor) = self.time_scale {
            words.extend(["--time-scale".to_owned(), factor.to_string()]);
        }
        words
    }
}

/// A speed: more than nothing, and no more than a day in a second.
fn faster(text: &str) -> Result<f64, String> {
    let factor: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    match factor.is_finite() && factor > 0.0 && factor <= 86_400.0 {
        true => Ok(factor),
        false => Err("it is above 0 and at most 86400".to_owned()),
    }
}

/// How long a start may take.
const START: Duration = Duration::from_secs(30);
/// How often a start and the stop file are looked at.
const LOOK: Duration = Duration::from_millis(50);

impl Sandbox {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Context::new(global, None)?;
        let folder = context.sandbox_folder(&self.target);
        match self.verb {
            Verb::Up(start) => up(&context, &folder, &self.target, &start),
            Verb::Down => down(&context, &folder),
            Verb::Status => Ok(status(&context, &folder)),
            Verb::Reset => reset(&folder),
            Verb::Kubeconfig => kubeconfig(&context, &folder),
            Verb::Serve(start) => serve(&context, &folder, start.options(&context)),
        }
    }
}

/// Where the API listens, if something answers there.
fn answering(folder: &Path) -> Option<String> {
    let endpoint = std::fs::read_to_string(folder.join("endpoint")).ok()?.trim().to_owned();
    let address: SocketAddr = endpoint.rsplit("//").next()?.parse().ok()?;
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok().map(|_| endpoint)
}

fn up(context: &Context, folder: &Path, target: &str, start: &Start) -> Result<Exit, Failure> {
    if answering(folder).is_none() {
        let mut child = spawn(context, folder, target, start)?;
        context.runtime.block_on(started(folder, &mut child))?;
    }
    Ok(status(context, folder))
}

/// `aegis sandbox serve` in a process group of its own, so that closing the terminal or Ctrl-C leaves it.
fn spawn(context: &Context, folder: &Path, target: &str, start: &Start) -> Result<Child, Failure> {
    let failed = |error: std::io::Error| {
        Failure::from(CallError::new(codes::SANDBOX, "the sandbox cannot be started").because(error))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let log = std::fs::File::create(log(folder)).map_err(failed)?;
    let mut command = std::process::Command::new(std::env::current_exe().map_err(failed)?);
    command.arg("--state-dir").arg(&context.state).arg("--project").arg(&context.project);
    command.args(["sandbox", "serve", "--target", target]).args(start.words());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
    command.spawn().map_err(failed)
}

fn log(folder: &Path) -> PathBuf {
    folder.join("serve.log")
}

async fn started(folder: &Path, child: &mut Child) -> Result<(), Failure> {
    let ready = async {
        loop {
            if answering(folder).is_some() {
                return Ok(());
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(CallError::new(codes::SANDBOX, format!("the sandbox ended at once: {status}"))
                    .hint(format!("see `{}`", log(folder).display())));
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let late = |_| CallError::new(codes::SANDBOX, "the sandbox does not answer");
    Ok(tokio::time::timeout(START, ready).await.map_err(late)??)
}

fn down(context: &Context, folder: &Path) -> Result<Exit, Failure> {
    if answering(folder).is_none() {
        return Ok(status(context, folder));
    }
    std::fs::write(stop_file(folder), "").map_err(|error| {
        CallError::new(codes::SANDBOX, "the sandbox cannot be told to end").because(error)
    })?;
    let ended = async {
        while answering(folder).is_some() {
            tokio::time::sleep(LOOK).await;
        }
    };
    let ended = context.runtime.block_on(async { tokio::time::timeout(START, ended).await });
    ended.map_err(|_| {
        CallError::new(codes::SANDBOX, "the sandbox still answers")
            .hint("a run may be serving it; it ends with the run")
    })?;
    Ok(status(context, folder))
}

fn stop_file(folder: &Path) -> PathBuf {
    folder.join("stop")
}

fn status(context: &Context, folder: &Path) -> Exit {
    let endpoint = answering(folder);
    if context.global.json() {
        table::json(
            &serde_json::json!({ "running": endpoint.is_some(), "endpoint": endpoint, "folder": folder }),
        );
    } else if let Some(endpoint) = endpoint {
        table::text(&format!("running at {endpoint}"));
        say("  next: aegis sandbox kubeconfig > kubeconfig.yaml");
    } else {
        table::text("not running");
    }
    Exit::Ok
}

fn reset(folder: &Path) -> Result<Exit, Failure> {
    Cluster::reset(folder).map_err(|error| broken(&error))?;
    say("the sandbox is empty");
    Ok(Exit::Ok)
}

fn kubeconfig(context: &Context, folder: &Path) -> Result<Exit, Failure> {
    let running = answering(folder).is_some();
    let cluster = Cluster::join(folder, context.sandbox_options()).map_err(|error| broken(&error))?;
    table::text(&cluster.kubeconfig());
    if !running {
        say("the sandbox is not running\n  next: aegis sandbox up");
    }
    Ok(Exit::Ok)
}

fn serve(context: &Context, folder: &Path, options: Options) -> Result<Exit, Failure> {
    let _ = std::fs::remove_file(stop_file(folder));
    let cluster = Cluster::join(folder, options).map_err(|error| broken(&error))?;
    context.runtime.block_on(cluster.ready()).map_err(|error| broken(&error))?;
    say(&format!("serving at {}", cluster.endpoint()));
    context.runtime.block_on(async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = told_to_stop(folder) => {}
        }
    });
    drop(cluster);
    let _ = std::fs::remove_file(stop_file(folder));
    Ok(Exit::Ok)
}

async fn told_to_stop(folder: &Path) {
    while !stop_file(folder).exists() {
        tokio::time::sleep(LOOK).await;
    }
}

fn broken(error: &aegis_sandbox::serve::Error) -> Failure {
    CallError::new(codes::SANDBOX, told(error)).into()
}
