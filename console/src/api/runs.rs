//! Runs: lists, reports, events as they are journaled, and what people decide about them.

use std::sync::Arc;
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::journal::{Entry, Person, RunRecord, Status};
use aegis_engine::report::Report;
use aegis_engine::run::operate::{Decider, Desk, pending};
use aegis_engine::run::stored;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Refused, blocking};
use super::asking::{Asked, Body as Asking, Named};
use crate::Console;
use crate::token::Holder;

/// How often the journal is looked at for those who follow it.
const LOOK: Duration = Duration::from_millis(300);

/// Something is sent this often, so that nobody between takes a quiet connection for a dead one.
const COMMENT: u32 = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default = "page")]
    limit: usize,
    status: Option<Status>,
}

const fn page() -> usize {
    50
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Asked(wanted): Asked<Wanted>,
) -> Answer<Vec<RunRecord>> {
    blocking(move || {
        let runs = console.journals.runs()?.into_iter();
        let fits = |run: &RunRecord| wanted.status.is_none_or(|status| run.status == status);
        Ok(Json(runs.filter(fits).take(wanted.limit).collect()))
    })
    .await
}

pub(super) async fn show(State(console): State<Arc<Console>>, Named(run): Named) -> Answer<Value> {
    blocking(move || {
        let record = desk(&console).find(&run)?;
        let entries = console.journals.entries(&record.id, 0)?;
        let waits = pending(&entries).into_iter();
        let waits: Vec<Value> =
            waits.map(|wait| json!({ "call": wait.call, "wait": wait.wait, "since": wait.since, "approved_by": wait.approved_by, "details": wait.details })).collect();
        let place = stored::placed(&entries);
        Ok(Json(json!({ "run": record, "report": Report::of(&entries), "waits": waits, "place": place })))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    follow: bool,
}

/// Entries as JSON lines, or as server-sent events for those who accept them.
pub(super) async fn events(
    State(console): State<Arc<Console>>,
    Named(run): Named,
    Asked(from): Asked<From>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let text = |name: header::HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    let sent = text(header::ACCEPT).contains("text/event-stream");
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let console_ = Arc::clone(&console);
    let record = blocking(move || Ok(desk(&console_).find(&run)?)).await?;
    let reader = Reader {
        console,
        run: record.id,
        after: seen.unwrap_or(from.after),
        follow: from.follow || sent,
        sent,
        quiet: 0,
        over: false,
    };
    let body = Body::from_stream(futures::stream::unfold(reader, Reader::next));
    let kind = if sent { "text/event-stream" } else { "application/x-ndjson" };
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], body).into_response())
}

/// Who reads a journal as it grows.
struct Reader {
    console: Arc<Console>,
    run: String,
    after: u64,
    follow: bool,
    sent: bool,
    quiet: u32,
    over: bool,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Bytes, std::io::Error>, Self)> {
        loop {
            if self.over {
                return None;
            }
            let (console, run, after) = (Arc::clone(&self.console), self.run.clone(), self.after);
            let entries = blocking(move || Ok(console.journals.entries(&run, after)?)).await.ok()?;
            self.over = !self.follow || stored::verdict(&entries).is_some();
            if let Some(last) = entries.last() {
                self.after = last.seq;
                self.quiet = 0;
                return Some((
                    Ok(entries.iter().map(|entry| self.line(entry)).collect::<String>().into()),
                    self,
                ));
            }
            if !self.over {
                tokio::time::sleep(LOOK).await;
                self.quiet += 1;
                if self.sent && self.quiet.is_multiple_of(COMMENT) {
                    return Some((Ok(Bytes::from_static(b":\n\n")), self));
                }
            }
        }
    }

    fn line(&self, entry: &Entry) -> String {
        let text = serde_json::to_string(entry).unwrap_or_default();
        if self.sent { format!("id: {}\ndata: {text}\n\n", entry.seq) } else { format!("{text}\n") }
    }
}

/// What a person decides about a run.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Act {
    Approve,
    Reject,
    Cancel,
    Skip,
    MarkDone,
    Retry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    act: Act,
    /// The call or step that is skipped or marked, or that asks, when several do.
    #[serde(default)]
    call: String,
    /// What the script is given for what was done by hand.
    #[serde(default)]
    value: Value,
    #[serde(default)]
    note: String,
    #[serde(default)]
    evidence: String,
}

impl Decision {
    /// What an act has no use for would be passed over in silence.
    fn check(&self) -> Result<(), Refused> {
        let (takes_call, takes_value) = match self.act {
            Act::Approve | Act::Reject | Act::Skip => (true, false),
            Act::MarkDone => (true, true),
            Act::Cancel | Act::Retry => (false, false),
        };
        let unused = match self {
            Self { call, .. } if !takes_call && !call.is_empty() => "call",
            Self { value, .. } if !takes_value && !value.is_null() => "value",
            _ => return Ok(()),
        };
        let error = CallError::argument(format!("this act takes no `{unused}`"));
        let error = error.hint("docs/api.md#decisions says what each takes");
        Err(Refused::of(StatusCode::UNPROCESSABLE_ENTITY, error))
    }

    fn question(&self) -> Option<&str> {
        Some(self.call.as_str()).filter(|call| !call.is_empty())
    }
}

pub(super) async fn decide(
    State(console): State<Arc<Console>>,
    Named(run): Named,
    Extension(holder): Extension<Option<Holder>>,
    Asking(decision): Asking<Decision>,
) -> Answer<Value> {
    decision.check()?;
    let person = Person(holder.map(|holder| holder.name).unwrap_or_default());
    blocking(move || {
        let desk = desk(&console);
        let run = desk.find(&run)?.id;
        let by = Decider { person: &person, note: &decision.note, evidence: &decision.evidence };
        let (act, keys) = match decision.act {
            Act::Approve => ("approved", vec![desk.approve(&run, decision.question(), &by)?.call]),
            Act::Reject => ("rejected", vec![desk.reject(&run, decision.question(), &by)?.call]),
            Act::Skip => ("skipped", vec![desk.skip(&run, &decision.call, &by)?]),
            Act::MarkDone => {
                ("marked done", vec![desk.mark_done(&run, &decision.call, decision.value, &by)?])
            }
            Act::Retry => ("retried", retry(&desk, &run, &by)?),
            Act::Cancel => {
                desk.cancel(&run, &by)?;
                ("cancelled", Vec::new())
            }
        };
        Ok(Json(json!({ "run": run, "act": act, "keys": keys, "person": person })))
    })
    .await
}

/// Only what waits goes on by itself; a run that has ended is executed again by whoever asks for it.
fn retry(desk: &Desk<'_>, run: &str, by: &Decider<'_>) -> Result<Vec<String>, CallError> {
    if desk.pending(run)?.is_empty() {
        let message = format!("`{run}` does not wait for somebody to say what happened");
        return Err(CallError::new(codes::NOT_POSSIBLE, message)
            .hint(format!("`aegis retry {run}` takes up a run that has failed")));
    }
    desk.retry(run, by)
}

fn desk(console: &Console) -> Desk<'_> {
    Desk { store: &*console.journals, clock: &*console.clock }
}
