//! SPDY/3.1, the server's half, as far as kubectl speaks it: streams with headers, data, pings.
//!
//! Flow control is left out: clients of this protocol do not wait for windows. Facts are from the SPDY
//! protocol draft 3.1 (<https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/>).

use std::collections::HashMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::exec::Entry;
use super::session::{Carrier, Input, Output, resize, session};

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const CONTROL: u16 = 0x8003;
const FIN: u8 = 1;
/// Longer headers than this are no headers.
const HEADERS_LIMIT: usize = 64 << 10;
/// A frame longer than this is not one of ours: clients send pieces of 32 KiB.
const FRAME_LIMIT: usize = 16 << 20;
const BACKLOG: usize = 64;

/// What a client does.
#[derive(Debug)]
pub(super) enum Event {
    /// It opened a stream, with these headers.
    Stream(u32, HashMap<String, String>),
    /// It sent something.
    Data(u32, Bytes),
    /// It will send no more on a stream.
    End(u32),
}

/// Writes frames; cheap to clone.
#[derive(Clone)]
pub(super) struct Sender(mpsc::Sender<Bytes>);

impl Sender {
    /// Sends data on a stream.
    pub(super) async fn data(&self, stream: u32, bytes: Bytes) {
        let _ = self.0.send(data_frame(stream, 0, &bytes)).await;
    }

    /// Sends the end of a stream.
    pub(super) async fn end(&self, stream: u32) {
        let _ = self.0.send(data_frame(stream, FIN, &[])).await;
    }
}

/// Speaks SPDY over a connection until the client goes away.
pub(super) fn serve(io: impl AsyncRead + AsyncWrite + Send + 'static) -> (mpsc::Receiver<Event>, Sender) {
    let (read, mut write) = tokio::io::split(io);
    let (frames, mut outgoing) = mpsc::channel::<Bytes>(BACKLOG);
    let (events, incoming) = mpsc::channel(BACKLOG);
    tokio::spawn(async move {
        while let Some(frame) = outgoing.recv().await {
            if write.write_all(&frame).await.is_err() {
                return;
            }
        }
        let _ = write.shutdown().await;
    });
    let replies = frames.clone();
    tokio::spawn(async move {
        let mut reader = Reader { from: read, headers: Headers::new(), events, replies };
        if let Err(error) = reader.run().await {
            tracing::debug!(%error, "a SPDY connection ended");
        }
    });
    (incoming, Sender(frames))
}

struct Reader<R> {
    from: R,
    headers: Headers,
    events: mpsc::Sender<Event>,
    replies: mpsc::Sender<Bytes>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    async fn run(&mut self) -> std::io::Result<()> {
        loop {
            let mut head = [0; 8];
            self.from.read_exact(&mut head).await?;
            let flags = head[4];
            let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
            if length > FRAME_LIMIT {
                return Err(broken("a frame is too long"));
            }
            let mut payload = vec![0; length];
            self.from.read_exact(&mut payload).await?;
            let version = u16::from_be_bytes([head[0], head[1]]);
            let goes_on = match (version, u16::from_be_bytes([head[2], head[3]])) {
                (CONTROL, kind) => self.control(kind, flags, payload.into()).await?,
                _ if version & 0x8000 == 0 => {
                    let stream = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
                    self.data(stream, flags, payload.into()).await
                }
                _ => return Err(broken("another version")),
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    async fn data(&mut self, stream: u32, flags: u8, payload: Bytes) -> bool {
        let told = payload.is_empty() || self.events.send(Event::Data(stream, payload)).await.is_ok();
        told && (flags & FIN == 0 || self.events.send(Event::End(stream)).await.is_ok())
    }

    async fn control(&mut self, kind: u16, flags: u8, mut payload: Bytes) -> std::io::Result<bool> {
        match kind {
            SYN_STREAM if payload.len() >= 10 => {
                let stream = payload.get_u32() & 0x7fff_ffff;
                payload.advance(6);
                let headers = self.headers.read(&payload)?;
                let reply = self.headers.reply(stream)?;
                let _ = self.replies.send(reply).await;
                let told = self.events.send(Event::Stream(stream, headers)).await.is_ok();
                return Ok(told && (flags & FIN == 0 || self.events.send(Event::End(stream)).await.is_ok()));
            }
            RST_STREAM if payload.len() >= 4 => {
                return Ok(self.events.send(Event::End(payload.get_u32() & 0x7fff_ffff)).await.is_ok());
            }
            PING => {
                let _ = self.replies.send(control_frame(PING, &payload)).await;
            }
            GOAWAY => return Ok(false),
            _ => {}
        }
        Ok(true)
    }
}

fn broken(problem: &'static str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, problem)
}

fn data_frame(stream: u32, flags: u8, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + bytes.len());
    frame.put_u32(stream);
    frame.put_u8(flags);
    frame.put_uint(bytes.len() as u64, 3);
    frame.put_slice(bytes);
    frame.freeze()
}

fn control_frame(kind: u16, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + payload.len());
    frame.put_u16(CONTROL);
    frame.put_u16(kind);
    frame.put_u8(0);
    frame.put_uint(payload.len() as u64, 3);
    frame.put_slice(payload);
    frame.freeze()
}

/// Header blocks: one compression each way for the whole connection.
struct Headers {
    inflate: Decompress,
    deflate: Compress,
}

impl Headers {
    fn new() -> Self {
        let mut deflate = Compress::new(Compression::default(), true);
        // Only fails for a stream that has begun.
        let _ = deflate.set_dictionary(&dictionary());
        Self { inflate: Decompress::new(true), deflate }
    }

    fn read(&mut self, block: &[u8]) -> std::io::Result<HashMap<String, String>> {
        let mut text = Vec::with_capacity(HEADERS_LIMIT);
        let before = self.inflate.total_in();
        let outcome = self.inflate.decompress_vec(block, &mut text, FlushDecompress::Sync);
        if let Err(error) = outcome {
            if error.needs_dictionary().is_none() {
                return Err(broken("headers cannot be read"));
            }
            self.inflate.set_dictionary(&dictionary()).map_err(|_| broken("headers cannot be read"))?;
            let used = usize::try_from(self.inflate.total_in() - before).unwrap_or(block.len());
            let rest = block.get(used..).unwrap_or_default();
            let outcome = self.inflate.decompress_vec(rest, &mut text, FlushDecompress::Sync);
            outcome.map_err(|_| broken("headers cannot be read"))?;
        }
        pairs(&text).ok_or_else(|| broken("headers cannot be read"))
    }

    /// The answer to a new stream: yes, without headers.
    fn reply(&mut self, stream: u32) -> std::io::Result<Bytes> {
        let mut block = Vec::with_capacity(64);
        let done = self.deflate.compress_vec(&[0; 4], &mut block, FlushCompress::Sync);
        done.map_err(|_| broken("headers cannot be written"))?;
        let mut payload = stream.to_be_bytes().to_vec();
        payload.extend_from_slice(&block);
        Ok(control_frame(SYN_REPLY, &payload))
    }
}

fn pairs(mut text: &[u8]) -> Option<HashMap<String, String>> {
    let number = |text: &mut &[u8]| (text.len() >= 4).then(|| text.get_u32());
    let count = number(&mut text)?;
    let mut pairs = HashMap::new();
    for _ in 0..count {
        let mut next = || {
            let length = number(&mut text)? as usize;
            let (value, rest) = text.split_at_checked(length)?;
            text = rest;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        let (name, value) = (next()?, next()?);
        pairs.insert(name.to_lowercase(), value);
    }
    Some(pairs)
}

/// The words that both sides know before the first header: names with their length before them, then loose
/// text.
fn dictionary() -> Vec<u8> {
    const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding \
        accept-language accept-ranges age allow authorization cache-control connection content-base \
        content-encoding content-language content-length content-location content-md5 content-range \
        content-type date etag expect expires from host if-match if-modified-since if-none-match if-range \
        if-unmodified-since last-modified location max-forwards pragma proxy-authenticate \
        proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
        user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public \
        set-cookie keep-alive origin";
    const LOOSE: [&str; 8] = [
        "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505",
        "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request",
        "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented",
        "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00",
        " Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,",
        "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=",
        "gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,",
        "enq=0.",
    ];
    let mut bytes = Vec::with_capacity(1423);
    for word in WORDS.split_whitespace().map(|word| word.replace('_', " ")) {
        bytes.put_u32(u32::try_from(word.len()).unwrap_or_default());
        bytes.put_slice(word.as_bytes());
    }
    LOOSE.iter().for_each(|text| bytes.put_slice(text.as_bytes()));
    bytes
}

/// Runs exec or attach over streams: the client opens one for each thing it wants, and one for how it ended.
pub(super) async fn run_session(io: impl AsyncRead + AsyncWrite + Send + 'static, entry: Entry) {
    let (mut events, sender) = serve(io);
    let wanted = [true, entry.stdin, entry.stdout, entry.stderr, entry.tty];
    let count = wanted.into_iter().filter(|wanted| *wanted).count();
    let mut streams: HashMap<String, u32> = HashMap::new();
    let mut early = Vec::new();
    while streams.len() < count {
        match events.recv().await {
            Some(Event::Stream(id, headers)) => {
                streams.insert(headers.get("streamtype").cloned().unwrap_or_default(), id);
            }
            Some(other) => early.push(other),
            None => return,
        }
    }
    let (inside, Carrier { input, mut output }) = session();
    let (stdin, sizes) = (streams.get("stdin").copied(), streams.get("resize").copied());
    let reading = tokio::spawn(async move {
        for event in early {
            pass(event, stdin, sizes, &input).await;
        }
        while let Some(event) = events.recv().await {
            pass(event, stdin, sizes, &input).await;
        }
    });
    let running = tokio::spawn(entry.run(inside));
    while let Some((name, bytes)) = output.recv().await {
        let stream = streams.get(if name == Output::Out { "stdout" } else { "stderr" });
        if let Some(stream) = stream {
            sender.data(*stream, bytes).await;
        }
    }
    drop(output);
    if let (Ok(status), Some(error)) = (running.await, streams.get("error")) {
        sender.data(*error, status.to_string().into()).await;
    }
    for stream in streams.values() {
        sender.end(*stream).await;
    }
    reading.abort();
}

async fn pass(event: Event, stdin: Option<u32>, sizes: Option<u32>, input: &mpsc::Sender<Input>) {
    let sent = match event {
        Event::Data(id, bytes) if Some(id) == stdin => Some(Input::Stdin(bytes)),
        Event::Data(id, bytes) if Some(id) == sizes => resize(&bytes),
        Event::End(id) if Some(id) == stdin => Some(Input::End),
        _ => None,
    };
    if let Some(sent) = sent {
        let _ = input.send(sent).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_has_the_length_the_protocol_gives_it() {
        assert_eq!(dictionary().len(), 1423);
    }

    #[test]
    fn headers_that_a_client_compressed_are_read_one_block_after_the_other() {
        let mut client = Compress::new(Compression::default(), true);
        client.set_dictionary(&dictionary()).unwrap();
        let mut block = |name: &str, value: &str| {
            let mut text = vec![0, 0, 0, 1];
            for part in [name, value] {
                text.put_u32(part.len() as u32);
                text.put_slice(part.as_bytes());
            }
            let mut block = Vec::with_capacity(256);
            client.compress_vec(&text, &mut block, FlushCompress::Sync).unwrap();
            block
        };
        let mut headers = Headers::new();
        for (name, value) in [("Streamtype", "stdin"), ("Streamtype", "stdout"), ("Port", "80")] {
            let read = headers.read(&block(name, value)).unwrap();
            assert_eq!(read[&name.to_lowercase()], value);
        }
    }
}
