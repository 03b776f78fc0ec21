//! `up`, `down`, `serve`, `reset`, `kubeconfig`: the cluster as a process of its own.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::journal::StoreError;
use aegis_sandbox::serve::Error;
use aegis_sandbox::{Options, Sandbox as Cluster};
use aegis_stdlib::yaml;

use super::start::Start;
use crate::context::{Context, told};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::{say, table};

/// How long a start may take.
const START: Duration = Duration::from_secs(30);
/// How often a start and the stop file are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Where the API listens, if something answers there.
pub(super) fn answering(folder: &Path) -> Option<String> {
    let endpoint = std::fs::read_to_string(folder.join("endpoint")).ok()?.trim().to_owned();
    let address: SocketAddr = endpoint.rsplit("//").next()?.parse().ok()?;
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok().map(|_| endpoint)
}

pub(super) fn up(context: &Context, folder: &Path, target: &str, start: &Start) -> Result<Exit, Failure> {
    // What is wrong with the flags is said here, not in a log.
    start.options(context, target)?;
    if answering(folder).is_none() {
        let mut child = spawn(context, folder, target, start)?;
        context.runtime.block_on(started(folder, &mut child))?;
    }
    Ok(running(context, folder))
}

/// `aegis sandbox serve` in a process group of its own, so that closing the terminal or Ctrl-C leaves it.
fn spawn(context: &Context, folder: &Path, target: &str, start: &Start) -> Result<Child, Failure> {
    let failed = |error: std::io::Error| {
        Failure::from(CallError::new(codes::SANDBOX, "the sandbox cannot be started").because(error))
    };
    let unusable = |error: std::io::Error| StoreError::of_file(&context.state, &error);
    std::fs::create_dir_all(folder).map_err(unusable)?;
    let log = std::fs::File::create(log(folder)).map_err(unusable)?;
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

pub(super) fn down(context: &Context, folder: &Path) -> Result<Exit, Failure> {
    if answering(folder).is_none() {
        return Ok(running(context, folder));
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
    Ok(running(context, folder))
}

fn stop_file(folder: &Path) -> PathBuf {
    folder.join("stop")
}

/// A process that was told to end still has the cluster for a moment after it answers no more.
pub(super) fn reset(context: &Context, folder: &Path) -> Result<Exit, Failure> {
    let given_back = async {
        loop {
            match Cluster::reset(folder) {
                Err(Error::InUse(_)) if answering(folder).is_none() => tokio::time::sleep(LOOK).await,
                outcome => return outcome,
            }
        }
    };
    let reset = context.runtime.block_on(async { tokio::time::timeout(START, given_back).await });
    reset.unwrap_or_else(|_| Cluster::reset(folder)).map_err(|error| broken(&error))?;
    say("the sandbox is empty");
    Ok(Exit::Ok)
}

pub(super) fn kubeconfig(context: &Context, folder: &Path, target: &str) -> Result<Exit, Failure> {
    let running = answering(folder).is_some();
    let cluster = Cluster::join(folder, context.sandbox_options(target)).map_err(|error| broken(&error))?;
    let text = cluster.kubeconfig();
    match yaml::documents(&text) {
        Ok(documents) if context.global.json() => documents.iter().for_each(table::json),
        _ => table::text(&text),
    }
    if !running {
        say("the sandbox is not running\n  next: aegis sandbox up");
    }
    Ok(Exit::Ok)
}

pub(super) fn serve(context: &Context, folder: &Path, options: Options) -> Result<Exit, Failure> {
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

pub(super) fn broken(error: &aegis_sandbox::serve::Error) -> Failure {
    CallError::new(codes::SANDBOX, told(error)).into()
}

/// Whether it answers, and where.
fn running(context: &Context, folder: &Path) -> Exit {
    let endpoint = answering(folder);
    if context.global.json() {
        let running = endpoint.is_some();
        table::json(&serde_json::json!({ "running": running, "endpoint": endpoint, "folder": folder }));
    } else if let Some(endpoint) = endpoint {
        table::text(&format!("running at {endpoint}"));
        say("  next: aegis sandbox status, aegis sandbox kubectl -- get pods -A");
    } else {
        table::text("not running");
    }
    Exit::Ok
}
