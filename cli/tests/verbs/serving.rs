//! `aegis serve` as its neighbours see it: its events on stdout, its address, requests to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::project::Project;

/// A scheduler that is told to stop when the test is done with it.
pub(crate) struct Serving {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    talk: Option<BufReader<std::process::ChildStderr>>,
    /// `127.0.0.1:PORT`, once it has been asked for.
    pub(crate) address: String,
}

/// What it answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn with(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// One request to whoever listens there.
pub(crate) fn ask(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Answered> {
    let mut stream = TcpStream::connect(address)?;
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n"
    );
    let kind = if headers.contains("Content-Type: ") { "" } else { "Content-Type: application/json\r\n" };
    write!(stream, "{head}{kind}{headers}\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let head = head.to_ascii_lowercase();
    let body = if head.contains("transfer-encoding: chunked") { whole(body) } else { body.to_owned() };
    Ok(Answered { status, head, body })
}

impl Serving {
    pub(crate) fn start(project: &Project, more: &[&str]) -> Self {
        Self::spawn(project.command(&[&["serve", "--output", "json"], more].concat()))
    }

    /// One that listens, with more in its environment.
    pub(crate) fn listening(project: &Project, environment: &[(&str, &str)]) -> Self {
        let mut command = project.command(&["serve", "--output", "json", "--listen", "127.0.0.1:0"]);
        command.envs(environment.iter().copied());
        let mut serving = Self::spawn(command);
        let talk = serving.talk.as_mut().unwrap();
        let mut line = String::new();
        while !line.starts_with("metrics at ") {
            line.clear();
            assert!(talk.read_line(&mut line).unwrap() > 0, "it does not listen");
        }
        let address = line.trim().rsplit("://").next().unwrap().strip_suffix("/metrics").unwrap();
        serving.address = address.to_owned();
        serving
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let talk = child.stderr.take().map(BufReader::new);
        Self { child, lines, talk, address: String::new() }
    }

    /// The next event of a kind.
    pub(crate) fn hears(&mut self, event: &str) -> Value {
        let values = self.lines.by_ref().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        let mut others = Vec::new();
        for value in values {
            if value["event"] == event {
                return value;
            }
            others.push(value);
        }
        panic!("no `{event}` among {others:?}");
    }

    /// What the project is told about the next mistakes in it.
    pub(crate) fn refused(&mut self) -> String {
        let lines = self.lines.by_ref().map_while(Result::ok);
        lines.into_iter().find(|line| line.contains("\"refused\":")).unwrap()
    }

    /// One request.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        ask(&self.address, method, path, headers, body).unwrap()
    }

    /// SIGTERM: drains.
    pub(crate) fn stop(mut self) -> String {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let rest: Vec<String> = self.lines.by_ref().map_while(Result::ok).collect();
        let mut talk = String::new();
        self.talk.take().unwrap().read_to_string(&mut talk).unwrap();
        assert!(self.child.wait().unwrap().success(), "{talk}");
        format!("{}\n{talk}", rest.join("\n"))
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A body that came in chunks.
fn whole(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        text.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
        if length == 0 {
            break;
        }
    }
    text
}
