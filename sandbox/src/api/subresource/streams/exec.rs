//! Running a command beside a container's process, or joining that process itself.

use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use pty_process::{Pty, Size};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use super::session::{Input, Output, Session};
use crate::api::Call;
use crate::api::status::Status;
use crate::processes::running::{Stream, exit_code};
use crate::processes::{Recipe, Running};

/// What is to be run, and which of its streams the client wants.
pub(super) struct Entry {
    process: Arc<Running>,
    /// None: the container's own process.
    command: Option<Recipe>,
    pod: String,
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) tty: bool,
}

impl Entry {
    pub(super) fn read(call: &Call, way: &str, process: Arc<Running>, pod: &str) -> Result<Self, Status> {
        let flag = |name: &str| call.query.flag(name);
        let (tty, stdin, stdout) = (flag("tty"), flag("stdin"), flag("stdout"));
        let words: Vec<String> = call.query.all("command").map(str::to_owned).collect();
        let command = match (way, words.is_empty()) {
            ("attach", _) => None,
            (_, true) => {
                return Err(Status::bad_request("you must specify at least one command for the container"));
            }
            (_, false) => Some(process.recipe.with_command(&words)),
        };
        // With a terminal there is one output.
        let entry = Self {
            process,
            command,
            pod: pod.to_owned(),
            stdin,
            stdout,
            stderr: flag("stderr") && !tty,
            tty,
        };
        match entry.stdin || entry.stdout || entry.stderr {
            true => Ok(entry),
            false => Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr")),
        }
    }

    /// Runs until the command ends or the client goes away; answers how it ended as a Status.
    pub(super) async fn run(self, session: Session) -> Value {
        let folder = self.process.log().path().parent().map(std::path::Path::to_owned).unwrap_or_default();
        match (&self.command, self.tty) {
            (None, _) => attach(&self.process, session).await,
            (Some(recipe), true) => with_terminal(recipe, &self.pod, &folder, session).await,
            (Some(recipe), false) => with_pipes(recipe, &self.pod, &folder, session).await,
        }
    }
}

async fn attach(process: &Arc<Running>, session: Session) -> Value {
    let Session { mut input, output } = session;
    let mut from = process.attach();
    let mut listens = true;
    loop {
        tokio::select! {
            biased;
            written = from.recv() => match written {
                Ok((stream, bytes)) => {
                    let stream = if stream == Stream::Out { Output::Out } else { Output::Err };
                    if output.send((stream, bytes)).await.is_err() {
                        return success();
                    }
                }
                // Somebody who reads slowly loses output, as with a real terminal of finite size.
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(_) => return success(),
            },
            sent = input.recv(), if listens => match sent {
                Some(Input::Stdin(bytes)) => process.feed(Some(&bytes)).await,
                Some(Input::End) if process.recipe.stdin_once => process.feed(None).await,
                Some(Input::End | Input::Resize(..)) => {}
                None => listens = false,
            },
            ended = process.ended() => return ended_with(ended.code),
        }
    }
}

async fn with_pipes(recipe: &Recipe, pod: &str, folder: &std::path::Path, session: Session) -> Value {
    let Session { input, output } = session;
    let mut command = Command::new(&recipe.command[0]);
    command.args(&recipe.command[1..]).env_clear().envs(recipe.environment(pod, folder));
    command.current_dir(recipe.folder(folder)).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return cannot_start(&recipe.start_problem(&error)),
    };
    let feeding = tokio::spawn(feed(input, child.stdin.take()));
    let out = pump(child.stdout.take(), Output::Out, output.clone());
    let err = pump(child.stderr.take(), Output::Err, output);
    let (status, (), ()) = tokio::join!(child.wait(), out, err);
    feeding.abort();
    status.map_or_else(|error| cannot_start(&error.to_string()), |status| ended_with(exit_code(&status)))
}

async fn feed(mut input: mpsc::Receiver<Input>, stdin: Option<ChildStdin>) {
    let Some(mut stdin) = stdin else { return };
    while let Some(Input::Stdin(bytes)) = input.recv().await {
        if stdin.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn pump(from: Option<impl AsyncRead + Unpin>, name: Output, to: mpsc::Sender<(Output, Bytes)>) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if to.send((name, Bytes::copy_from_slice(&buffer[..length]))).await.is_err() {
            return;
        }
    }
}

async fn with_terminal(recipe: &Recipe, pod: &str, folder: &std::path::Path, session: Session) -> Value {
    match on_terminal(recipe, pod, folder) {
        Ok((pty, child)) => serve_terminal(pty, child, session).await,
        Err(problem) => cannot_start(&problem),
    }
}

fn on_terminal(recipe: &Recipe, pod: &str, folder: &std::path::Path) -> Result<(Pty, Child), String> {
    let (pty, pts) = pty_process::open().map_err(|error| format!("no terminal: {error}"))?;
    let command = pty_process::Command::new(&recipe.command[0])
        .args(&recipe.command[1..])
        .env_clear()
        .envs(recipe.environment(pod, folder))
        .env("TERM", "xterm")
        .current_dir(recipe.folder(folder))
        .kill_on_drop(true);
    let child = command.spawn(pts).map_err(|error| match error {
        pty_process::Error::Io(error) => recipe.start_problem(&error),
        other => other.to_string(),
    })?;
    Ok((pty, child))
}

async fn serve_terminal(pty: Pty, mut child: Child, session: Session) -> Value {
    let Session { mut input, output } = session;
    let (read, mut write) = pty.into_split();
    let feeding = tokio::spawn(async move {
        while let Some(sent) = input.recv().await {
            let done = match sent {
                Input::Stdin(bytes) => write.write_all(&bytes).await.is_ok(),
                // End of input on a terminal is Ctrl-D.
                Input::End => write.write_all(&[4]).await.is_ok(),
                Input::Resize(columns, rows) => write.resize(Size::new(rows, columns)).is_ok(),
            };
            if !done {
                return;
            }
        }
    });
    // A terminal ends with an error when its last program is gone.
    let out = pump(Some(read), Output::Out, output);
    let (status, ()) = tokio::join!(child.wait(), out);
    feeding.abort();
    status.map_or_else(|error| cannot_start(&error.to_string()), |status| ended_with(exit_code(&status)))
}

fn success() -> Value {
    json!({ "metadata": {}, "status": "Success" })
}

fn ended_with(code: i64) -> Value {
    if code == 0 {
        return success();
    }
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
    })
}

fn cannot_start(problem: &str) -> Value {
    json!({
        "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
        "message": format!("Internal error occurred: error executing command in container: {problem}"),
    })
}
