//! Port-forward over SPDY: for each connection the client opens an error stream and a data stream, both
//! naming the port and one request. Data goes to that port of this machine.

use std::collections::HashMap;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::spdy::{self, Event, Sender};

/// Pieces of one connection under way to its port.
const BACKLOG: usize = 64;

/// Forwards until the client goes away.
pub(super) async fn run(io: impl AsyncRead + AsyncWrite + Send + 'static, pod: String) {
    let (mut events, sender) = spdy::serve(io);
    // By request: its error stream.
    let mut errors: HashMap<String, u32> = HashMap::new();
    // By data stream: where its bytes go.
    let mut open: HashMap<u32, mpsc::Sender<Bytes>> = HashMap::new();
    while let Some(event) = events.recv().await {
        match event {
            Event::Stream(id, headers) => {
                let text = |name: &str| headers.get(name).cloned().unwrap_or_default();
                if text("streamtype") == "error" {
                    errors.insert(text("requestid"), id);
                } else {
                    let (to_port, bytes) = mpsc::channel(BACKLOG);
                    open.insert(id, to_port);
                    let error = errors.remove(&text("requestid"));
                    let forward = Forward {
                        port: text("port"),
                        pod: pod.clone(),
                        data: id,
                        error,
                        sender: sender.clone(),
                    };
                    tokio::spawn(forward.run(bytes));
                }
            }
            Event::Data(id, bytes) => {
                if let Some(to_port) = open.get(&id) {
                    let _ = to_port.send(bytes).await;
                }
            }
            Event::End(id) => drop(open.remove(&id)),
        }
    }
}

/// One connection to one port.
struct Forward {
    port: String,
    pod: String,
    data: u32,
    error: Option<u32>,
    sender: Sender,
}

impl Forward {
    async fn run(self, bytes: mpsc::Receiver<Bytes>) {
        let outcome = match self.port.parse::<u16>() {
            Ok(port) => match TcpStream::connect(("127.0.0.1", port)).await {
                Ok(stream) => self.carry(stream, bytes).await,
                Err(error) => Err(error.to_string()),
            },
            Err(_) => Err(format!("{:?} is no port", self.port)),
        };
        if let (Err(problem), Some(error)) = (outcome, self.error) {
            let problem = format!("error forwarding port {} to pod {}: {problem}", self.port, self.pod);
            self.sender.data(error, problem.into()).await;
        }
        self.sender.end(self.data).await;
        if let Some(error) = self.error {
            self.sender.end(error).await;
        }
    }

    async fn carry(&self, stream: TcpStream, mut bytes: mpsc::Receiver<Bytes>) -> Result<(), String> {
        let (mut read, mut write) = stream.into_split();
        let to_port = tokio::spawn(async move {
            while let Some(bytes) = bytes.recv().await {
                if write.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            let _ = write.shutdown().await;
        });
        let mut buffer = vec![0; 32 << 10];
        let outcome = loop {
            match read.read(&mut buffer).await {
                Ok(0) => break Ok(()),
                Ok(length) => self.sender.data(self.data, Bytes::copy_from_slice(&buffer[..length])).await,
                Err(error) => break Err(error.to_string()),
            }
        };
        to_port.abort();
        outcome
    }
}
