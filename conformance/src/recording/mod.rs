//! Recorded scenarios: a directory of files, a file of lines, a line of request and answer.
//!
//! The files refer to earlier lines and to long texts kept beside them; `unpack` puts both back.

mod unpack;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

/// One recorded scenario.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The file's name without its ending, such as `02-crud`.
    pub name: String,
    /// What was asked and answered, in order.
    pub lines: Vec<Line>,
}

/// One recorded exchange.
#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    /// Its number, unique among all scenarios.
    pub seq: u64,
    /// When it was sent: seconds since the scenario began.
    pub t: f64,
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// What the person did.
    #[serde(default)]
    pub step: String,
    /// As whom: `admin`, `none`, `serviceaccount-token`, `invalid-token`, or a user's name.
    pub auth: String,
    /// The HTTP method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The raw query.
    #[serde(default)]
    pub query: String,
    /// Headers of the request.
    #[serde(default)]
    pub req_headers: BTreeMap<String, Texts>,
    /// What the server was told instead of `Accept`.
    pub accept_sent: Option<String>,
    /// The body of the request.
    #[serde(default, deserialize_with = "present")]
    pub req_body: Option<Value>,
    /// What was special about it.
    #[serde(default)]
    pub req_note: String,
    /// The answer's status code.
    pub status: u16,
    /// The answer's content type.
    pub content_type: Option<String>,
    /// The answer's telling headers.
    #[serde(default)]
    pub resp_headers: BTreeMap<String, Texts>,
    /// The answer's body.
    pub body: Option<Value>,
    /// The events of a watch.
    pub watch_events: Option<Vec<Event>>,
    /// Who ended a watch.
    pub watch_ended_by: Option<String>,
    /// What was special about the answer.
    #[serde(default)]
    pub note: String,
}

/// Whether a text stands for one that the recorder did not keep.
pub(crate) fn is_lost(text: &[u8]) -> bool {
    text.starts_with(unpack::LOST.as_bytes())
}

/// One event of a watch.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// `ADDED` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// The object.
    pub object: Value,
}

/// One text or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Texts {
    /// A header sent once.
    One(String),
    /// A header sent again and again.
    Many(Vec<String>),
}

impl Texts {
    /// All of them.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

impl Line {
    /// Whether the request changes nothing and may be asked again.
    pub fn is_read(&self) -> bool {
        matches!(&*self.method, "GET" | "HEAD" | "OPTIONS")
    }

    /// Whether the answer is a stream of events.
    pub fn is_watch(&self) -> bool {
        self.watch_events.is_some()
    }

    /// When the answer was over: seconds since the scenario began.
    pub fn end(&self) -> f64 {
        self.t + self.ms / 1000.0
    }

    /// Whether only the beginning of the answer was kept.
    pub fn is_capped(&self) -> bool {
        self.note.starts_with("capped")
    }

    /// Every object the answer shows: itself, its items, its rows, its events.
    pub fn objects(&self) -> Vec<&Value> {
        match (&self.body, &self.watch_events) {
            (_, Some(events)) => events.iter().flat_map(|event| members(&event.object)).collect(),
            (Some(body), None) => members(body),
            (None, None) => Vec::new(),
        }
    }
}

/// The objects of an answer: its items, its rows' objects, or itself.
pub(crate) fn members(body: &Value) -> Vec<&Value> {
    if let Some(items) = body["items"].as_array() {
        return items.iter().collect();
    }
    if let Some(rows) = body["rows"].as_array() {
        return rows.iter().map(|row| &row["object"]).collect();
    }
    vec![body]
}

/// `null` is a body as well.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Reads every recording of a directory.
pub fn recordings(directory: &Path) -> anyhow::Result<Vec<Recording>> {
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("there are no recordings in `{}`", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.retain(|path| is_recording(path));
    paths.sort();
    if paths.is_empty() {
        anyhow::bail!("`{}` holds no recordings (files such as `02-crud.jsonl`)", directory.display());
    }
    paths.iter().map(|path| read(path).with_context(|| format!("cannot read `{}`", path.display()))).collect()
}

/// Steps and long texts lie beside the lines.
fn is_recording(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".jsonl") && !name.ends_with(".steps.jsonl") && !name.ends_with(".blobs.jsonl")
}

fn read(path: &Path) -> anyhow::Result<Recording> {
    let lines = unpack::unpack(path)?;
    let mut lines: Vec<Line> = lines.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?;
    lines.sort_by_key(|line| line.seq);
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    Ok(Recording { name, lines })
}
