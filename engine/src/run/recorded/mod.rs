//! What an earlier process already did, found by place. One pass over the entries builds it; the same
//! entries drive resume, replay, undo and the lists that people see.
//!
//! - `again`: what is performed again after a failure
//! - `inverse`: what script functions did that take something back

mod again;
mod inverse;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::interrupt::{Interrupt, Stop};
use crate::codes;
use crate::error::CallError;
use crate::function::{Effect, UndoCall};
use crate::journal::{Act, Body, Entry, Outcome, Place, Verdict};

pub use inverse::is_of_undo;
pub(crate) use inverse::{UNDO_WITH, inverse_around, inverse_of, taken_back};

/// A call as the journal has it.
#[derive(Debug, Clone)]
pub(crate) struct RecordedCall {
    frame: String,
    pub(crate) function: String,
    pub(crate) effect: Effect,
    pub(crate) arguments: Value,
    pub(crate) undo: Option<UndoCall>,
    pub(crate) summary: String,
    pub(crate) outcome: Option<Outcome>,
    /// Position of the asking entry: undo goes backwards along it.
    pub(crate) seq: u64,
    /// Position of the outcome.
    pub(crate) happened: u64,
}

/// A step or parallel block as the journal has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecordedStep {
    /// The last attempt that began.
    pub(crate) attempt: u32,
    /// True when that attempt failed and another was to follow.
    pub(crate) attempt_failed: bool,
    /// The final outcome and its position.
    pub(crate) left: Option<(Outcome, u64)>,
    /// True when a person said so.
    pub(crate) decided: bool,
}

impl RecordedStep {
    /// The final outcome.
    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.left.as_ref().map(|(outcome, _)| outcome)
    }
}

/// What asks people: nobody answers it with a skip or a mark, and it holds for one script of one run.
pub(crate) const APPROVAL: &str = "approval::ask";

/// The frame of what a step's options ask for ends like this.
pub(crate) const BEFORE: &str = "~before";

/// True for what stands below a place, in any attempt or branch; everything does below the empty one.
pub(crate) fn is_below(key: &str, place: &str) -> bool {
    let rest = key.strip_prefix(place);
    rest.is_some_and(|rest| place.is_empty() || rest.starts_with(['/', '@', '[', '~']))
}

/// The places that a place is below, from the outside in.
pub(crate) fn above(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices(['/', '@', '[', '~']).map(|(at, _)| &key[..at])
}

/// Everything recorded of a run, by place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    children: HashMap<String, BTreeMap<u32, String>>,
    /// Where everything stands, or stood before it was forgotten: its frame, and which child of it it is.
    places: HashMap<String, (String, u32)>,
    pub(crate) calls: HashMap<String, RecordedCall>,
    /// Calls that a retry performs again, and that have not been since.
    pub(crate) forgotten: HashMap<String, RecordedCall>,
    pub(crate) steps: HashMap<String, RecordedStep>,
    pub(crate) undone: BTreeSet<String>,
    /// Of these, what a step took back that failed: the script went on without it.
    by_steps: BTreeSet<String>,
    /// Taken back, and nothing was done since.
    lately: Vec<String>,
    /// Calls of which the last try to take them back failed, and why.
    pub(crate) not_undone: BTreeMap<String, CallError>,
    notes: BTreeSet<String>,
    /// The script by the hashes of its texts, and the position since which it is that.
    script: (BTreeMap<String, String>, u64),
    pub(crate) verdict: Option<Verdict>,
    /// Position of the last decision that it goes on: a retry, or the end of a cancel that was taken back.
    goes_on: u64,
    /// The error that ended it the last time.
    failure: Option<String>,
    /// Position of the decision to cancel it, unless that was taken back.
    pub(crate) cancelled: Option<u64>,
    pub(crate) last: u64,
}

impl Recorded {
    pub(crate) fn of(entries: &[Entry]) -> Self {
        let mut recorded = Self::default();
        entries.iter().for_each(|entry| recorded.learn(entry));
        recorded
    }

    fn learn(&mut self, entry: &Entry) {
        self.last = entry.seq;
        self.take(entry.seq, &entry.body);
    }

    /// What is recorded next, as far as what was recorded before depends on it.
    pub(super) fn go_on_with(mut self, next: &Body) -> Self {
        self.take(self.last + 1, next);
        self
    }

    fn take(&mut self, seq: u64, body: &Body) {
        match body {
            Body::Asked { call: key, .. } | Body::Entered { step: key, .. } if !is_of_undo(key) => {
                self.by_steps.extend(self.lately.drain(..));
            }
            Body::Ended { .. }
            | Body::Resumed { .. }
            | Body::Decided { act: Act::Undo | Act::Cancel, .. } => self.lately.clear(),
            _ => {}
        }
        match body {
            Body::Asked { call, frame, ordinal, function, effect, arguments, undo, summary, .. } => {
                self.place(frame, *ordinal, call);
                let recorded = RecordedCall {
                    frame: frame.clone(),
                    function: function.clone(),
                    effect: *effect,
                    arguments: arguments.clone(),
                    undo: undo.clone(),
                    summary: summary.clone(),
                    outcome: None,
                    seq,
                    happened: 0,
                };
                self.drop_inverse(call);
                self.forgotten.remove(call);
                self.calls.insert(call.clone(), recorded);
            }
            Body::Happened { call, outcome, .. } => {
                if let Some(recorded) = self.calls.get_mut(call) {
                    recorded.outcome = Some(outcome.clone());
                    recorded.happened = seq;
                }
            }
            Body::Entered { step, frame, ordinal, attempt, .. } => {
                self.place(frame, *ordinal, step);
                let recorded = self.steps.entry(step.clone()).or_default();
                recorded.attempt = *attempt;
                recorded.attempt_failed = false;
            }
            Body::Left { step, outcome, last, .. } => {
                let recorded = self.steps.entry(step.clone()).or_default();
                if *last {
                    recorded.left = Some((outcome.clone(), seq));
                    recorded.decided = false;
                } else {
                    recorded.attempt_failed = true;
                }
            }
            Body::Undone { call, outcome: Outcome::Failed(error) } => self.was_not_undone(call, error),
            Body::Undone { call, .. } => self.was_undone(call),
            Body::Noted { note, frame, ordinal, .. } => {
                self.place(frame, *ordinal, note);
                self.notes.insert(note.clone());
            }
            Body::Decided { act, note, .. } => self.decide(act, note, seq),
            Body::Started(started) => self.script = (started.sources.clone(), seq),
            Body::Resumed { sources, .. } => {
                self.verdict = None;
                if let Some(sources) = sources {
                    self.go_on_as(sources, seq);
                }
            }
            Body::Ended { verdict, failure, .. } => {
                self.verdict = Some(*verdict);
                self.failure = failure.as_ref().map(|failure| failure.message.clone());
            }
            _ => {}
        }
    }

    fn place(&mut self, frame: &str, ordinal: u32, key: &str) {
        self.children.entry(frame.to_owned()).or_default().insert(ordinal, key.to_owned());
        self.places.insert(key.to_owned(), (frame.to_owned(), ordinal));
    }

    fn decide(&mut self, act: &Act, note: &str, seq: u64) {
        match act {
            Act::Retry { forget } => {
                self.cancelled = None;
                self.goes_on = seq;
                forget.iter().for_each(|key| self.forget(key));
            }
            Act::Cancel => self.cancelled = Some(seq),
            Act::MarkDone { key, .. } if let Some(call) = taken_back(key) => self.was_undone(call),
            Act::Skip { key } if let Some(call) = taken_back(key) => self.stays_done(call),
            Act::Skip { key } => self.settle(key, Outcome::Skipped(note.to_owned()), seq),
            Act::MarkDone { key, value } => self.settle(key, Outcome::Ok(value.clone()), seq),
            Act::Approve { .. } | Act::Reject { .. } | Act::Leave | Act::Undo => {}
        }
    }

    /// As after a retry that forgets something.
    pub(super) fn without(mut self, forget: &[String]) -> Self {
        forget.iter().for_each(|key| self.forget(key));
        self
    }

    /// Drops an outcome, so that the call is made again; a step keeps its attempts and is entered again. Another may stand
    /// in its place now: what failed may have sent the script another way.
    fn forget(&mut self, key: &str) {
        self.drop_inverse(key);
        self.forgotten.extend(self.calls.remove_entry(key));
        self.notes.remove(key);
        self.children.values_mut().for_each(|children| children.retain(|_, child| child != key));
        if let Some(step) = self.steps.get_mut(key) {
            step.left = None;
            step.attempt_failed = false;
        }
    }

    /// Another script goes on: what people approved of the one before is asked again.
    fn go_on_as(&mut self, sources: &BTreeMap<String, String>, seq: u64) {
        if self.script.0 == *sources {
            return;
        }
        self.script = (sources.clone(), seq);
        let (calls, steps) = self.approved();
        for call in calls {
            self.calls.entry(call).and_modify(|call| call.outcome = None);
        }
        for step in steps {
            self.steps.entry(step).and_modify(|step| step.left = None);
        }
    }

    /// Approvals of what may still come, and the steps that have to be entered again for them to be asked again. What a
    /// step asked before it began was about that step: it is over with it.
    pub(crate) fn approved(&self) -> (Vec<String>, Vec<String>) {
        let is_over = |frame: &str| {
            let step = frame.strip_suffix(BEFORE).and_then(|step| self.steps.get(step));
            step.is_some_and(|step| step.left.is_some())
        };
        let holds = |(_, call): &(&String, &RecordedCall)| call.function == APPROVAL && !is_over(&call.frame);
        let calls: Vec<String> = self.calls.iter().filter(holds).map(|(key, _)| key.clone()).collect();
        let around = |step: &&String| calls.iter().any(|call| is_below(call, step));
        let steps = self.steps.keys().filter(around).cloned().collect();
        (calls, steps)
    }

    /// Position since which the script is the one it is.
    pub(crate) const fn script_since(&self) -> u64 {
        self.script.1
    }

    /// What a person said came of it, whether or not it was ever asked.
    fn settle(&mut self, key: &str, outcome: Outcome, seq: u64) {
        self.calls.extend(self.forgotten.remove_entry(key));
        if let Some(call) = self.calls.get_mut(key) {
            call.outcome = Some(outcome);
            call.happened = seq;
        } else {
            let step = self.steps.entry(key.to_owned()).or_default();
            step.left = Some((outcome, seq));
            step.decided = true;
        }
    }

    /// Calls that were taken back after a position, and the steps that had been left with them inside.
    pub(crate) fn undone_since(entries: &[Entry], seq: u64) -> Vec<String> {
        let recorded = Self::of(entries);
        let calls = entries.iter().filter(|entry| entry.seq > seq).filter_map(|entry| match &entry.body {
            Body::Undone { call, outcome } if outcome.is_ok() => Some(call),
            _ => None,
        });
        let calls = calls.flat_map(|call| recorded.covered(call).into_iter().chain([call.clone()]));
        let calls: BTreeSet<String> = calls.chain(recorded.to_make_again().cloned()).collect();
        let inside = |step: &&String| calls.iter().any(|call| is_below(call, step));
        let is_over = |step: &RecordedStep| !matches!(step.outcome(), None | Some(Outcome::Skipped(_)));
        let steps = recorded.steps.iter().filter(|(_, step)| is_over(step));
        let steps: Vec<String> = steps.map(|(key, _)| key).filter(inside).cloned().collect();
        calls.into_iter().chain(steps).collect()
    }

    /// Whether the first thing it did was to ask people something; `None`: it did nothing yet.
    pub(crate) fn began_with(&self, question: &str) -> Option<bool> {
        let first = self.children.get("")?.get(&0)?;
        let asked = self.calls.get(first).filter(|call| call.function == APPROVAL);
        Some(asked.is_some_and(|call| call.arguments["question"] == question))
    }

    pub(crate) fn is_noted(&self, note: &str) -> bool {
        self.notes.contains(note)
    }

    /// Refuses a child where the journal has another one: the script is not the one that was recorded.
    pub(crate) fn check_order(
        &self,
        frame: &str,
        ordinal: u32,
        key: &str,
        place: &Place,
    ) -> Result<(), Interrupt> {
        let recorded = self.children.get(frame).and_then(|children| children.get(&ordinal));
        match recorded {
            Some(recorded) if recorded != key => {
                let message = format!("the script now does `{key}` where the journal has `{recorded}`");
                Err(mismatch(message, place))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a call that was recorded with other arguments.
    pub(crate) fn check_arguments(
        call: &RecordedCall,
        key: &str,
        arguments: &Value,
        place: &Place,
    ) -> Result<(), Interrupt> {
        if &call.arguments == arguments {
            return Ok(());
        }
        let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
        let diff =
            similar::TextDiff::from_lines(pretty(&call.arguments).as_str(), pretty(arguments).as_str())
                .unified_diff()
                .context_radius(1)
                .header("recorded", "now")
                .to_string();
        Err(mismatch(format!("`{key}` was recorded with other arguments\n{}", diff.trim_end()), place))
    }
}

fn mismatch(message: String, place: &Place) -> Interrupt {
    let at = if place.line == 0 { String::new() } else { format!(" (line {})", place.line) };
    let error = CallError::new(codes::MISMATCH, format!("{message}{at}")).hint(
        "resume with the recorded script, or edit only below the point that was reached; \
         `aegis fork RUN --from STEP --script current` starts a new run on the edited script",
    );
    Interrupt::Stop(Stop::Mismatch(error))
}
