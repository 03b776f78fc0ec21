//! What starts runs beside the clock: a notification of Alertmanager, a signed webhook, an event of a Kubernetes cluster, a
//! new object in a bucket. Each event has one record, as each instant of a schedule has.
//!
//! ```text
//! payload -> events (match, key, parameters) -> Intake (known? the same as another? too many?) -> Service -> Record
//! ```
//!
//! - [`Trigger`]: what is declared, and pure: which events a payload holds
//! - [`payload`]: the parts of payloads that are events
//! - [`signature`]: whether a webhook comes from whom it says, and now
//! - [`intake`]: what becomes of an event
//!
//! Nothing here listens or asks: whoever receives payloads hands them in.

pub mod intake;
pub mod payload;
pub mod signature;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aegis_engine::runbook::Header;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use intake::{Answer, Intake};
pub use signature::Signature;

use crate::record::Why;

/// A trigger. Its runbook, target and policies are those of the schedule of its name.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// Its name: unique among schedules and triggers.
    pub name: Arc<str>,
    /// Where its events come from.
    pub source: Source,
    /// The target, whose cluster or storage is looked at.
    pub target: Arc<str>,
    /// What an event must say: JSON Pointer (RFC 6901), and the values one of which must stand there.
    pub matches: Vec<(String, Vec<Value>)>,
    /// Parameters by name, and where in the event their values stand.
    pub fill: Vec<(String, String)>,
    /// What makes two events the same: the values at these places. Empty: the source's own idea of that.
    pub key: Vec<String>,
    /// For how long the same event starts nothing more.
    pub window: Duration,
    /// How many runs it may start.
    pub rate: Rate,
    /// What the runbook takes.
    pub header: Arc<Header>,
    /// Parameters that every run of it has.
    pub params: Arc<BTreeMap<String, Value>>,
}

/// Where events come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Alerts in notifications of Alertmanager (webhook payload version 4), sent with a token.
    Alertmanager {
        /// `firing`, `resolved`, or `None` for both.
        status: Option<&'static str>,
    },
    /// Signed JSON from anywhere.
    Webhook {
        /// How it is signed.
        signature: Signature,
        /// The environment variable with the key.
        variable: String,
    },
    /// Events (`v1/Event`) of the target's cluster.
    Kubernetes {
        /// Of this namespace; `None`: of all.
        namespace: Option<String>,
    },
    /// Objects that come to be in the target's storage.
    S3 {
        /// What their URLs begin with.
        url: String,
        /// How often they are looked for.
        every: Duration,
    },
}

/// How many runs a trigger may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// This many.
    pub most: u32,
    /// In any time of this length.
    pub per: Duration,
}

impl Source {
    /// The word of it in files.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Alertmanager { .. } => "alertmanager",
            Self::Webhook { .. } => "webhook",
            Self::Kubernetes { .. } => "kubernetes",
            Self::S3 { .. } => "s3",
        }
    }
}

/// Something that happened, and what it means for the trigger it matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The trigger.
    pub trigger: Arc<str>,
    /// The same text for what is the same.
    pub key: String,
    /// When it happened, where it says so in a way that is the same each time it is told of; else when it came.
    pub instant: Option<Timestamp>,
    /// Who wants it, where a person does.
    pub by: Option<String>,
    /// Parameters from it.
    pub given: BTreeMap<String, Value>,
    /// How many runs of its trigger all engines together may start.
    pub rate: Option<Rate>,
    /// Why it starts nothing, as far as it says so itself.
    pub hindered: Option<(Why, String)>,
}

impl Trigger {
    /// The event that a part of a payload is; `None`: it is none that the trigger is for.
    #[must_use]
    pub fn event(&self, part: &payload::Part) -> Option<Event> {
        let says = |(pointer, allowed): &(String, Vec<Value>)| {
            part.value.pointer(pointer).is_some_and(|found| allowed.contains(found))
        };
        if !self.matches.iter().all(says) {
            return None;
        }
        let (given, hindered) = self.filled(&part.value);
        let key = if self.key.is_empty() { part.key.clone() } else { self.key_of(&part.value) };
        let trigger = Arc::clone(&self.name);
        Some(Event { trigger, key, instant: part.instant, by: None, given, rate: Some(self.rate), hindered })
    }

    fn key_of(&self, value: &Value) -> String {
        let at = |pointer: &String| value.pointer(pointer).map_or_else(|| "-".to_owned(), plain);
        self.key.iter().map(at).collect::<Vec<_>>().join(" ")
    }

    /// The parameters, and why they cannot be used.
    fn filled(&self, value: &Value) -> (BTreeMap<String, Value>, Option<(Why, String)>) {
        let found = self.fill.iter().filter_map(|(name, pointer)| {
            Some((name.clone(), value.pointer(pointer).filter(|value| !value.is_null())?.clone()))
        });
        let given: BTreeMap<String, Value> = found.collect();
        let mut all = (*self.params).clone();
        all.extend(given.clone());
        let mut header = (*self.header).clone();
        header.params.retain(|name, spec| !spec.secret || all.contains_key(name));
        // Secret ones come from the environment of whoever runs it.
        all.retain(|name, _| header.params.get(name).is_none_or(|spec| !spec.secret));
        header.params.retain(|_, spec| !spec.secret);
        let wrong =
            header.bind(&all, &BTreeMap::new()).err().and_then(|problems| problems.into_iter().next());
        let hindered = wrong.map(|problem| {
            let about = problem.message.split('`').nth(1).unwrap_or_default();
            let at = self.fill.iter().find(|(name, _)| name == about).map(|(_, pointer)| pointer);
            let place = at.map(|pointer| format!(" (`{pointer}` of the event)")).unwrap_or_default();
            (Why::Refused, format!("{}{place}", problem.message))
        });
        (given, hindered)
    }
}

/// A second, made an instant of its own for one of the things that happened in it: the same each time.
#[must_use]
pub fn instant_of(second: Timestamp, identity: &str) -> Timestamp {
    let hash = Sha256::digest(identity.as_bytes());
    let share = hash.iter().take(8).fold(0_u64, |share, byte| (share << 8) | u64::from(*byte));
    let nanoseconds = i64::try_from(share % 1_000_000_000).unwrap_or_default();
    let whole = Timestamp::from_second(second.as_second()).unwrap_or(second);
    whole.checked_add(jiff::SignedDuration::from_nanos(nanoseconds)).unwrap_or(whole)
}

/// A value as part of a key.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
