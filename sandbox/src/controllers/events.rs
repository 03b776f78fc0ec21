//! Events: what `kubectl describe` shows below an object.
//!
//! A note becomes a v1 Event. The same note again counts up the Event it made before, many similar ones
//! become one, and a source that says too much is not heard (`correlator`), as with the real recorder:
//! a crash loop does not fill the cluster. Events go after an hour (`event_expiry`), the API server's
//! default time to live.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::cache::Cache;
use super::correlator::Correlator;
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

/// A reference as the real recorders make it: to a node they name no version.
fn reference(object: &Value) -> Value {
    let mut about = json!({
        "kind": object.text("/kind"),
        "namespace": object.namespace(),
        "name": object.name(),
        "uid": object.uid(),
        "apiVersion": object.text("/apiVersion"),
    });
    if object.text("/kind") != "Node" {
        about["resourceVersion"] = object.at("/metadata/resourceVersion").clone();
    }
    about
}

/// Who says it: one note of one source is one Event that counts. Similar notes told as one share the
/// empty message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Said {
    source: &'static str,
    uid: String,
    reason: &'static str,
    message: String,
    place: String,
}

/// The Event a note became, by namespace and name, and how often it was said, heard or not.
#[derive(Debug)]
struct Told {
    event: (String, String),
    times: i64,
}

/// Remembers which note became which Event.
#[derive(Debug, Default)]
pub struct Recorder {
    told: HashMap<Said, Told>,
    said: HashMap<(String, String), Said>,
    correlator: Correlator,
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
    /// The Event that `note`, said by the controller `source`, becomes; none when it says too much.
    pub fn record(
        &mut self,
        note: &Note,
        source: &'static str,
        cache: &Cache,
        ambient: &Ambient,
    ) -> Option<Record> {
        let is_one_of_many = self.correlator.is_one_of_many(note, source, ambient.now());
        let message = match is_one_of_many {
            true => format!("(combined from similar events): {}", note.message),
            false => note.message.clone(),
        };
        let said = Said {
            source,
            uid: note.about.text("/uid").to_owned(),
            reason: note.reason,
            message: if is_one_of_many { String::new() } else { note.message.clone() },
            place: note.about.text("/fieldPath").to_owned(),
        };
        let allowed = self.correlator.allows(note, source, ambient.now());
        let told = self.told.get_mut(&said).filter(|_| source != SCHEDULER || is_one_of_many);
        if let Some(told) = told
            && let Some(event) = cache.told(&told.event.0, &told.event.1)
        {
            told.times += 1;
            return allowed.then(|| Record::Again(counted_up(&event, message, told.times, ambient)));
        }
        allowed.then(|| {
            let mut event = self.event(note, source, ambient);
            event["message"] = message.into();
            if source == SCHEDULER {
                name_as_events_v1(&mut event);
            }
            self.remember(said, &event);
            Record::New(event)
        })
    }

    fn remember(&mut self, said: Said, event: &Value) {
        let place = (event.namespace().to_owned(), event.name().to_owned());
        self.said.insert(place.clone(), said.clone());
        self.told.insert(said, Told { event: place, times: 1 });
    }

    /// Forgets the note whose Event is gone, so that memory follows the cluster.
    pub fn forget(&mut self, namespace: &str, name: &str) {
        let place = (namespace.to_owned(), name.to_owned());
        if let Some(said) = self.said.remove(&place)
            && self.told.get(&said).is_some_and(|told| told.event == place)
        {
            self.told.remove(&said);
        }
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

fn name_as_events_v1(event: &mut Value) {
    event["apiVersion"] = "events.k8s.io/v1".into();
    let Value::Object(fields) = event else { return };
    for (core, grouped) in
        [("involvedObject", "regarding"), ("message", "note"), ("reportingComponent", "reportingController")]
    {
        if let Some(value) = fields.remove(core) {
            fields.insert(grouped.into(), value);
        }
    }
    for field in ["source", "firstTimestamp", "lastTimestamp"] {
        fields.remove(field);
    }
}

fn counted_up(event: &Object, message: String, times: i64, ambient: &Ambient) -> Value {
    let mut event = Value::clone(event);
    event["message"] = message.into();
    set(&mut event, "/count", times.into());
    set(&mut event, "/lastTimestamp", ambient.timestamp().into());
    event
}
