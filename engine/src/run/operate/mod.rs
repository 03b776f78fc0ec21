//! What people decide about runs from outside: approve, reject, skip, mark done, retry, fork, cancel. Each
//! is one journaled entry with who and why; a process that executes the run hears of it within a moment.
//!
//! - `answers`: approvals
//! - `outcomes`: what people say came of calls and steps
//! - `forks`: new runs from old ones
//! - `leftovers`: what runs left behind

mod answers;
mod forks;
mod leftovers;
mod outcomes;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::recorded::Recorded;
use super::stored::{self, started};
use crate::clock::Clock;
use crate::codes;
use crate::error::CallError;
use crate::journal::{Act, Body, Entry, Outcome, Person, Placement, RunRecord, Store, Wait};
use crate::text::did_you_mean;

pub use answers::Answered;
pub use leftovers::Left;
pub(crate) use outcomes::{refuse_half_undone, retried};

/// The person in whose name aegis starts what nobody asked for: messages to people.
pub const AEGIS: &str = "aegis";

/// Who decides, and why.
#[derive(Debug, Clone)]
pub struct Decider<'a> {
    /// Who.
    pub person: &'a Person,
    /// Why.
    pub note: &'a str,
    /// Proof, as text or a link.
    pub evidence: &'a str,
}

/// What a person can do to stored runs.
pub struct Desk<'a> {
    /// Where the journals live.
    pub store: &'a dyn Store,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// Something a run waits for.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// The call.
    pub call: String,
    /// For what.
    pub wait: Wait,
    /// Since when.
    pub since: Timestamp,
    /// Who has said yes, for an approval.
    pub approved_by: BTreeSet<String>,
    /// What people should know before they answer an approval.
    pub details: Value,
}

impl Desk<'_> {
    /// The one run whose id is, begins or ends with a text; `last` is the newest that is no message of aegis itself.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn find(&self, text: &str) -> Result<RunRecord, CallError> {
        // Every id begins with nothing.
        if text.trim().is_empty() {
            return Err(CallError::new(codes::NO_RUN, "no run is named").hint("`aegis runs` lists them"));
        }
        let runs = self.store.runs().map_err(|error| stored_error(&error))?;
        if let Some(exact) = runs.iter().find(|run| run.id == text) {
            return Ok(exact.clone());
        }
        if text == "last"
            && let Some(newest) = runs.iter().find(|run| run.person.0 != AEGIS)
        {
            return Ok(newest.clone());
        }
        let fits = |run: &&RunRecord| run.id.starts_with(text) || run.id.ends_with(text);
        let mut found: Vec<&RunRecord> = runs.iter().filter(fits).collect();
        match (found.pop(), found.len()) {
            (Some(only), 0) => Ok(only.clone()),
            (Some(_), more) => {
                let message = format!("`{text}` could be any of {} runs", more + 1);
                Err(CallError::new(codes::NO_RUN, message).hint("write more of the id"))
            }
            (None, _) => {
                let known = did_you_mean(text, runs.iter().map(|run| run.id.as_str()));
                Err(CallError::new(codes::NO_RUN, format!("there is no run `{text}`"))
                    .hint(known.unwrap_or_else(|| "`aegis runs` lists them".to_owned())))
            }
        }
    }

    /// What a run waits for now.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn pending(&self, run: &str) -> Result<Vec<Pending>, CallError> {
        let entries = self.entries(run)?;
        Ok(pending(&entries))
    }

    /// Asks the process that executes a run to cancel it.
    ///
    /// # Errors
    /// When the run has ended.
    pub fn cancel(&self, run: &str, by: &Decider<'_>) -> Result<(), CallError> {
        let recorded = Recorded::of(&self.entries(run)?);
        if recorded.verdict.is_some() {
            return Err(CallError::new(codes::NOT_POSSIBLE, format!("`{run}` has ended"))
                .hint(format!("`aegis undo {run}` takes back what can be taken back")));
        }
        self.decide(run, Act::Cancel, by)
    }

    /// Asks the engines to put a run that nobody executes into a Job again; `break_glass` is why it need not wait for its
    /// maintenance window or the end of a freeze.
    ///
    /// # Errors
    /// When it has ended, is executed or in a Job, waits for people, or is of no schedule.
    pub fn into_job(
        &self,
        run: &str,
        by: &Decider<'_>,
        break_glass: Option<String>,
    ) -> Result<(), CallError> {
        let entries = self.entries(run)?;
        if let Some(verdict) = stored::verdict(&entries) {
            return Err(stored::ended(run, verdict));
        }
        let refused =
            |message: String, hint: String| Err(CallError::new(codes::NOT_POSSIBLE, message).hint(hint));
        if started(&entries)?.scheduled.is_none() {
            return refused(
                format!("`{run}` is of no schedule: no engine takes it up"),
                format!("`aegis resume {run}` goes on with it here"),
            );
        }
        if let Some(wait) = pending(&entries).first() {
            return refused(
                format!("`{run}` waits for people at `{}`", wait.call),
                format!("`aegis show {run}` says for what; then it goes on by itself"),
            );
        }
        let placed = stored::placed(&entries);
        let is_placed = placed.as_ref().is_some_and(|placed| placed.placement.is_expected());
        if is_placed || self.store.executed(run).map_err(|error| stored_error(&error))? {
            return refused(
                format!("`{run}` is executed already"),
                format!("`aegis logs {run} --follow` shows how it goes on"),
            );
        }
        let location = placed.map(|placed| placed.location).unwrap_or_default();
        let why = if by.note.is_empty() { String::new() } else { format!(": {}", by.note) };
        let (placement, note) = (Placement::Wanted, format!("by {}{why}", by.person.0));
        self.append(run, Body::Placed { location, placement, note, break_glass })
    }

    fn entries(&self, run: &str) -> Result<Vec<Entry>, CallError> {
        self.store.entries(run, 0).map_err(|error| stored_error(&error))
    }

    fn decide(&self, run: &str, act: Act, by: &Decider<'_>) -> Result<(), CallError> {
        self.append(
            run,
            Body::Decided {
                person: by.person.clone(),
                act,
                note: by.note.to_owned(),
                evidence: by.evidence.to_owned(),
            },
        )
    }

    fn append(&self, run: &str, body: Body) -> Result<(), CallError> {
        self.store.append(run, &[(self.clock.now(), body)]).map(drop).map_err(|error| stored_error(&error))
    }
}

/// What is waited for and not yet decided.
#[must_use]
pub fn pending(entries: &[Entry]) -> Vec<Pending> {
    let recorded = Recorded::of(entries);
    if recorded.verdict.is_some() {
        return Vec::new();
    }
    let mut pending: Vec<Pending> = Vec::new();
    for entry in entries {
        match &entry.body {
            // Another script asks again.
            Body::Waiting { wait: Wait::Approval { .. }, .. } if entry.seq < recorded.script_since() => {}
            // Said again by another process.
            Body::Waiting { call, wait: Wait::Approval { subject, .. } }
                if pending.iter().any(|asked| asked.call == *call && asked.wait.is_about(subject)) => {}
            Body::Waiting { call, wait } => {
                let (call, wait, since) = (call.clone(), wait.clone(), entry.at);
                let details = recorded.calls.get(&call).and_then(|call| call.arguments.get("details"));
                let (approved_by, details) = (BTreeSet::new(), details.cloned().unwrap_or_default());
                pending.push(Pending { call, wait, since, approved_by, details });
            }
            Body::Decided { act: Act::Approve { call, subject }, person, .. } => {
                let asked = pending.iter_mut().rev().find(|asked| asked.call == *call);
                if let Some(asked) = asked.filter(|asked| asked.wait.is_about(subject)) {
                    asked.approved_by.insert(person.0.clone());
                }
            }
            Body::Decided { act: Act::Reject { call }, .. } => pending.retain(|asked| asked.call != *call),
            // It is asked anew.
            Body::Decided { act: Act::Retry { forget }, .. } => {
                pending.retain(|wait| !forget.contains(&wait.call));
            }
            _ => {}
        }
    }
    pending.retain(|wait| {
        let outcome = recorded.calls.get(&wait.call).and_then(|call| call.outcome.as_ref());
        match wait.wait {
            Wait::Approval { quorum, .. } => outcome.is_none() && wait.approved_by.len() < quorum as usize,
            Wait::Unknown { .. } => matches!(outcome, Some(Outcome::Unknown(_))),
            Wait::Halt { .. } => outcome.is_none(),
        }
    });
    pending.reverse();
    let mut seen = BTreeSet::new();
    pending.retain(|wait| seen.insert(wait.call.clone()));
    pending
}

fn stored_error(error: &crate::journal::StoreError) -> CallError {
    crate::run::interrupt::Stop::Store(error.clone()).error()
}
