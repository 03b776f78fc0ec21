//! A schedule: when which runbook runs with which parameters on which target, and its policies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aegis_engine::runbook::{AtWindowEnd, Notify, Risk};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::expression::Expression;

/// One schedule. What is alike in many of them is shared, and nobody copies one: 100,000 fit into 64 MB.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Its name: unique in a project.
    pub name: Arc<str>,
    /// The runbook, relative to the project.
    pub runbook: Arc<str>,
    /// How much can go wrong in it: windows and freezes ask for that.
    pub risk: Risk,
    /// What happens to its runs when their window closes.
    pub at_window_end: AtWindowEnd,
    /// Who hears what of its runs.
    pub notify: Arc<Notify>,
    /// The target; whether it is protected counts for windows.
    pub target: Arc<str>,
    /// Whether the target is protected.
    pub protected: bool,
    /// How many scheduled runs may be under way on the target; `None`: any number.
    pub most_on_target: Option<u32>,
    /// Of the schedules with the same group one run is under way at a time.
    pub group: Option<Arc<str>>,
    /// Parameters of its runs.
    pub params: Arc<BTreeMap<String, Value>>,
    /// When.
    pub when: Arc<Expression>,
    /// On whose clocks.
    pub zone: TimeZone,
    /// Why nothing is started, when the schedule itself says so.
    pub paused: Option<Arc<str>>,
    /// Which of its instants count, and what happens when something is in the way.
    pub policy: Arc<Policy>,
    /// Where it is written.
    pub place: Option<Spot>,
}

/// Where a schedule is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The file, from the project's root.
    pub source: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

impl Spot {
    /// `schedules.toml:9:3`
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}:{}", self.source, self.line, self.column)
    }
}

/// Which instants count, and what happens when something is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    /// No instant before this.
    pub from: Option<Timestamp>,
    /// No instant from this on.
    pub until: Option<Timestamp>,
    /// A run of the schedule is still under way.
    pub overlap: Overlap,
    /// Nobody was there to start it in time.
    pub missed: Missed,
    /// How late a missed run may still be started.
    pub catch_up: Duration,
    /// Runs start up to this much later, each schedule by its own fixed share.
    pub jitter: Duration,
    /// The time is on no wall.
    pub skipped: Skipped,
    /// The time is on the wall twice.
    pub doubled: Doubled,
    /// After this many failed runs in a row it is paused.
    pub pause_after: Option<u32>,
    /// Where runs wait for room, those with a higher one go first.
    pub priority: i32,
}

/// What happens to an instant while a run of the schedule is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It is not started.
    #[default]
    Skip,
    /// One waits for the end of the run, more are not started.
    BufferOne,
    /// All wait, one after the other.
    BufferAll,
    /// The run is cancelled, and the new one starts when that has ended.
    CancelOther,
    /// Both run.
    Allow,
}

/// What happens to instants that nobody was there for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missed {
    /// None of them is started late.
    None,
    /// Only the newest of all that are due is started.
    #[default]
    Last,
    /// All of them are, the oldest first.
    All,
}

/// What happens to a time that is on no wall, because clocks went forward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skipped {
    /// It runs later by the length of the gap.
    #[default]
    Shift,
    /// It does not run that day.
    Skip,
}

/// What happens to a time that is on the wall twice, because clocks went back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubled {
    /// It runs the first time. The default of what does not run every hour.
    #[default]
    First,
    /// It runs the second time.
    Last,
    /// It runs both times. The default of what runs every hour, which would pause otherwise.
    Both,
}

/// The words of a policy as they stand in files, in the order of the help.
macro_rules! words {
    ($($policy:ident: $($variant:ident = $word:literal),*;)*) => {
        $(impl $policy {
            /// Every word of it.
            pub const WORDS: &[&str] = &[$($word),*];

            /// The word as it stands in files and lists.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        })*
    };
}

words! {
    Overlap: Skip = "skip", BufferOne = "buffer-one", BufferAll = "buffer-all", CancelOther = "cancel-other",
        Allow = "allow";
    Missed: None = "none", Last = "last", All = "all";
    Skipped: Shift = "shift", Skip = "skip";
    Doubled: First = "first", Last = "last", Both = "both";
}

impl Schedule {
    /// One that only says when: maintenance windows open by it.
    #[must_use]
    pub fn timed(name: &str, when: Arc<Expression>, zone: TimeZone) -> Self {
        let policy = Policy {
            from: None,
            until: None,
            overlap: Overlap::Allow,
            missed: Missed::None,
            catch_up: Duration::ZERO,
            jitter: Duration::ZERO,
            skipped: Skipped::Shift,
            doubled: if when.is_hourly() { Doubled::Both } else { Doubled::First },
            pause_after: None,
            priority: 0,
        };
        Self {
            name: name.into(),
            runbook: "".into(),
            risk: Risk::Low,
            at_window_end: AtWindowEnd::Continue,
            notify: Arc::default(),
            target: "".into(),
            protected: false,
            most_on_target: None,
            group: None,
            params: Arc::default(),
            when,
            zone,
            paused: None,
            policy: Arc::new(policy),
            place: None,
        }
    }

    /// How much later than its instants its runs start: the same for all of them and on every machine.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let most = u64::try_from(self.policy.jitter.as_millis()).unwrap_or(u64::MAX);
        if most == 0 {
            return Duration::ZERO;
        }
        let hash = Sha256::digest(self.name.as_bytes());
        let share = hash.iter().take(8).fold(0_u64, |share, byte| (share << 8) | u64::from(*byte));
        Duration::from_millis(share % most)
    }

    /// When the run of an instant starts.
    #[must_use]
    pub fn start_of(&self, instant: Timestamp) -> Timestamp {
        instant.checked_add(self.delay()).unwrap_or(Timestamp::MAX)
    }

    /// What instants follow from: a schedule with another one is, for its past, another schedule.
    #[must_use]
    pub fn definition(&self) -> Definition<'_> {
        Definition { when: self.when.text(), zone: self.zone.iana_name().unwrap_or("UTC") }
    }
}

/// What instants follow from, as it is kept with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition<'a> {
    /// The expression.
    pub when: &'a str,
    /// The zone.
    pub zone: &'a str,
}

impl Definition<'_> {
    /// Of a schedule that is no longer there: it has no times.
    pub const NONE: Self = Self { when: "", zone: "" };
}
