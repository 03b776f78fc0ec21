//! Child processes: started in a process group of their own with exactly the environment they are given, read
//! into bounded buffers, and ended as a group when the run is cancelled, a timeout runs out or the
//! call is dropped. The only file of this module that does IO.
//!
//! It knows nothing of exit codes that mean success: that is the caller's business.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use aegis_engine::CallError;
use aegis_engine::codes;
use aegis_engine::function::{Cleanup, Context};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::target::Surroundings;

/// Bytes of each output stream that are kept when the caller does not say: as much as a journal record should hold.
pub(crate) const DEFAULT_LIMIT: usize = 1 << 20;

/// Bytes that are read at once: as much as a pipe holds (pipe(7)).
const AT_ONCE: usize = 64 << 10;

/// Of a longer line only the beginning is told, so that a program without line ends cannot fill memory.
const LONGEST_LINE: usize = 64 << 10;

/// After the program has ended, a background process it left may hold its output open: we stop listening then.
const LINGER: Duration = Duration::from_secs(2);

/// The process's own environment and project folder, as a service of the target.
#[derive(Debug, Clone, Default)]
pub struct Exec {
    environment: BTreeMap<String, String>,
}

impl Exec {
    /// Takes the environment that programs are looked up in.
    #[must_use]
    pub fn new(surroundings: &Surroundings) -> Self {
        Self { environment: surroundings.environment.clone() }
    }

    /// What every program gets: where programs are, whose they are, and the language they speak.
    pub(crate) fn minimal_environment(&self) -> BTreeMap<String, String> {
        let kept = ["PATH", "HOME", "LANG"];
        kept.iter()
            .filter_map(|name| Some(((*name).to_owned(), self.environment.get(*name)?.clone())))
            .collect()
    }

    /// The file behind a program name.
    pub(crate) fn find(&self, program: &str, project: &Path) -> Option<PathBuf> {
        find_program(program, project, self.environment.get("PATH").map(String::as_str))
    }
}

/// Looks a program up: a path with a slash starts at the project, a bare name is searched on `PATH`.
pub(crate) fn find_program(program: &str, project: &Path, path: Option<&str>) -> Option<PathBuf> {
    if program.contains('/') {
        let file = project.join(program);
        return is_executable(&file).then_some(file);
    }
    let folders = std::env::split_paths(path?).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(program)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// What to run. The environment is complete: nothing is inherited.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) directory: PathBuf,
    pub(crate) stdin: Input,
    pub(crate) timeout: Option<Duration>,
    /// Bytes kept of each stream.
    pub(crate) limit: usize,
    /// Time between SIGTERM and SIGKILL.
    pub(crate) grace: Duration,
    /// Tell each line as progress.
    pub(crate) told: bool,
}

/// What the program reads.
#[derive(Debug, Default)]
pub(crate) enum Input {
    #[default]
    Nothing,
    Text(String),
    /// An open file; a lock on it lives as long as the program does, even when aegis is killed.
    File(File),
}

/// How a program ended, and the last of what it said.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Tail,
    pub(crate) stderr: Tail,
}

impl Finished {
    /// The exit code; 128 + N for a program ended by signal N, as shells report it.
    pub(crate) fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let by_signal = || self.status.signal().map_or(-1, |signal| 128 + signal);
        self.status.code().unwrap_or_else(by_signal)
    }
}

/// Why there is no exit code.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// It did not start: nothing happened.
    NotStarted(std::io::Error),
    /// The timeout ran out; the program was ended.
    TimedOut(Duration),
    /// The run was cancelled; the program was ended.
    Cancelled,
}

impl Stopped {
    /// As the error of a call; `title` names the program.
    pub(crate) fn into_error(self, title: &str) -> CallError {
        match self {
            Self::NotStarted(error) => {
                CallError::new(codes::COMMAND, format!("`{title}` cannot be started")).because(error)
            }
            Self::TimedOut(after) => {
                let after = aegis_engine::Period(after);
                CallError::new(
                    codes::TIMEOUT,
                    format!("`{title}` did not end within {after} and was stopped"),
                )
                .hint("raise `timeout`, or look at what it waits for")
                .unknown()
            }
            Self::Cancelled => {
                CallError::new(codes::CANCELLED, format!("`{title}` was stopped with the run")).unknown()
            }
        }
    }
}

/// Runs a program to its end.
pub(crate) async fn run(context: &Context, invocation: Invocation) -> Result<Finished, Stopped> {
    let Invocation { timeout, limit, grace, told, .. } = invocation;
    let text = if let Input::Text(text) = &invocation.stdin { Some(text.clone()) } else { None };
    let mut group =
        Group::start(command(invocation), grace, context.cleanup()).map_err(Stopped::NotStarted)?;
    let teller = told.then(|| context.clone());
    let writer = group.child().and_then(|child| feed(child, text));
    let stdout =
        group.child().and_then(|child| child.stdout.take()).map(|s| listen(s, limit, teller.clone()));
    let stderr =
        group.child().and_then(|child| child.stderr.take()).map(|s| listen(s, limit, teller.clone()));
    let ended = tokio::select! {
        status = group.wait() => Ok(status.map_err(Stopped::NotStarted)?),
        () = context.cancellation().cancelled() => Err(Stopped::Cancelled),
        after = expiry(timeout) => Err(Stopped::TimedOut(after)),
    };
    let status = match ended {
        Ok(status) => status,
        Err(stopped) => {
            group.end().await;
            return Err(stopped);
        }
    };
    group.ended();
    if let Some(writer) = writer {
        writer.abort();
    }
    let (stdout, stderr) = tokio::join!(collect(stdout, limit), collect(stderr, limit));
    Ok(Finished { status, stdout, stderr })
}

fn command(invocation: Invocation) -> Command {
    let mut command = Command::new(&invocation.program);
    command
        .args(&invocation.arguments)
        .env_clear()
        .envs(&invocation.environment)
        .current_dir(&invocation.directory)
        .stdin(match invocation.stdin {
            Input::Nothing => Stdio::null(),
            Input::Text(_) => Stdio::piped(),
            Input::File(file) => Stdio::from(file),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    command
}

async fn expiry(timeout: Option<Duration>) -> Duration {
    match timeout {
        Some(after) => {
            tokio::time::sleep(after).await;
            after
        }
        None => std::future::pending().await,
    }
}

/// Writes the input beside everything else: a program may answer before it has read all of it, or never read it.
fn feed(child: &mut Child, text: Option<String>) -> Option<JoinHandle<()>> {
    let mut stdin = child.stdin.take()?;
    let text = text?;
    Some(tokio::spawn(async move {
        if let Err(error) = stdin.write_all(text.as_bytes()).await {
            tracing::debug!(%error, "the program did not read all of its input");
        }
    }))
}

type Listener = (JoinHandle<()>, std::sync::Arc<std::sync::Mutex<Tail>>);

fn listen(
    stream: impl AsyncRead + Unpin + Send + 'static,
    limit: usize,
    teller: Option<Context>,
) -> Listener {
    let kept = std::sync::Arc::new(std::sync::Mutex::new(Tail::new(limit)));
    let tail = std::sync::Arc::clone(&kept);
    let task = tokio::spawn(async move {
        let mut reader = BufReader::with_capacity(AT_ONCE, stream);
        let mut lines = Lines::default();
        while let Ok(came) = reader.fill_buf().await {
            lock(&tail).push(came);
            let told = if came.is_empty() { lines.rest() } else { lines.last_of(came) };
            if let (Some(teller), Some(told)) = (&teller, told) {
                teller.progress(told);
            }
            match came.len() {
                0 => break,
                length => reader.consume(length),
            }
        }
    });
    (task, kept)
}

/// Puts lines together that come in pieces.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// The last whole line that says something, now that this came. A program that says much at once is not
    /// repeated line by line.
    fn last_of(&mut self, came: &[u8]) -> Option<String> {
        let end = came.iter().rposition(|byte| *byte == b'\n');
        let (whole, begun) = came.split_at(end.map_or(0, |end| end + 1));
        let last = (!whole.is_empty()).then(|| {
            self.begun.extend_from_slice(whole);
            let text = std::mem::take(&mut self.begun);
            text.split(|byte| *byte == b'\n').rev().find_map(said)
        });
        let room = LONGEST_LINE.saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&begun[..begun.len().min(room)]);
        last.flatten()
    }

    /// What came without a line end.
    fn rest(&mut self) -> Option<String> {
        said(&std::mem::take(&mut self.begun))
    }
}

fn said(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&line[..line.len().min(LONGEST_LINE)]);
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

async fn collect(listener: Option<Listener>, limit: usize) -> Tail {
    let Some((mut task, kept)) = listener else { return Tail::new(limit) };
    if tokio::time::timeout(LINGER, &mut task).await.is_err() {
        task.abort();
    }
    std::mem::replace(&mut *lock(&kept), Tail::new(limit))
}

fn lock(tail: &std::sync::Mutex<Tail>) -> std::sync::MutexGuard<'_, Tail> {
    tail.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The last bytes of a stream.
#[derive(Debug)]
pub(crate) struct Tail {
    kept: VecDeque<u8>,
    limit: usize,
    /// True when earlier bytes were dropped.
    pub(crate) truncated: bool,
}

impl Tail {
    fn new(limit: usize) -> Self {
        Self { kept: VecDeque::new(), limit, truncated: false }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.kept.extend(bytes);
        let excess = self.kept.len().saturating_sub(self.limit);
        if excess > 0 {
            self.kept.drain(..excess);
            self.truncated = true;
        }
    }

    /// As text; bytes that are not UTF-8 become replacement characters.
    pub(crate) fn text(&self) -> String {
        let (front, back) = self.kept.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }

    /// The last lines that say something, in order.
    pub(crate) fn last_lines(&self, count: usize) -> Vec<String> {
        let text = self.text();
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
    }
}

/// A child with everything it started. Dropped while it runs (the gate drops a cancelled call), it is ended too.
struct Group {
    child: Option<Child>,
    leader: Option<Pid>,
    grace: Duration,
    cleanup: Cleanup,
}

impl Group {
    fn start(mut command: Command, grace: Duration, cleanup: &Cleanup) -> std::io::Result<Self> {
        let child = command.spawn()?;
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { child: Some(child), leader, grace, cleanup: cleanup.clone() })
    }

    fn child(&mut self) -> Option<&mut Child> {
        self.child.as_mut()
    }

    async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        match self.child.as_mut() {
            Some(child) => child.wait().await,
            None => std::future::pending().await,
        }
    }

    fn ended(&mut self) {
        self.child = None;
    }

    /// Ends it, also when the caller is dropped while it waits for that.
    async fn end(mut self) {
        if let Some(ending) = self.begin_to_end()
            && let Err(error) = ending.await
        {
            tracing::warn!(%error, "a stopped program could not be waited for");
        }
    }

    fn begin_to_end(&mut self) -> Option<JoinHandle<()>> {
        let child = self.child.take()?;
        let ending = self.cleanup.begin(end(child, self.leader, self.grace));
        if ending.is_none() {
            signal(self.leader, Signal::KILL);
        }
        ending
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(self.begin_to_end());
    }
}

async fn end(mut child: Child, leader: Option<Pid>, grace: Duration) {
    signal(leader, Signal::TERM);
    let ended = tokio::time::timeout(grace, child.wait()).await.is_ok();
    // What the program started may have ignored SIGTERM: the group goes as a whole, even after its leader.
    signal(leader, Signal::KILL);
    if !ended && let Err(error) = child.wait().await {
        tracing::warn!(%error, "a stopped program could not be waited for");
    }
}

fn signal(leader: Option<Pid>, signal: Signal) {
    if let Some(leader) = leader
        && let Err(error) = kill_process_group(leader, signal)
    {
        tracing::debug!(%error, ?signal, "the process group is gone");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_whole_however_they_come() {
        let told = |pieces: &[&str]| {
            let mut lines = Lines::default();
            let mut told: Vec<String> =
                pieces.iter().filter_map(|piece| lines.last_of(piece.as_bytes())).collect();
            told.extend(lines.rest());
            told
        };
        assert_eq!(told(&["one\n", "two\n"]), ["one", "two"]);
        assert_eq!(told(&["o", "ne\nt", "wo"]), ["one", "two"]);
        assert_eq!(told(&["one\ntwo\n\n", "\n"]), ["two"]);
        let long = "x".repeat(3 * LONGEST_LINE);
        assert_eq!(told(&[&long, &long, "\nend"]), [&long[..LONGEST_LINE], "end"]);
    }
}
