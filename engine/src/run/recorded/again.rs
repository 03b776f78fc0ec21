//! What is performed again after a failure: by a retry of the run, or by the next try of a script function that takes
//! something back.

use std::collections::BTreeSet;

use super::inverse::{inverse_around, is_of_undo};
use super::{APPROVAL, Recorded, RecordedCall, RecordedStep, above, is_below};
use crate::journal::Outcome;

/// What belongs together: a failure in it ends it, and it is tried again as one.
#[derive(Clone, Copy)]
pub(super) enum Scope<'a> {
    /// The run without what takes it back.
    Run,
    /// What a function of the script did to take something back: all that stands below its place.
    Inverse(&'a str),
}

impl Scope<'_> {
    fn holds(self, key: &str) -> bool {
        match self {
            Self::Run => !is_of_undo(key),
            Self::Inverse(place) => is_below(key, place),
        }
    }

    /// True for what stands beside the line of the script: asked for by an option, or taking something back.
    fn is_aside(self, key: &str) -> bool {
        match self {
            Self::Run => key.contains('~'),
            Self::Inverse(place) => key[place.len()..].contains('~'),
        }
    }
}

impl Recorded {
    /// What a retry of the run performs again: what nobody can say, failures that the script did not go on from, and what
    /// it did only because of the one that ended the run; reads since the last effect that worked, and effects that were
    /// undone.
    pub(crate) fn to_retry(&self) -> Vec<String> {
        let mut forget = self.to_try_again(Scope::Run, self.failure.as_deref());
        let is_unknown = |outcome: Option<&Outcome>| matches!(outcome, Some(Outcome::Unknown(_)));
        let calls = self.calls.iter().filter(|(_, call)| is_unknown(call.outcome.as_ref()));
        let steps = self.steps.iter().filter(|(_, step)| is_unknown(step.outcome()));
        let keys = calls.map(|(key, _)| key).chain(steps.map(|(key, _)| key));
        forget.extend(keys.filter(|key| Scope::Run.holds(key)).cloned());
        forget.extend(self.not_there(&forget));
        forget.into_iter().collect()
    }

    /// Effects that worked and were taken back, or may have been, and the steps that are over with them inside. What a
    /// step took back that failed is not missed, unless that step is entered `again`.
    pub(crate) fn not_there(&self, again: &BTreeSet<String>) -> BTreeSet<String> {
        let worked = |call: &String| {
            self.calls.get(call).is_some_and(|call| matches!(call.outcome, Some(Outcome::Ok(_))))
        };
        let is_missed = |call: &String| {
            !self.by_steps.contains(call) || self.steps_around(call).any(|step| again.contains(step))
        };
        let calls: BTreeSet<&String> = self
            .undone
            .iter()
            .filter(|call| worked(call) && is_missed(call))
            .chain(self.to_make_again())
            .collect();
        let steps = self.steps.iter().filter(|(key, step)| {
            let is_over = matches!(step.outcome(), Some(Outcome::Ok(_) | Outcome::Failed(_)));
            is_over && calls.iter().any(|call| is_below(call, key))
        });
        let keys = calls.iter().copied().chain(steps.map(|(key, _)| key));
        keys.filter(|key| Scope::Run.holds(key)).cloned().collect()
    }

    /// Failures that the script did not go on from, what it did because of the one that ended it, and reads since the last
    /// effect that worked.
    pub(super) fn to_try_again(&self, scope: Scope<'_>, failure: Option<&str>) -> BTreeSet<String> {
        let calls = || self.calls.iter().filter(|(key, _)| scope.holds(key));
        let worked = |call: &RecordedCall| matches!(call.outcome, Some(Outcome::Ok(_)));
        let stays = |key: &str| !self.undone.contains(key) && !scope.is_aside(key);
        let effects = calls().filter(|(key, call)| call.effect.is_effect() && worked(call) && stays(key));
        let last_effect = effects.map(|(_, call)| call.happened).max().unwrap_or(0);
        let again = |(key, call): &(&String, &RecordedCall)| match &call.outcome {
            Some(Outcome::Failed(_)) => !self.went_on_from(key),
            Some(Outcome::Ok(_)) => {
                !call.effect.is_effect() && call.function != APPROVAL && call.happened > last_effect
            }
            Some(Outcome::Skipped(_) | Outcome::Unknown(_)) | None => false,
        };
        let failed = |(key, step): &(&String, &RecordedStep)| {
            matches!(step.outcome(), Some(Outcome::Failed(_))) && !self.went_on_from(key)
        };
        let steps = self.steps.iter().filter(|(key, _)| scope.holds(key));
        let calls = calls().filter(again).map(|(key, _)| key.clone());
        let mut forget: BTreeSet<String> =
            calls.chain(steps.filter(failed).map(|(key, _)| key.clone())).collect();
        if let Some(cause) = failure.and_then(|failure| self.cause(scope, failure)) {
            forget.extend(self.followed_from(cause));
        }
        forget
    }

    /// What ended it: the last failure that its own error repeats.
    fn cause(&self, scope: Scope<'_>, failure: &str) -> Option<&String> {
        let repeats = |outcome: Option<&Outcome>| match outcome {
            Some(Outcome::Failed(error)) => !error.message.is_empty() && failure.contains(&error.message),
            _ => false,
        };
        let counts = |key: &String| scope.holds(key) && !self.is_settled(key);
        let calls = self.calls.iter().filter(|(key, call)| repeats(call.outcome.as_ref()) && counts(key));
        let last_call = calls.max_by_key(|(_, call)| call.happened).map(|(key, _)| key);
        let steps = self.steps.iter().filter(|(key, step)| repeats(step.outcome()) && counts(key));
        let last_step = steps.max_by_key(|(_, step)| step.left.as_ref().map(|(_, seq)| *seq));
        last_call.or(last_step.map(|(key, _)| key))
    }

    /// True when the script went on behind a failure: something stands behind it in its step, or the step around it, or a
    /// step around it has worked. What is only said (`log`) is no going on.
    fn went_on_from(&self, key: &str) -> bool {
        let went_on = |key: &str| self.behind(key).any(|next| !self.notes.contains(next));
        self.is_settled(key) || self.steps_around(key).chain([key]).any(went_on)
    }

    /// True inside of a step that has worked, or of which a person said what came of it.
    fn is_settled(&self, key: &str) -> bool {
        self.steps_around(key).any(|step| {
            let left = self.steps.get(step).and_then(RecordedStep::outcome);
            matches!(left, Some(Outcome::Ok(_) | Outcome::Skipped(_)))
        })
    }

    /// A failure that ended it, the steps around it, and what the script did behind them because of it.
    pub(crate) fn followed_from(&self, key: &str) -> Vec<String> {
        let line: Vec<&str> = self.steps_around(key).chain([key]).collect();
        let next: Vec<&String> = line.iter().flat_map(|key| self.behind(key)).collect();
        let follows = |key: &&String| next.iter().any(|next| key == next || is_below(key, next));
        let all = self.calls.keys().chain(self.steps.keys()).chain(&self.notes);
        line.iter().map(|key| (*key).to_owned()).chain(all.filter(follows).cloned()).collect()
    }

    /// The steps and parallel blocks that a place is in, from the outside in; those of what takes something back end there.
    fn steps_around<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let outermost = inverse_around(key).map_or(0, str::len);
        above(key).filter(move |around| around.len() > outermost && self.steps.contains_key(*around))
    }

    /// What stands behind something in its frame.
    fn behind(&self, key: &str) -> impl Iterator<Item = &String> {
        let at = self.places.get(key).and_then(|(frame, ordinal)| Some((self.children.get(frame)?, ordinal)));
        at.into_iter().flat_map(|(children, ordinal)| children.range(ordinal + 1..).map(|(_, child)| child))
    }
}
