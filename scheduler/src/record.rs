//! What is kept of an instant: one record, whatever came of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use std::collections::BTreeMap;

use aegis_engine::journal::Verdict;

/// The record of one instant of one schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The schedule.
    pub schedule: String,
    /// The instant.
    pub instant: Timestamp,
    /// When it was decided.
    pub decided: Timestamp,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Who wanted it, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Parameters from the event, for triggers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub given: BTreeMap<String, Value>,
    /// More for people: which freeze, until when.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What came of an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// A run was promised to it, and is started under this id and no other.
    Started {
        /// The run.
        run: String,
        /// How it ended; `None`: it has not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verdict: Option<Verdict>,
    },
    /// It waits for the end of a run before it.
    Waiting,
    /// There is no run.
    NotStarted {
        /// Why.
        why: Why,
    },
}

/// Why an instant has no run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Nobody was there to start it in time.
    EngineDown,
    /// A run of the schedule was under way.
    Overlap,
    /// Changes were frozen.
    Frozen,
    /// The schedule was paused.
    Paused,
    /// No maintenance window was open.
    OutsideWindow,
    /// Clocks went over it, and the policy leaves it out.
    SkippedHour,
    /// Effects were halted.
    Halted,
    /// The runbook, its parameters or its target cannot be used.
    Refused,
    /// The same has happened before, and started a run already.
    Duplicate,
    /// Its trigger has started as many runs as it may.
    RateLimited,
}

impl Why {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::EngineDown,
        Self::Overlap,
        Self::Frozen,
        Self::Paused,
        Self::OutsideWindow,
        Self::SkippedHour,
        Self::Halted,
        Self::Refused,
        Self::Duplicate,
        Self::RateLimited,
    ];

    /// The word as it stands in lists.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::EngineDown => "engine-down",
            Self::Overlap => "overlap",
            Self::Frozen => "frozen",
            Self::Paused => "paused",
            Self::OutsideWindow => "outside-window",
            Self::SkippedHour => "skipped-hour",
            Self::Halted => "halted",
            Self::Refused => "refused",
            Self::Duplicate => "duplicate",
            Self::RateLimited => "rate-limited",
        }
    }

    /// True for what somebody has to hear of: nobody decided that it should not run, neither now nor beforehand.
    #[must_use]
    pub const fn is_missed(self) -> bool {
        matches!(self, Self::EngineDown | Self::Refused)
    }
}

impl Record {
    /// The run that was promised to it.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Started { run, .. } => Some(run),
            _ => None,
        }
    }

    /// Why there is no run.
    #[must_use]
    pub const fn why(&self) -> Option<Why> {
        match self.outcome {
            Outcome::NotStarted { why } => Some(why),
            _ => None,
        }
    }
}

/// The id of the run of an instant: `nightly-20261123-020000-k3f9`. It follows from schedule and instant alone, so that
/// an instant can never have two runs, whoever starts it.
#[must_use]
pub fn run_id(schedule: &str, instant: Timestamp) -> String {
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = schedule.chars().map(plain).collect();
    let hash = Sha256::digest(format!("{schedule}\u{1f}{}", instant.as_nanosecond()).as_bytes());
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    // Instants of schedules are whole seconds; many events may happen within one.
    let letters = if instant.subsec_nanosecond() == 0 { 4 } else { 8 };
    let tail: String = hash.iter().take(letters).map(letter).collect();
    format!("{}-{}-{tail}", name.trim_matches('-'), instant.strftime("%Y%m%d-%H%M%S"))
}
