//! Keeps a flood of notes from becoming a flood of Events, by the rules of every Kubernetes component.
//!
//! Notes that differ only in their words are told as one after a while, and one source may say only so
//! much about one object. The rules and numbers are those of client-go's `EventCorrelator`. `events`
//! asks; nothing here writes.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::events::Note;
use super::fields::Fields;

/// From this many different messages on, similar notes are told as one.
const MANY: usize = 10;
/// Similar notes further apart than this begin anew.
const INTERVAL: SignedDuration = SignedDuration::from_secs(600);
/// What one source may say about one object at once.
const BURST: f64 = 25.0;
/// How long it takes until it may say one thing more.
const REFILL: SignedDuration = SignedDuration::from_secs(300);
/// From this many entries on, those that were quiet for [`INTERVAL`] are forgotten.
const REMEMBERED: usize = 4096;

/// Who speaks about which object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Speaker {
    source: &'static str,
    uid: String,
}

impl Speaker {
    fn of(note: &Note, source: &'static str) -> Self {
        Self { source, uid: note.about.text("/uid").to_owned() }
    }
}

/// The messages that similar notes had of late.
#[derive(Debug)]
struct Variants {
    messages: HashSet<String>,
    last: Timestamp,
}

/// What a speaker may still say.
#[derive(Debug)]
struct Budget {
    left: f64,
    last: Timestamp,
}

/// Remembers who said what of late.
#[derive(Debug, Default)]
pub struct Correlator {
    variants: HashMap<(Speaker, &'static str, &'static str), Variants>,
    budgets: HashMap<Speaker, Budget>,
    tidy_at: usize,
}

impl Correlator {
    /// Whether `note` is one of so many similar ones that they are told as one.
    pub fn is_one_of_many(&mut self, note: &Note, source: &'static str, now: Timestamp) -> bool {
        self.tidy(now);
        let group = (Speaker::of(note, source), note.kind, note.reason);
        let held = self.variants.entry(group);
        let held = held.or_insert_with(|| Variants { messages: HashSet::new(), last: now });
        if now.duration_since(held.last) > INTERVAL {
            held.messages.clear();
        }
        held.last = now;
        held.messages.insert(note.message.clone());
        let is_many = held.messages.len() >= MANY;
        if is_many {
            held.messages.remove(&note.message);
        }
        is_many
    }

    /// Whether `source` may say one thing more about the object of `note`.
    pub fn allows(&mut self, note: &Note, source: &'static str, now: Timestamp) -> bool {
        let held = self.budgets.entry(Speaker::of(note, source));
        let budget = held.or_insert_with(|| Budget { left: BURST, last: now });
        let refilled = now.duration_since(budget.last).as_secs_f64() / REFILL.as_secs_f64();
        budget.left = (budget.left + refilled).min(BURST);
        budget.last = now;
        let allows = budget.left >= 1.0;
        if allows {
            budget.left -= 1.0;
        }
        allows
    }

    /// Forgets the quiet ones, each time that twice as much has come together.
    fn tidy(&mut self, now: Timestamp) {
        if self.variants.len() < self.tidy_at.max(REMEMBERED) {
            return;
        }
        let is_recent = |last: Timestamp| now.duration_since(last) <= INTERVAL;
        self.variants.retain(|_, held| is_recent(held.last));
        self.budgets.retain(|_, held| is_recent(held.last));
        self.tidy_at = self.variants.len() * 2;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn note(message: &str) -> Note {
        let object = json!({"kind": "ReplicaSet", "metadata": {"name": "web", "uid": "1"}});
        Note::warning(&object, "FailedCreate", message)
    }

    #[test]
    fn the_tenth_message_is_told_with_the_others_until_ten_quiet_minutes() {
        let now = Timestamp::UNIX_EPOCH;
        let mut correlator = Correlator::default();
        let told: Vec<bool> = (0..12)
            .map(|number| correlator.is_one_of_many(&note(&number.to_string()), "replicaset-controller", now))
            .collect();
        assert_eq!(told.iter().position(|many| *many), Some(9));
        assert_eq!(told.iter().filter(|many| **many).count(), 3);
        assert!(!correlator.is_one_of_many(&note("3"), "replicaset-controller", now), "a known message");
        let later = now + SignedDuration::from_secs(601);
        assert!(!correlator.is_one_of_many(&note("new"), "replicaset-controller", later));
    }

    #[test]
    fn a_speaker_has_a_burst_and_then_one_word_in_five_minutes() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut correlator = Correlator::default();
        let mut said = |now| correlator.allows(&note("no"), "replicaset-controller", now);
        assert_eq!((0..40).filter(|_| said(now)).count(), 25);
        now += SignedDuration::from_secs(299);
        assert!(!said(now));
        now += SignedDuration::from_secs(1);
        assert!(said(now) && !said(now));
    }
}
