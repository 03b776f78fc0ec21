//! The entry kinds. Few enough to recite: a run is started, placed and resumed; a call is asked and happened; a
//! step is entered and left; something waits; a person decided; an effect was undone; a script noted
//! something; the run ended.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Format, Location, Placement};
use crate::error::CallError;
use crate::function::{Effect, UndoCall};
use crate::run::Mode;
use crate::runbook::Risk;

/// One record of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the run, from 1, without gaps.
    pub seq: u64,
    /// When, by the engine's clock.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub body: Body,
    /// Hash of this entry and, through it, of everything before (hex SHA-256).
    pub hash: String,
}

/// The hash of an entry: over the hash before, the position, the time and the body as stored.
#[must_use]
pub fn chained(previous: &str, seq: u64, at: &str, body: &str) -> String {
    let mut hash = Sha256::new();
    for part in [previous, &seq.to_string(), at, body] {
        hash.update(part.as_bytes());
        hash.update([0x1f]);
    }
    hex::encode(hash.finalize())
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Body {
    /// The run began.
    Started(Started),
    /// A process took the run up again.
    Resumed {
        /// Who.
        person: Person,
        /// The sources by module name and content hash, when they are not those of the start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sources: Option<BTreeMap<String, String>>,
        /// Why it may go on outside its maintenance window or inside a freeze.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        break_glass: Option<String>,
        /// Where the process is, when it is in a Job.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<Location>,
        /// Version of aegis.
        engine: String,
    },
    /// Whoever watches the run's Job told how it stands with that. Says nothing about what a resume does.
    Placed {
        /// The Job.
        location: Location,
        /// How it stands.
        placement: Placement,
        /// More for people: what keeps it from executing the run, or who wants it there.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
        /// Why it may go on outside its maintenance window or inside a freeze.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        break_glass: Option<String>,
    },
    /// A call is about to be made. Durable before any effect.
    Asked {
        /// The call's place in the run: path of step names, occurrence and item index.
        call: String,
        /// The step, attempt or branch it stands in.
        frame: String,
        /// Which child of the frame it is, from 0.
        ordinal: u32,
        /// `module::function`.
        function: String,
        /// What kind of effect.
        effect: Effect,
        /// All arguments by name; secrets are placeholders.
        arguments: Value,
        /// What the other side may use to remove duplicates. Empty for calls without effect.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        key: String,
        /// The plan's line.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        summary: String,
        /// The live diff, where it was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        diff: Option<String>,
        /// True when the world already was as the call wants it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unchanged: bool,
        /// How it is taken back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<UndoCall>,
        /// Where in the script.
        place: Place,
    },
    /// The outcome of a call. Durable before the script sees it, for effects.
    Happened {
        /// The call.
        call: String,
        /// What came of it.
        outcome: Outcome,
        /// How long it took, without the time that a person thought about it.
        milliseconds: u64,
    },
    /// A step's attempt, or a parallel block, began.
    Entered {
        /// The step's place in the run.
        step: String,
        /// The frame it stands in.
        frame: String,
        /// Which child of the frame it is, from 0.
        ordinal: u32,
        /// Its name.
        name: String,
        /// From 1.
        attempt: u32,
        /// Number of branches, for a parallel block.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        branches: Option<usize>,
        /// Where in the script.
        place: Place,
    },
    /// A step's attempt, or a parallel block, ended.
    Left {
        /// The step.
        step: String,
        /// The attempt.
        attempt: u32,
        /// What came of it.
        outcome: Outcome,
        /// True when no further attempt follows.
        last: bool,
        /// How long the attempt took.
        milliseconds: u64,
    },
    /// The run cannot go on without a person.
    Waiting {
        /// The call that waits.
        call: String,
        /// For what.
        wait: Wait,
    },
    /// A person decided something.
    Decided {
        /// Who.
        person: Person,
        /// What.
        act: Act,
        /// Why.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
        /// Proof, as text or a link.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        evidence: String,
    },
    /// An effect was taken back, or could not be.
    Undone {
        /// The call whose effect it was.
        call: String,
        /// What came of it.
        outcome: Outcome,
    },
    /// The script said something.
    Noted {
        /// Its place in the run.
        note: String,
        /// The frame it stands in.
        frame: String,
        /// Which child of the frame it is, from 0.
        ordinal: u32,
        /// What.
        text: String,
    },
    /// The run ended.
    Ended {
        /// How.
        verdict: Verdict,
        /// The error as a person sees it, for a failed run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<crate::diagnostic::Diagnostic>,
        /// The value of the script.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        value: Value,
    },
}

impl Body {
    /// About how many bytes the values take that a script chose: what is recorded besides is small.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Asked { arguments, diff, .. } => weight(arguments) + diff.as_ref().map_or(0, String::len),
            Self::Happened { outcome: Outcome::Ok(value), .. }
            | Self::Left { outcome: Outcome::Ok(value), .. } => weight(value),
            Self::Noted { text, .. } => text.len(),
            _ => 0,
        }
    }
}

fn weight(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(items) => items.iter().map(|(key, value)| key.len() + weight(value)).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

/// How a run began: everything needed to run it again without its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Version of the stored form.
    pub format: Format,
    /// Name of the runbook: its path in the project, without folder and ending.
    pub runbook: String,
    /// Folder of the project, for relative paths.
    pub project: String,
    /// Title from the header.
    pub title: String,
    /// `low`, `medium` or `high`.
    pub risk: Risk,
    /// True when the header says that this is a drill, which must leave nothing behind.
    pub drill: bool,
    /// Content hashes of the script (under its own name) and of every import.
    pub sources: BTreeMap<String, String>,
    /// Name of the script among the sources.
    pub main: String,
    /// Parameters after defaults; secrets are placeholders.
    pub parameters: Value,
    /// Name of the target.
    pub target: String,
    /// Who.
    pub person: Person,
    /// Run, plan or replay.
    pub mode: Mode,
    /// The scheduled instant this is the run of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<Scheduled>,
    /// Why it was allowed outside its maintenance window or inside a freeze; nothing for runs that are in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
    /// The run and step this one was forked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked: Option<(String, String)>,
    /// Version of aegis.
    pub engine: String,
}

/// An instant of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// Name of the schedule.
    pub schedule: String,
    /// The instant it ran for.
    pub instant: Timestamp,
}

/// Somebody who started or decided something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Person(pub String);

/// A place in a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Name of the source; empty: the runbook itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// From 1; 0 when unknown.
    pub line: usize,
    /// From 1; 0 when unknown.
    pub column: usize,
}

/// What came of a call or step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It worked; this is the answer.
    Ok(Value),
    /// It failed.
    Failed(CallError),
    /// Nobody can say.
    Unknown(CallError),
    /// It was left out, and why.
    Skipped(String),
}

impl Outcome {
    /// The word as it stands in lists.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "unknown",
            Self::Skipped(_) => "skipped",
        }
    }

    /// True when it worked.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The script reached its end.
    Succeeded,
    /// The script failed.
    Failed,
    /// A person cancelled it; what could be undone was.
    Cancelled,
}

/// What a run waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// People who say yes.
    Approval {
        /// What they are asked.
        question: String,
        /// How many must say yes.
        quorum: u32,
        /// Who may; empty: anybody but the person who started the run.
        approvers: Vec<String>,
        /// Hash of what is approved: it holds for nothing else.
        subject: String,
        /// Until when.
        until: Option<Timestamp>,
    },
    /// Somebody who finds out whether the effect happened.
    Unknown {
        /// What is known.
        error: CallError,
    },
    /// Effects are halted.
    Halt {
        /// Why.
        reason: String,
    },
}

impl Wait {
    /// True for the question whose subject that is.
    #[must_use]
    pub fn is_about(&self, what: &str) -> bool {
        matches!(self, Self::Approval { subject, .. } if subject == what)
    }
}

/// What a person can decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Act {
    /// Yes to the approval that this call asks for.
    Approve {
        /// The call.
        call: String,
        /// Hash of what was approved.
        subject: String,
    },
    /// No.
    Reject {
        /// The call.
        call: String,
    },
    /// Leave this call or step out.
    Skip {
        /// The call or step.
        key: String,
    },
    /// It was done by hand.
    MarkDone {
        /// The call or step.
        key: String,
        /// What the script is given as its answer.
        value: Value,
    },
    /// Perform what failed again.
    Retry {
        /// Calls and steps whose outcomes are forgotten.
        forget: Vec<String>,
    },
    /// Stop the run and undo what can be undone.
    Cancel,
    /// Stop the run where it stands, to be resumed.
    Leave,
    /// Undo what can be undone of a run that has ended.
    Undo,
}
