//! Events: what `kubectl describe` shows below an object.
//!
//! A note becomes a v1 Event. The same note again counts up the Event it made before, as the real
//! recorder does, so that a crash loop does not fill the cluster. Events go after an hour
//! (`event_expiry`), the API server's default time to live.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::cache::Cache;
use super::fields::{Fields, Object, set};
use crate::ambient::Ambient;

/// One thing worth telling about one object.
#[derive(Debug, Clone)]
pub struct Note {
    /// A reference to the object.
    pub about: Value,
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    /// One CamelCase word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

impl Note {
    /// A note of type `Normal`.
    pub fn normal(object: &Value, reason: &'static str, message: impl Into<String>) -> Self {
        Self { about: reference(object), kind: "Normal", reason, message: message.into() }
    }

    /// A note of type `Warning`.
    pub fn warning(object: &Value, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind: "Warning", ..Self::normal(object, reason, message) }
    }

    /// Points at one container, as a kubelet's notes do.
    pub fn at(mut self, field_path: &str) -> Self {
        set(&mut self.about, "/fieldPath", field_path.into());
        self
    }
}

fn reference(object: &Value) -> Value {
    json!({
        "kind": object.text("/kind"),
        "namespace": object.namespace(),
        "name": object.name(),
        "uid": object.uid(),
        "apiVersion": object.text("/apiVersion"),
        "resourceVersion": object.text("/metadata/resourceVersion"),
    })
}

/// Who says it: one note of one source is one Event that counts.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Said {
    source: &'static str,
    uid: String,
    reason: &'static str,
    message: String,
    place: String,
}

/// Remembers which note became which Event.
#[derive(Debug, Default)]
pub struct Recorder {
    said: HashMap<Said, (String, String)>,
    last_stamp: i128,
}

/// An Event to write: a new one, or one that counts up.
pub enum Record {
    /// Create this.
    New(Value),
    /// Replace by this.
    Again(Value),
}

impl Recorder {
    /// The Event that `note`, said by the controller `source`, becomes.
    pub fn record(&mut self, note: &Note, source: &'static str, cache: &Cache, ambient: &Ambient) -> Record {
        let said = Said {
            source,
            uid: note.about.text("/uid").to_owned(),
            reason: note.reason,
            message: note.message.clone(),
            place: note.about.text("/fieldPath").to_owned(),
        };
        let held = self.said.get(&said).and_then(|(namespace, name)| cache.get("Event", namespace, name));
        if let Some(event) = held.filter(|_| source != SCHEDULER) {
            return Record::Again(counted_up(event, ambient));
        }
        let event = self.event(note, source, ambient);
        self.said.insert(said, (event.namespace().to_owned(), event.name().to_owned()));
        Record::New(event)
    }

    /// Forgets notes whose Events are gone, so that memory follows the cluster.
    pub fn forget(&mut self, namespace: &str, name: &str) {
        self.said.retain(|_, held| held.0 != namespace || held.1 != name);
    }

    fn event(&mut self, note: &Note, source: &'static str, ambient: &Ambient) -> Value {
        let namespace = match note.about.text("/namespace") {
            "" => "default",
            namespace => namespace,
        };
        let now = ambient.timestamp();
        let mut event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "name": self.event_name(note, ambient), "namespace": namespace },
            "involvedObject": note.about,
            "reason": note.reason,
            "message": note.message,
            "type": note.kind,
            "source": { "component": source },
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "eventTime": null,
            "reportingComponent": source,
            "reportingInstance": "",
        });
        if source == SCHEDULER {
            write_as_events_v1(&mut event, note, ambient);
        }
        event
    }

    /// The object's name, a dot, and the moment in nanoseconds as hex, never the same twice.
    fn event_name(&mut self, note: &Note, ambient: &Ambient) -> String {
        let stamp = ambient.now().as_nanosecond().max(self.last_stamp + 1);
        self.last_stamp = stamp;
        format!("{}.{stamp:x}", note.about.text("/name"))
    }
}

/// The scheduler alone writes through `events.k8s.io`, which keeps other fields.
const SCHEDULER: &str = "default-scheduler";

fn write_as_events_v1(event: &mut Value, note: &Note, ambient: &Ambient) {
    event["source"] = json!({});
    event["firstTimestamp"] = Value::Null;
    event["lastTimestamp"] = Value::Null;
    event["eventTime"] = ambient.micro_timestamp().into();
    event["action"] = if note.reason == "Scheduled" { "Binding" } else { "Scheduling" }.into();
    event["reportingInstance"] = "default-scheduler-aegis".into();
    if let Value::Object(fields) = event {
        fields.remove("count");
    }
}

fn counted_up(event: &Object, ambient: &Ambient) -> Value {
    let mut event = Value::clone(event);
    let count = event.count("/count") + 1;
    set(&mut event, "/count", count.into());
    set(&mut event, "/lastTimestamp", ambient.timestamp().into());
    event
}
