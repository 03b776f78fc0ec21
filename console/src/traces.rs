//! Runs as traces: run -> step -> call, each a span, in the JSON form of OTLP 1.x. A reader of journal entries like any
//! other, so what is secret is masked before it comes here, and the ids follow from the run: a run that another process
//! takes up goes on in the same trace.

use std::collections::HashMap;

use aegis_engine::error::CallError;
use aegis_engine::journal::{Body, Entry, Outcome, Verdict};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Kind and status codes as OTLP numbers them.
const INTERNAL: u8 = 1;
const CLIENT: u8 = 3;
const OK: u8 = 1;
const ERROR: u8 = 2;

/// The spans of one run as it goes.
pub struct Trace {
    run: String,
    open: HashMap<String, Open>,
}

/// A span that has begun.
struct Open {
    parent: Option<String>,
    name: String,
    kind: u8,
    began: Timestamp,
    attributes: Vec<Value>,
}

impl Trace {
    /// The trace of a run, with what earlier processes recorded of it.
    #[must_use]
    pub fn of(run: &str, before: &[Entry]) -> Self {
        let mut trace = Self { run: run.to_owned(), open: HashMap::new() };
        for entry in before {
            // Their spans have been told by the processes that saw their ends.
            let _ = trace.hear(entry);
        }
        trace
    }

    /// The span that ends with an entry.
    pub fn hear(&mut self, entry: &Entry) -> Option<Value> {
        match &entry.body {
            Body::Started(started) => {
                let attributes = vec![
                    text("aegis.run", &self.run),
                    text("aegis.runbook", &started.runbook),
                    text("aegis.target", &started.target),
                    text("aegis.risk", &format!("{:?}", started.risk).to_lowercase()),
                    text("enduser.id", &started.person.0),
                ];
                let name = format!("run {}", started.runbook);
                let span = Open { parent: None, name, kind: INTERNAL, began: entry.at, attributes };
                self.open.insert(String::new(), span);
                None
            }
            Body::Entered { step, frame, name, attempt, .. } => {
                let attributes = vec![text("aegis.step", step), number("aegis.attempt", u64::from(*attempt))];
                let (parent, name) = (Some(parent(frame)), name.clone());
                let span = Open { parent, name, kind: INTERNAL, began: entry.at, attributes };
                self.open.insert(place(step, *attempt), span);
                None
            }
            Body::Asked { call, frame, function, effect, summary, .. } => {
                let attributes = vec![
                    text("aegis.call", call),
                    text("aegis.function", function),
                    text("aegis.effect", &format!("{effect:?}").to_lowercase()),
                    text("aegis.summary", summary),
                ];
                let kind = if effect.is_effect() { CLIENT } else { INTERNAL };
                let (parent, name) = (Some(parent(frame)), function.clone());
                let span = Open { parent, name, kind, began: entry.at, attributes };
                self.open.insert(format!("call {call}"), span);
                None
            }
            Body::Left { step, attempt, outcome, .. } => {
                self.end(&place(step, *attempt), entry.at, settled(outcome))
            }
            Body::Happened { call, outcome, .. } => {
                self.end(&format!("call {call}"), entry.at, settled(outcome))
            }
            Body::Ended { verdict, failure, .. } => {
                let status = match (verdict, failure) {
                    (Verdict::Succeeded, _) => json!({ "code": OK }),
                    (Verdict::Failed, Some(failure)) => {
                        json!({ "code": ERROR, "message": format!("{}: {}", failure.code, failure.message) })
                    }
                    (Verdict::Failed, None) => json!({ "code": ERROR }),
                    (Verdict::Cancelled, _) => json!({ "code": ERROR, "message": "cancelled" }),
                };
                self.end("", entry.at, status)
            }
            _ => None,
        }
    }

    fn end(&mut self, key: &str, at: Timestamp, status: Value) -> Option<Value> {
        // The run's own span may end again, when it is taken up after a failure.
        let Open { parent, name, kind, began, attributes } =
            if key.is_empty() { self.open.get(key)?.again() } else { self.open.remove(key)? };
        let mut span = json!({
            "traceId": id(&[&self.run], 16),
            "spanId": self.span(key),
            "name": name,
            "kind": kind,
            "startTimeUnixNano": began.as_nanosecond().to_string(),
            "endTimeUnixNano": at.max(began).as_nanosecond().to_string(),
            "attributes": attributes,
            "status": status,
        });
        if let Some(parent) = parent {
            span["parentSpanId"] = json!(self.span(&parent));
        }
        Some(span)
    }

    fn span(&self, key: &str) -> String {
        id(&[&self.run, key], 8)
    }
}

impl Open {
    fn again(&self) -> Self {
        let (parent, name, attributes) = (self.parent.clone(), self.name.clone(), self.attributes.clone());
        Self { parent, name, kind: self.kind, began: self.began, attributes }
    }
}

/// Spans as the body of a request to `/v1/traces`.
#[must_use]
pub fn request(service: &str, version: &str, spans: &[Value]) -> Value {
    let resource = [text("service.name", service), text("service.version", version)];
    json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{ "scope": { "name": "aegis", "version": version }, "spans": spans }],
    }] })
}

/// The key of a step's attempt.
fn place(step: &str, attempt: u32) -> String {
    format!("{step}@{attempt}")
}

/// The step's attempt that a frame is: `STEP`, `STEP@2`, or the block of a branch, `BLOCK[3]`.
fn parent(frame: &str) -> String {
    let frame = match frame.rsplit_once('[') {
        Some((block, index)) if index.trim_end_matches(']').parse::<u64>().is_ok() => block,
        _ => frame,
    };
    let attempt = frame.rsplit_once('@').is_some_and(|(_, attempt)| attempt.parse::<u32>().is_ok());
    if frame.is_empty() || attempt { frame.to_owned() } else { place(frame, 1) }
}

fn settled(outcome: &Outcome) -> Value {
    let failed =
        |error: &CallError| json!({ "code": ERROR, "message": format!("{}: {}", error.code, error.message) });
    match outcome {
        Outcome::Ok(_) => json!({ "code": OK }),
        Outcome::Failed(error) | Outcome::Unknown(error) => failed(error),
        Outcome::Skipped(_) => json!({}),
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

/// The first bytes of a hash, in hexadecimal digits.
fn id(parts: &[&str], bytes: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0x1f]);
    }
    hex::encode(&hash.finalize()[..bytes])
}
