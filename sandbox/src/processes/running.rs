//! One process: its pipes into the log and to whoever is attached, its signals, its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal as Number, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{broadcast, watch};

use super::leftovers::{PID_FILE, POD};
use super::log::Log;
use super::probes::Health;
use super::volumes::Issue;
use super::{Launch, Recipe, Signal};
use crate::ambient::Ambient;

/// What a container that cannot be started ends with, as containerd reports it.
const CANNOT_START: i64 = 128;
/// How long output may still come once the main process has ended and its group was killed.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Output kept for somebody attached who reads slowly, in chunks.
const BACKLOG: usize = 256;

/// One start of one container.
pub struct Running {
    /// How often the container was started before.
    pub attempt: i64,
    /// How it is run, for commands run beside it.
    pub recipe: Recipe,
    pod: String,
    group: Option<Pid>,
    outcome: watch::Sender<Option<Outcome>>,
    health: Mutex<Health>,
    tell: Tell,
    output: broadcast::Sender<(Stream, Bytes)>,
    stdin: tokio::sync::Mutex<Option<ChildStdin>>,
    log: Arc<Log>,
}

/// Wakes whoever looks after the pod.
type Tell = Arc<dyn Fn() + Send + Sync>;

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit code; 128 and the signal's number when a signal ended it.
    pub code: i64,
    /// Why it never started; empty otherwise.
    pub problem: String,
    /// When, as objects hold it.
    pub at: String,
}

/// Which of its two outputs a process wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// The file that holds what one start of a container wrote.
pub(super) fn log_path(folder: &Path, attempt: i64) -> PathBuf {
    folder.join(format!("{attempt}.log"))
}

impl Running {
    /// Starts a process; one that cannot be started has ended at once.
    pub(super) fn start(
        launch: Launch,
        folder: &Path,
        issue: Issue<'_>,
        ambient: Ambient,
        tell: Tell,
    ) -> Arc<Self> {
        // As kubelets do, only the start before this one keeps its log.
        let _ = fs::remove_file(log_path(folder, launch.attempt - 2));
        let log = Arc::new(Log::create(&log_path(folder, launch.attempt), ambient.clone()));
        let above = folder.parent().unwrap_or(folder);
        let located = launch.recipe.clone().located(above, issue);
        let recipe = located.as_ref().unwrap_or(&launch.recipe).clone();
        let volumes = located.map(drop).map_err(|error| format!("a volume cannot be made: {error}"));
        let spawned = volumes.and_then(|()| spawn(&recipe, &launch.place.pod, folder));
        let (outcome, _) = watch::channel(None);
        let (output, _) = broadcast::channel(BACKLOG);
        let (child, problem) = match spawned {
            Ok(child) => (Some(child), String::new()),
            Err(error) => (None, error),
        };
        let group = child.as_ref().and_then(Child::id).and_then(|id| Pid::from_raw(id.cast_signed()));
        let mut running = Self {
            attempt: launch.attempt,
            health: Mutex::new(recipe.probes.at_first()),
            recipe,
            pod: launch.place.pod,
            tell: tell.clone(),
            group,
            outcome,
            output,
            stdin: tokio::sync::Mutex::new(None),
            log,
        };
        let Some(mut child) = child else {
            running.outcome.send_replace(Some(Outcome {
                code: CANNOT_START,
                problem,
                at: ambient.timestamp(),
            }));
            tell();
            return Arc::new(running);
        };
        let pid_file = folder.join(PID_FILE);
        let _ = fs::write(&pid_file, child.id().unwrap_or_default().to_string());
        running.stdin = tokio::sync::Mutex::new(child.stdin.take());
        let running = Arc::new(running);
        let (watched, probed) = (running.clone(), running.clone());
        let clock = ambient.clone();
        tokio::spawn(async move {
            watched.follow(child, &ambient).await;
            let _ = fs::remove_file(pid_file);
            tell();
        });
        tokio::spawn(async move { probed.recipe.probes.watch(&probed, &clock).await });
        running
    }

    /// What its probes say.
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what its probes say, and tells of it.
    pub(super) fn change_health(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner));
        (self.tell)();
    }

    /// Surrounds a command as the container's own is.
    pub(super) fn surround(&self, command: &mut Command) {
        let folder = self.log.path().parent().map(Path::to_owned).unwrap_or_default();
        command.env_clear().envs(self.recipe.environment(&self.pod, &folder));
        command.current_dir(self.recipe.folder(&folder));
    }

    /// Reads both outputs until the process has ended, then records how.
    async fn follow(self: &Arc<Self>, mut child: Child, ambient: &Ambient) {
        let out = tokio::spawn(self.clone().pump(child.stdout.take(), Stream::Out));
        let err = tokio::spawn(self.clone().pump(child.stderr.take(), Stream::Err));
        let status = child.wait().await;
        // What it started ends with it, as in a container.
        self.kill_group(Number::KILL);
        let _ = tokio::time::timeout(LAST_WORDS, async { tokio::join!(out, err) }).await;
        let code = status.map_or(CANNOT_START, |status| exit_code(&status));
        self.outcome.send_replace(Some(Outcome { code, problem: String::new(), at: ambient.timestamp() }));
        self.log.touch();
    }

    async fn pump(self: Arc<Self>, from: Option<impl AsyncRead + Unpin>, stream: Stream) {
        let Some(mut from) = from else { return };
        let mut buffer = vec![0; 8 << 10];
        let mut writer = self.log.writer(stream);
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            writer.write(&buffer[..length]);
            // Nobody may be attached.
            let _ = self.output.send((stream, Bytes::copy_from_slice(&buffer[..length])));
        }
        writer.finish();
    }

    /// How it ended; none while it runs.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome.borrow().clone()
    }

    /// Waits for the end.
    pub async fn ended(&self) -> Outcome {
        let mut outcome = self.outcome.subscribe();
        loop {
            if let Some(outcome) = &*outcome.borrow_and_update() {
                return outcome.clone();
            }
            if outcome.changed().await.is_err() {
                return Outcome { code: CANNOT_START, problem: String::new(), at: String::new() };
            }
        }
    }

    /// What it writes from now on.
    pub fn attach(&self) -> broadcast::Receiver<(Stream, Bytes)> {
        self.output.subscribe()
    }

    /// Writes to its standard input; `None` closes it.
    pub async fn feed(&self, bytes: Option<&[u8]>) {
        let mut stdin = self.stdin.lock().await;
        match (bytes, stdin.as_mut()) {
            (Some(bytes), Some(pipe)) => {
                if pipe.write_all(bytes).await.is_err() {
                    *stdin = None;
                }
            }
            (None, _) => *stdin = None,
            (Some(_), None) => {}
        }
    }

    /// What it wrote.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Sends a signal to the process and all that it started.
    pub fn signal(&self, signal: Signal) {
        if self.outcome.borrow().is_none() {
            self.kill_group(match signal {
                Signal::Terminate => Number::TERM,
                Signal::Kill => Number::KILL,
                Signal::Freeze => Number::STOP,
                Signal::Thaw => Number::CONT,
            });
        }
    }

    fn kill_group(&self, number: Number) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, number);
        }
    }
}

/// The exit code as a container runtime tells it.
pub fn exit_code(status: &std::process::ExitStatus) -> i64 {
    use std::os::unix::process::ExitStatusExt;
    let signal = || status.signal().map_or(CANNOT_START, |signal| 128 + i64::from(signal));
    status.code().map_or_else(signal, i64::from)
}

fn spawn(recipe: &Recipe, pod: &str, folder: &Path) -> Result<Child, String> {
    let failed = |error: std::io::Error| recipe.start_problem(&error);
    fs::create_dir_all(folder).map_err(failed)?;
    let mut command = Command::new(recipe.program());
    recipe.prepare(&mut command, pod, folder);
    command.process_group(0).kill_on_drop(true);
    command.stdin(if recipe.stdin { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(failed)
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("pod", &self.pod)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl Recipe {
    fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    /// Sets arguments, environment and folder of a process of this container.
    fn prepare(&self, command: &mut Command, pod: &str, folder: &Path) {
        command.args(self.command.iter().skip(1));
        command.env_clear().envs(self.environment(pod, folder));
        command.current_dir(self.folder(folder));
    }

    /// The environment of a process of this container.
    pub fn environment(&self, pod: &str, folder: &Path) -> Vec<(String, String)> {
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
        let mut pairs = vec![("PATH".to_owned(), path), ("HOME".to_owned(), folder.display().to_string())];
        pairs.extend(self.env.iter().cloned());
        pairs.push((POD.to_owned(), pod.to_owned()));
        pairs
    }

    /// Where a process of this container works: `workingDir` when this machine has it, else a folder of its own.
    pub fn folder(&self, own: &Path) -> PathBuf {
        self.working_dir.clone().filter(|folder| folder.is_dir()).unwrap_or_else(|| own.to_owned())
    }

    /// Why a program could not be started, as a container runtime says it.
    pub fn start_problem(&self, error: &std::io::Error) -> String {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "executable file not found in $PATH".to_owned(),
            _ => error.to_string(),
        };
        format!("exec: {:?}: {why}", self.program())
    }
}
