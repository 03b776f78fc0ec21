//! A server that takes whatever it is told, for tests of what aegis sends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

/// Long enough for any machine that is not broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Came {
    /// `POST /v1/traces`.
    pub(crate) line: String,
    pub(crate) headers: String,
    pub(crate) body: String,
}

pub(crate) struct Listener {
    pub(crate) url: String,
    came: Receiver<Came>,
}

impl Listener {
    pub(crate) fn start() -> Self {
        Self::answering(&[])
    }

    /// One that begins with other statuses than 200.
    pub(crate) fn answering(first: &'static [u16]) -> Self {
        let mut statuses = first.iter();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let (sender, came) = channel();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = socket.accept() {
                let mut reader = BufReader::new(stream);
                let (mut line, mut headers, mut length) = (String::new(), String::new(), 0);
                reader.read_line(&mut line).unwrap();
                loop {
                    let mut header = String::new();
                    reader.read_line(&mut header).unwrap();
                    let header = header.trim().to_ascii_lowercase();
                    if let Some(value) = header.strip_prefix("content-length: ") {
                        length = value.parse().unwrap();
                    }
                    if header.is_empty() {
                        break;
                    }
                    headers.push_str(&format!("{header}\n"));
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let status = statuses.next().unwrap_or(&200);
                let answer =
                    format!("HTTP/1.1 {status} \r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
                let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
                let body = String::from_utf8(body).unwrap();
                if sender.send(Came { line, headers, body }).is_err() {
                    return;
                }
            }
        });
        Self { url, came }
    }

    /// The next request.
    pub(crate) fn next(&self) -> Came {
        self.came.recv_timeout(PATIENCE).expect("a request")
    }

    /// Every span that has been sent so far.
    pub(crate) fn spans(&self) -> Vec<Value> {
        let bodies = self.came.try_iter().map(|came| serde_json::from_str::<Value>(&came.body).unwrap());
        let spans = bodies.map(|body| body["resourceSpans"][0]["scopeSpans"][0]["spans"].clone());
        spans.flat_map(|spans| spans.as_array().unwrap().clone()).collect()
    }
}
