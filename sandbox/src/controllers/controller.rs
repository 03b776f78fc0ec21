//! The one shape of a controller: which kind it keeps right, what wakes it, and a pure `reconcile`.
//!
//! ```text
//!  store change -> Cache -> wakes() -> queue -> reconcile(key, world) -> Plan -> Manager writes it
//! ```
//!
//! A reconcile compares what is with what should be and answers the difference as a [`Plan`]. It does
//! no IO and keeps no state: what it must remember stands in the objects. So every controller can be
//! tested as a function, and a cluster that was stopped goes on from its stored objects.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::cache::{Cache, Key};
use super::events::Note;
use super::fields::Object;
use super::settings::Settings;
use crate::ambient::{Ambient, format_seconds};
use crate::kinds::Kinds;
use crate::processes::{Launch, Processes, Signal};

/// One controller: an entry of the visible list in `controllers::ALL`.
pub struct Controller {
    /// Its name as the source of events, such as `deployment-controller`.
    pub name: &'static str,
    /// Who writes: the field manager, such as `kube-controller-manager`.
    pub manager: &'static str,
    /// What wakes it.
    pub wakes: fn(&Change<'_>, &Cache) -> Vec<Key>,
    /// Compares and plans.
    pub reconcile: fn(&Key, &World<'_>) -> Plan,
}

/// One change of one object, as controllers are told about it.
pub struct Change<'a> {
    /// The object's kind, such as `Pod` or `Deployment.apps`.
    pub kind: &'a str,
    /// The object after the change; its last state when it is gone.
    pub object: &'a Object,
    /// The object before the change; none for a new one.
    pub previous: Option<&'a Object>,
    /// Whether the object is gone.
    pub gone: bool,
}

impl Change<'_> {
    /// The key of the changed object.
    pub fn key(&self) -> Key {
        Key::of(self.object)
    }

    /// The changed object itself when it is of `kind`.
    pub fn itself(&self, kind: &str) -> Vec<Key> {
        if self.kind == kind { vec![self.key()] } else { Vec::new() }
    }

    /// The object of `kind` that controls the changed one, now or before the change.
    pub fn controller(&self, kind: &str) -> Vec<Key> {
        use super::fields::Fields;
        let states = [Some(self.object), self.previous];
        let owners = states
            .iter()
            .flatten()
            .filter_map(|object| object.controller().map(|owner| Key::of_owner(owner, object.namespace())));
        let mut keys: Vec<Key> = owners.filter(|key| key.kind == kind).collect();
        keys.dedup();
        keys
    }
}

/// What a reconcile may look at.
pub struct World<'a> {
    /// Every object.
    pub cache: &'a Cache,
    /// Clock and randomness.
    pub ambient: &'a Ambient,
    /// How this cluster behaves.
    pub settings: &'a Settings,
    /// Why the last plan for this key could not be carried out, as the API server said it.
    pub failure: Option<&'a str>,
    /// When each stage of each object was first seen.
    pub marks: &'a Marks,
    /// The kinds the cluster serves.
    pub kinds: &'a Kinds,
    /// The containers that really run.
    pub processes: &'a Processes,
}

/// When stages of objects began, to the nanosecond: objects hold whole seconds only. Forgotten with the
/// process; a stage then begins again, which no outcome depends on.
#[derive(Debug, Default)]
pub struct Marks(Mutex<HashMap<String, HashMap<String, Timestamp>>>);

impl Marks {
    fn first_seen(&self, uid: &str, stage: &str, now: Timestamp) -> Timestamp {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *marks.entry(uid.to_owned()).or_default().entry(stage.to_owned()).or_insert(now)
    }

    /// Whether a moment is after the one that was last told of a stage; remembers it then.
    pub fn advances(&self, uid: &str, stage: &str, moment: Timestamp) -> bool {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stages = marks.entry(uid.to_owned()).or_default();
        let is_later = stages.get(stage).is_none_or(|last| moment > *last);
        if is_later {
            stages.insert(stage.to_owned(), moment);
        }
        is_later
    }

    /// Whether a stage begins now: true the first time it is asked about.
    pub fn begins(&self, uid: &str, stage: &str, now: Timestamp) -> bool {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        marks.entry(uid.to_owned()).or_default().insert(stage.to_owned(), now).is_none()
    }

    /// Lets a stage begin anew when it is next asked about.
    pub fn restart(&self, uid: &str, stage: &str) {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stages) = marks.get_mut(uid) {
            stages.remove(stage);
        }
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

impl World<'_> {
    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.ambient.now()
    }
    /// The present moment as objects hold it.
    pub fn timestamp(&self) -> String {
        self.ambient.timestamp()
    }
    /// The plural name and group of an object's kind, as `pods.` and `deployments.apps`.
    pub fn resource_of(&self, object: &Value) -> String {
        use super::fields::Fields;
        let kind = self.kinds.of_object(object);
        kind.map_or_else(
            || object.text("/kind").to_lowercase(),
            |kind| format!("{}.{}", kind.plural, kind.group),
        )
    }
    /// How long ago the moment held in an object was; zero when it cannot be read.
    pub fn since(&self, moment: &str) -> Duration {
        let then = moment.parse::<Timestamp>().unwrap_or_else(|_| self.now());
        Duration::try_from(self.now().duration_since(then)).unwrap_or_default()
    }
    /// How long ago a stage of the object with `uid` was first asked about; zero the first time.
    pub fn stopwatch(&self, uid: &str, stage: &str) -> Duration {
        let now = self.now();
        let began = self.marks.first_seen(uid, stage, now);
        Duration::try_from(now.duration_since(began)).unwrap_or_default()
    }
    /// What is left of `span` since a stage was first asked about; none when it is over.
    pub fn left_since(&self, span: Duration, uid: &str, stage: &str) -> Option<Duration> {
        span.checked_sub(self.stopwatch(uid, stage)).filter(|left| !left.is_zero())
    }
    /// How much is left of `span` that began at `moment`; none when it is over. Moments in objects are
    /// whole seconds, cut off, so up to one second more than the span may pass unless it is measured here.
    pub fn left_of(&self, span: Duration, moment: &str) -> Option<Duration> {
        span.checked_sub(self.since(moment)).filter(|left| !left.is_zero())
    }
    /// The moment `ahead` from now as objects hold it.
    pub fn timestamp_in(&self, ahead: Duration) -> String {
        format_seconds(self.now() + jiff::SignedDuration::try_from(ahead).unwrap_or_default())
    }
}

/// What a reconcile wants done: writes in order, and when to look again without a change.
#[derive(Debug, Default)]
pub struct Plan {
    /// Carried out in order; the first refusal drops the rest.
    pub writes: Vec<Write>,
    /// Look again after this much simulated time.
    pub again: Option<Again>,
}

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Work is under way: a settled cluster has none of these left.
    Soon(Duration),
    /// Nothing is under way; this is upkeep or a clock, such as a heartbeat or a schedule.
    Upkeep(Duration),
}

impl Plan {
    /// Nothing to do.
    pub fn nothing() -> Self {
        Self::default()
    }
    /// These writes.
    pub fn of(writes: Vec<Write>) -> Self {
        Self { writes, again: None }
    }
    /// Adds one write.
    pub fn push(&mut self, write: Write) {
        self.writes.push(write);
    }
    /// Adds a note about `object` that people read with `kubectl describe`.
    pub fn note(&mut self, object: &Value, reason: &'static str, message: impl Into<String>) {
        self.writes.push(Write::Note(Note::normal(object, reason, message)));
    }
    /// Adds a note of type `Warning`.
    pub fn warn(&mut self, object: &Value, reason: &'static str, message: impl Into<String>) {
        self.writes.push(Write::Note(Note::warning(object, reason, message)));
    }
    /// Looks again when work under way should have moved; the earlier of several wins.
    pub fn soon(&mut self, after: Duration) {
        self.again = Some(match self.again {
            Some(Again::Soon(held)) => Again::Soon(held.min(after)),
            _ => Again::Soon(after),
        });
    }
    /// Looks again some time, without counting as work under way.
    pub fn upkeep(&mut self, after: Duration) {
        self.again = match self.again {
            Some(Again::Soon(held)) => Some(Again::Soon(held)),
            Some(Again::Upkeep(held)) => Some(Again::Upkeep(held.min(after))),
            None => Some(Again::Upkeep(after)),
        };
    }
    /// Replaces the status of `object` unless it is that already.
    pub fn status(&mut self, object: &Value, status: Value) {
        if object.get("status") != Some(&status) {
            let mut object = object.clone();
            object["status"] = status;
            self.writes.push(Write::Status(object));
        }
    }
    /// Replaces `object` by `wanted` unless they are equal.
    pub fn replace(&mut self, object: &Value, wanted: Value) {
        if *object != wanted {
            self.writes.push(Write::Replace(wanted));
        }
    }
}

/// One write to the API.
#[derive(Debug, Clone)]
pub enum Write {
    /// Creates an object; refused when it exists.
    Create(Value),
    /// Creates an object unless it exists.
    Ensure(Value),
    /// Replaces an object; refused when it changed since it was read.
    Replace(Value),
    /// Replaces an object's status; refused when it changed since it was read.
    Status(Value),
    /// Applies fields of an object, or of a subresource of it, by force: those that stand in it and no others.
    Apply {
        /// The fields, below the object's kind and name.
        object: Value,
        /// `status`, or empty.
        subresource: &'static str,
    },
    /// Fills a Secret with a token of an account.
    Token {
        /// The Secret as it was read.
        secret: Value,
        /// The account.
        account: Value,
    },
    /// Sets an object's size through its `scale`.
    Scale(Value),
    /// Writes a namespace's `spec.finalizers`.
    Finalize(Value),
    /// Binds a pod to a node.
    Bind {
        /// The pod as it was read.
        pod: Value,
        /// The node's name.
        node: String,
    },
    /// Deletes an object as it was read (its uid is a precondition).
    Delete {
        /// The object as it was read.
        object: Value,
        /// Grace in seconds; none leaves it to the object.
        grace: Option<u64>,
        /// `Background`, `Foreground` or `Orphan`; none leaves it to the kind.
        propagation: Option<&'static str>,
    },
    /// Records an event.
    Note(Note),
    /// Starts a container as a process.
    Run(Box<Launch>),
    /// Tells every process of a pod something.
    Signal {
        /// The pod's uid.
        pod: String,
        /// What.
        signal: Signal,
    },
}

impl Write {
    /// Deletes an object the usual way.
    pub fn delete(object: &Value) -> Self {
        Self::Delete { object: object.clone(), grace: None, propagation: None }
    }
}
