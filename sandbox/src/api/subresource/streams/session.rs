//! What exec and attach read and write, whatever carries it.

use bytes::Bytes;
use tokio::sync::mpsc;

/// Messages under way in one direction.
const BACKLOG: usize = 64;

/// What a client sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    Stdin(Bytes),
    /// No more standard input.
    End,
    /// The size of the client's terminal, in columns and rows.
    Resize(u16, u16),
}

/// Which output something was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Out,
    Err,
}

/// The inner end of a session: what the command sees. It is over when the client goes away (`input` ends)
/// or the command drops it.
pub(super) struct Session {
    pub(super) input: mpsc::Receiver<Input>,
    pub(super) output: mpsc::Sender<(Output, Bytes)>,
}

/// The outer end: what the carrier sees.
pub(super) struct Carrier {
    pub(super) input: mpsc::Sender<Input>,
    pub(super) output: mpsc::Receiver<(Output, Bytes)>,
}

/// Both ends of a new session.
pub(super) fn session() -> (Session, Carrier) {
    let (to_command, input) = mpsc::channel(BACKLOG);
    let (output, from_command) = mpsc::channel(BACKLOG);
    (Session { input, output }, Carrier { input: to_command, output: from_command })
}

/// The size of a terminal as clients send it.
pub(super) fn resize(message: &[u8]) -> Option<Input> {
    let size: serde_json::Value = serde_json::from_slice(message).ok()?;
    let number = |field: &str| size[field].as_u64().and_then(|number| u16::try_from(number).ok());
    Some(Input::Resize(number("Width")?, number("Height")?))
}
