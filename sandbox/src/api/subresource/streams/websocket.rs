//! WebSocket: the first byte of a message is its channel (0 stdin, 1 stdout, 2 stderr, 3 how it ended,
//! 4 terminal size); version 5 adds 255, which closes the channel named next.
//!
//! Port-forward over channels uses two of them a port: data, and what went wrong.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;

use super::exec::Entry;
use super::session::{Carrier, Input, Output, resize, session};
use crate::api::Call;
use crate::api::status::Status;

const STDIN: u8 = 0;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// Answers the handshake, and runs with the protocol that was agreed on.
pub(super) async fn upgrade<F>(
    call: &Call,
    protocols: &[&'static str],
    run: impl FnOnce(WebSocket, &'static str) -> F + Send + 'static,
) -> Result<Response, Status>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut request = Request::new(());
    *request.method_mut() = call.method.clone();
    *request.headers_mut() = call.headers.clone();
    let (mut parts, ()) = request.into_parts();
    if let Some(upgrade) = call.upgrade.clone() {
        parts.extensions.insert(upgrade);
    }
    let handshake = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let handshake = handshake.map_err(|error| Status::bad_request(format!("unable to upgrade: {error}")))?;
    let handshake = handshake.protocols(protocols.iter().copied());
    let agreed = handshake.selected_protocol().and_then(|protocol| protocol.to_str().ok());
    let Some(agreed) = protocols.iter().copied().find(|protocol| agreed == Some(*protocol)) else {
        return Err(Status::bad_request(format!(
            "unable to upgrade: the protocols spoken here are {protocols:?}"
        )));
    };
    Ok(handshake.on_upgrade(move |socket| run(socket, agreed)))
}

/// How long a client may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs exec or attach over channels.
pub(super) async fn run(socket: WebSocket, entry: Entry) {
    let (mut to, from) = socket.split();
    let (inside, Carrier { input, mut output }) = session();
    let reading = tokio::spawn(read(from, input));
    let (wants_out, wants_err) = (entry.stdout, entry.stderr);
    let running = tokio::spawn(entry.run(inside));
    while let Some((name, bytes)) = output.recv().await {
        let (channel, wanted) = if name == Output::Out { (1, wants_out) } else { (2, wants_err) };
        if wanted && to.send(message(channel, &bytes)).await.is_err() {
            break;
        }
    }
    // Dropped here: a command whose client is gone finds nobody to write to.
    drop(output);
    if let Ok(status) = running.await {
        let _ = to.send(message(STATUS, status.to_string().as_bytes())).await;
    }
    let _ = to.send(goodbye()).await;
    // What the client still sends is read, up to its own goodbye: closing over unread bytes would reset the
    // connection, and the client might never see how the command ended.
    let mut reading = reading;
    if tokio::time::timeout(FAREWELL, &mut reading).await.is_err() {
        reading.abort();
    }
}

async fn read(mut from: SplitStream<WebSocket>, input: mpsc::Sender<Input>) {
    while let Some(Ok(received)) = from.next().await {
        let bytes = match received {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        let sent = match bytes.first() {
            Some(&STDIN) if bytes.len() > 1 => Some(Input::Stdin(bytes.slice(1..))),
            Some(&RESIZE) => resize(&bytes[1..]),
            Some(&CLOSE) if bytes.get(1) == Some(&STDIN) => Some(Input::End),
            _ => None,
        };
        if let Some(sent) = sent {
            // Nobody listens any more once the command has ended.
            let _ = input.send(sent).await;
        }
    }
}

/// The normal end: clients take one without a code for a broken connection.
fn goodbye() -> Message {
    Message::Close(Some(CloseFrame { code: close_code::NORMAL, reason: "".into() }))
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    let mut message = BytesMut::with_capacity(bytes.len() + 1);
    message.put_u8(channel);
    message.put_slice(bytes);
    Message::Binary(message.freeze())
}

/// The messages of a socket as one stream of bytes.
pub(super) fn as_bytes(socket: WebSocket) -> DuplexStream {
    let (inner, outer) = tokio::io::duplex(64 << 10);
    let (mut from_inner, mut to_inner) = tokio::io::split(outer);
    let (mut to, mut from) = socket.split();
    tokio::spawn(async move {
        while let Some(Ok(received)) = from.next().await {
            if let Message::Binary(bytes) = received
                && to_inner.write_all(&bytes).await.is_err()
            {
                return;
            }
        }
        let _ = to_inner.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(length @ 1..) = from_inner.read(&mut buffer).await {
            if to.send(Message::Binary(Bytes::copy_from_slice(&buffer[..length]))).await.is_err() {
                return;
            }
        }
        let _ = to.send(goodbye()).await;
    });
    inner
}

/// Forwards each port over two channels: data, then what went wrong.
pub(super) async fn forward(socket: WebSocket, ports: Vec<u16>) {
    let (to, mut from) = socket.split();
    let (messages, outgoing) = mpsc::channel(64);
    tokio::spawn(write(to, outgoing));
    let mut open: Vec<Option<OwnedWriteHalf>> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let channel = u8::try_from(index * 2).unwrap_or(u8::MAX - 1);
        for channel in [channel, channel + 1] {
            let _ = messages.send(message(channel, &port.to_le_bytes())).await;
        }
        open.push(match TcpStream::connect(("127.0.0.1", *port)).await {
            Ok(stream) => {
                let (mut read, write) = stream.into_split();
                let messages = messages.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 32 << 10];
                    while let Ok(length @ 1..) = read.read(&mut buffer).await {
                        if messages.send(message(channel, &buffer[..length])).await.is_err() {
                            return;
                        }
                    }
                    let _ = messages.send(message(CLOSE, &[channel])).await;
                });
                Some(write)
            }
            Err(error) => {
                let problem = format!("error forwarding port {port}: {error}");
                let _ = messages.send(message(channel + 1, problem.as_bytes())).await;
                None
            }
        });
    }
    while let Some(Ok(received)) = from.next().await {
        let Message::Binary(bytes) = received else { continue };
        match bytes.first() {
            Some(&CLOSE) => {
                let port = bytes.get(1).map_or(usize::MAX, |channel| usize::from(channel / 2));
                if let Some(Some(write)) = open.get_mut(port) {
                    let _ = write.shutdown().await;
                }
            }
            Some(channel) => {
                if let Some(Some(write)) = open.get_mut(usize::from(channel / 2)) {
                    let _ = write.write_all(&bytes[1..]).await;
                }
            }
            None => {}
        }
    }
}

async fn write(mut to: SplitSink<WebSocket, Message>, mut outgoing: mpsc::Receiver<Message>) {
    while let Some(message) = outgoing.recv().await {
        if to.send(message).await.is_err() {
            return;
        }
    }
    let _ = to.send(goodbye()).await;
}
