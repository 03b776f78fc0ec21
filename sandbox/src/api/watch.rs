//! Following objects: a stream of events that begins with the present state or at a version.
//!
//! An object that leaves the selection is `DELETED` with its last selected state and the version of
//! the change; one that enters is `ADDED`. Bookmarks tell the client how far the stream is.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::accept::{View, negotiate};
use super::answer::{Include, TableShape, included, partial, text_response};
use super::fields::Selection;
use super::query::refuse;
use super::read::served;
use super::status::{Cause, Status};
use super::{Api, Call};
use crate::ambient::Ambient;
use crate::kinds::Kind;
use crate::store::{Event, EventKind, Item, Object, TooOld, Watch};

/// A watch ends after half an hour to an hour when the client names no time.
const DEFAULT_SECONDS: u64 = 1800;
/// How often a bookmark is sent to a client that wants them.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// The last bookmark comes this long before the end.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

impl Api {
    pub(super) fn watch(&self, call: &Call) -> Result<Response, Status> {
        let initial_events = check_options(call)?;
        let selection = Selection::of(call)?;
        let view = negotiate(&call.headers)?.view;
        let include = included(call)?;
        let storage = &call.path.kind.storage;
        let start = start_version(call)?;
        if call.query.number("timeoutSeconds")?.is_some_and(|seconds| seconds < 0) {
            return Ok(stream_response(Vec::new()));
        }
        let replay = initial_events.unwrap_or(start.is_none());
        let list = self.store().list(storage, selection.namespace.as_deref());
        let version = if replay { list.version } else { start.unwrap_or(list.version) };
        let bookmarks = call.query.flag("allowWatchBookmarks");
        let writer = Frames {
            kind: call.path.kind.clone(),
            view,
            include,
            columns_sent: false,
            head: format!("{{\"apiVersion\":\"{}\",", call.path.kind.api_version()).into(),
            ambient: self.store().ambient().clone(),
        };
        let watch = match self.store().watch(storage, version) {
            Ok(watch) => watch,
            Err(too_old) => return Ok(stream_response(vec![writer.too_old(too_old)])),
        };
        let (end, next_bookmark) = deadlines(call, self.store().ambient())?;
        let mut stream = Stream {
            watch,
            selection,
            frames: writer,
            bookmarks,
            bookmarked: None,
            end,
            next_bookmark,
            pending: Bytes::new(),
        };
        if initial_events == Some(true) {
            stream.bookmarked = Some(stream.watch.version());
        }
        let present = if replay { list.items.as_slice() } else { &[] };
        let selection = &stream.selection;
        let selected = present.iter().filter(|item| selection.picks(|| item.outline()));
        stream.pending = stream.frames.initial(selected, version, initial_events == Some(true));
        Ok(text_response(
            200,
            "application/json",
            Body::from_stream(stream::unfold(Some(stream), Stream::step)),
        ))
    }
}

fn stream_response(frames: Vec<Bytes>) -> Response {
    let frames = frames.into_iter().map(Ok::<_, Infallible>);
    text_response(200, "application/json", Body::from_stream(stream::iter(frames)))
}

/// The version to start after; none (also for `0`) to begin with the present state.
fn start_version(call: &Call) -> Result<Option<u64>, Status> {
    match call.query.get("resourceVersion") {
        None | Some("0") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| Status::internal(super::list::not_a_version(text))),
    }
}

/// Whether initial events are asked for (or asked not to come); refuses options that do not fit.
fn check_options(call: &Call) -> Result<Option<bool>, Status> {
    let query = &call.query;
    let initial_events = query.has("sendInitialEvents").then(|| query.flag("sendInitialEvents"));
    let mut causes = Vec::new();
    let field = "resourceVersionMatch";
    match (initial_events, query.get(field)) {
        (Some(_), Some("NotOlderThan")) | (None, None) => {}
        (Some(_), _) => {
            let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            causes.push(Cause::forbidden(field, detail));
        }
        (None, Some(other)) => {
            let detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            causes.push(Cause::forbidden(field, detail));
            if other != "NotOlderThan" {
                causes.push(Cause::unsupported(field, &json!(other), &["NotOlderThan"]));
            }
        }
    }
    if causes.is_empty() && initial_events == Some(true) && !query.flag("allowWatchBookmarks") {
        let detail = "sendInitialEvents requires setting allowWatchBookmarks to true";
        causes.push(Cause::forbidden("allowWatchBookmarks", detail));
    }
    refuse("ListOptions", causes)?;
    Ok(initial_events)
}

/// When the stream ends, and when the first bookmark is due.
fn deadlines(call: &Call, ambient: &Ambient) -> Result<(Instant, Instant), Status> {
    let now = Instant::now();
    let end = match call.query.number("timeoutSeconds")? {
        None | Some(0) => Duration::from_secs(DEFAULT_SECONDS + ambient.below("watches", DEFAULT_SECONDS)),
        Some(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
    };
    let last = end.saturating_sub(BOOKMARK_BEFORE_END);
    let first = if last.is_zero() { end } else { last.min(BOOKMARK_EVERY) };
    Ok((now + end, now + first))
}

/// A running watch: what is still to be sent, and where more comes from.
struct Stream {
    watch: Watch,
    selection: Selection,
    frames: Frames,
    bookmarks: bool,
    /// The version of the last bookmark: nobody needs the same one again.
    bookmarked: Option<u64>,
    end: Instant,
    next_bookmark: Instant,
    pending: Bytes,
}

impl Stream {
    /// The next chunk, and the stream to go on with; none when it has ended.
    async fn step(stream: Option<Self>) -> Option<(Result<Bytes, Infallible>, Option<Self>)> {
        let mut stream = stream?;
        if !stream.pending.is_empty() {
            let chunk = std::mem::take(&mut stream.pending);
            return Some((Ok(chunk), Some(stream)));
        }
        loop {
            tokio::select! {
                events = stream.watch.next() => match events {
                    Ok(events) => {
                        let chunk = stream.frames.changes(&events, &stream.selection);
                        if !chunk.is_empty() {
                            return Some((Ok(chunk), Some(stream)));
                        }
                    }
                    Err(too_old) => return Some((Ok(stream.frames.too_old(too_old)), None)),
                },
                () = tokio::time::sleep_until(stream.next_bookmark), if stream.bookmarks => {
                    stream.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                    if stream.bookmarked.replace(stream.watch.version()) == Some(stream.watch.version()) {
                        continue;
                    }
                    let chunk = stream.frames.bookmark(stream.watch.version(), false);
                    return Some((Ok(chunk), Some(stream)));
                }
                () = tokio::time::sleep_until(stream.end) => return None,
            }
        }
    }
}

/// Writes events in the form the client wants.
struct Frames {
    kind: Arc<Kind>,
    view: View,
    include: Include,
    columns_sent: bool,
    /// How the stored text begins of an object that needs no conversion.
    head: Vec<u8>,
    ambient: Ambient,
}

/// The last state of an object that left the selection, with the version of the change.
fn left(event: &Event) -> Object {
    let mut last = event.previous().map(|old| Value::clone(&old)).unwrap_or_default();
    last["metadata"]["resourceVersion"] = event.version.to_string().into();
    Arc::new(last)
}

impl Frames {
    /// The present state, and a bookmark that ends it when asked for.
    fn initial<'a>(
        &mut self,
        items: impl Iterator<Item = &'a Item>,
        version: u64,
        with_bookmark: bool,
    ) -> Bytes {
        let mut out = Vec::new();
        for item in items {
            self.push(&mut out, "ADDED", Some(&item.text()), || item.object());
        }
        if with_bookmark {
            out.extend_from_slice(&self.bookmark(version, true));
        }
        out.into()
    }

    fn changes(&mut self, events: &[Arc<Event>], selection: &Selection) -> Bytes {
        let mut out = Vec::new();
        for event in events {
            let was = event.kind != EventKind::Added
                && selection.picks(|| event.previous_outline().unwrap_or_default());
            let is = event.kind != EventKind::Deleted && selection.picks(|| event.outline());
            let word = match (was, is) {
                (true, true) => "MODIFIED",
                (false, true) => "ADDED",
                (true, false) => "DELETED",
                (false, false) => continue,
            };
            if is || event.kind == EventKind::Deleted {
                self.push(&mut out, word, Some(&event.text()), || event.object());
            } else {
                self.push(&mut out, word, None, || left(event));
            }
        }
        out.into()
    }

    /// One frame. A text that is what the client wants is sent as it is: what everybody is sent alike is written once.
    fn push(
        &mut self,
        out: &mut Vec<u8>,
        event: &str,
        text: Option<&Bytes>,
        object: impl FnOnce() -> Object,
    ) {
        if let (View::Whole, Some(text)) = (&self.view, text.filter(|text| text.starts_with(&self.head))) {
            return push_frame(out, event, text);
        }
        let object = served(&object(), &self.kind);
        let shown = match &self.view {
            View::Whole => object.to_string(),
            View::Metadata(version) => partial(&object, version).to_string(),
            View::Table(version) => {
                let meta = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                let shape =
                    TableShape::new(&self.kind, version, self.include, self.ambient.now().as_second());
                let with_columns = !std::mem::replace(&mut self.columns_sent, true);
                shape.table([object], &meta, with_columns).to_string()
            }
        };
        push_frame(out, event, shown.as_bytes());
    }

    fn bookmark(&mut self, version: u64, ends_initial_events: bool) -> Bytes {
        let mut object = if self.kind.custom { json!({}) } else { super::strategy::empty(&self.kind) };
        object["kind"] = self.kind.kind.clone().into();
        object["apiVersion"] = self.kind.api_version().into();
        object["metadata"] = json!({"resourceVersion": version.to_string()});
        if ends_initial_events {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let shown = match &self.view {
            View::Whole => object,
            View::Metadata(version) => partial(&object, version),
            View::Table(version) => {
                let shape =
                    TableShape::new(&self.kind, version, self.include, self.ambient.now().as_second());
                let with_columns = !std::mem::replace(&mut self.columns_sent, true);
                let mut table = shape.table([], &object["metadata"], with_columns);
                table["rows"] = json!([{"cells": [], "object": partial(&object, version)}]);
                table
            }
        };
        let mut out = Vec::new();
        push_frame(&mut out, "BOOKMARK", shown.to_string().as_bytes());
        out.into()
    }

    fn too_old(&self, error: TooOld) -> Bytes {
        let mut out = Vec::new();
        // Events are not cached, and so it is the storage that speaks.
        let message = match &*self.kind.kind == "Event" && !self.kind.custom {
            true => "The resourceVersion for the provided watch is too old.".to_owned(),
            false => error.to_string(),
        };
        push_frame(&mut out, "ERROR", Status::expired(message).body().to_string().as_bytes());
        out.into()
    }
}

fn push_frame(out: &mut Vec<u8>, event: &str, object: &[u8]) {
    out.extend_from_slice(format!("{{\"type\":\"{event}\",\"object\":").as_bytes());
    out.extend_from_slice(object);
    out.extend_from_slice(b"}\n");
}
