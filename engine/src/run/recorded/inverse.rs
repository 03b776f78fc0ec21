//! What takes effects back, as the journal has it. A function of the script that does it leaves its calls below the place
//! `CALL~undo`; they hold until the effect is taken back, or made anew.

use super::again::Scope;
use super::{BEFORE, Recorded, RecordedCall, is_below};
use crate::error::CallError;
use crate::function::Effect;
use crate::journal::Outcome;

/// The call by which a script names its own inverse.
pub(crate) const UNDO_WITH: &str = "undo::with";

/// Where a place becomes that of what takes it back.
const UNDO: &str = "~undo";

/// The place of what takes a call back.
pub(crate) fn inverse_of(call: &str) -> String {
    format!("{call}{UNDO}")
}

/// The call that is taken back at a place; `None` for the places of calls, steps and all that is inside of an inverse.
pub(crate) fn taken_back(key: &str) -> Option<&str> {
    key.strip_suffix(UNDO)
}

/// The place of the inverse that a place is inside of. A name in a place is followed by its occurrence, so no step can be
/// called like that.
pub(crate) fn inverse_around(key: &str) -> Option<&str> {
    key.rfind("~undo/").map(|at| &key[..at + UNDO.len()])
}

/// True for the place of what takes an effect back, and for all that is inside of it.
#[must_use]
pub fn is_of_undo(key: &str) -> bool {
    taken_back(key).is_some() || inverse_around(key).is_some()
}

fn is_of_the_script(call: &RecordedCall) -> bool {
    call.undo.as_ref().is_some_and(|undo| undo.function.starts_with("script::"))
}

/// True where making the effect again is right whether its inverse came to its end or not.
fn is_made_again(call: &RecordedCall) -> bool {
    call.effect == Effect::Changes && !is_of_the_script(call)
}

impl Recorded {
    /// What the functions that take something back did, and that nobody can say the outcome of.
    pub(crate) fn unknown_in_inverses(&self) -> Vec<String> {
        let calls = self.calls.iter().filter(|(key, call)| {
            inverse_around(key).is_some() && matches!(call.outcome, Some(Outcome::Unknown(_)))
        });
        calls.map(|(key, _)| key.clone()).collect()
    }

    /// A call that is taken back in part, and that nothing goes forward from: a function of the script did something and
    /// not all of it, or nobody can say what came of the inverse of an effect that counts.
    pub(crate) fn half_undone(&self) -> impl Iterator<Item = &String> {
        self.maybe_undone().filter(|(_, call)| !is_made_again(call)).map(|(key, _)| key)
    }

    /// As [`Recorded::half_undone`], and somebody let go of it: no step or run that failed goes on with it.
    pub(crate) fn let_go(&self) -> impl Iterator<Item = &String> {
        let begun = |call: &str| self.calls.get(&inverse_of(call)).map_or(0, |inverse| inverse.seq);
        self.half_undone().filter(move |call| begun(call) < self.goes_on)
    }

    /// Effects that may be there or not, and can be made again in either case.
    pub(super) fn to_make_again(&self) -> impl Iterator<Item = &String> {
        self.maybe_undone().filter(|(_, call)| is_made_again(call)).map(|(key, _)| key)
    }

    /// What is owed still, and whose inverse has begun and did not fail before it did something.
    fn maybe_undone(&self) -> impl Iterator<Item = (&String, &RecordedCall)> {
        let owed = self.calls.iter().filter(|(key, call)| call.undo.is_some() && !self.undone.contains(*key));
        owed.filter(|(key, call)| {
            let place = inverse_of(key);
            self.calls.get(&place).is_some_and(|inverse| match is_of_the_script(call) {
                true => self.did_something(&place),
                false => !matches!(&inverse.outcome, Some(Outcome::Failed(error)) if !error.unknown),
            })
        })
    }

    fn did_something(&self, inverse: &str) -> bool {
        let inside =
            self.calls.iter().filter(|(key, call)| call.effect.is_effect() && is_below(key, inverse));
        inside.map(|(_, call)| &call.outcome).any(|outcome| !matches!(outcome, Some(Outcome::Failed(_))))
    }

    /// The effect is not there any more: with it goes what it covers.
    pub(super) fn was_undone(&mut self, call: &str) {
        let gone = self.covered(call).into_iter().chain([call.to_owned()]);
        self.lately.extend(gone);
        self.undone.extend(self.lately.iter().cloned());
        self.not_undone.remove(call);
    }

    /// A person says that the effect stays.
    pub(super) fn stays_done(&mut self, call: &str) {
        self.calls.entry(call.to_owned()).and_modify(|call| call.undo = None);
    }

    /// The next try goes on where this one was, and performs again what made it fail.
    pub(super) fn was_not_undone(&mut self, call: &str, error: &CallError) {
        let place = inverse_of(call);
        let forget = self.to_try_again(Scope::Inverse(&place), Some(&error.message));
        forget.iter().for_each(|key| self.forget(key));
        self.not_undone.insert(call.to_owned(), error.clone());
    }

    /// The call is made anew, or will be: what took it back does not count any more.
    pub(super) fn drop_inverse(&mut self, call: &str) {
        self.undone.remove(call);
        self.by_steps.remove(call);
        self.not_undone.remove(call);
        let place = inverse_of(call);
        if self.calls.remove(&place).is_none() {
            return;
        }
        self.calls.retain(|key, _| !is_below(key, &place));
        self.steps.retain(|key, _| !is_below(key, &place));
        self.notes.retain(|key| !is_below(key, &place));
        self.children.retain(|frame, _| *frame != place && !is_below(frame, &place));
    }

    /// What the script's own inverse takes back, as `undo::with` and the step's option `undo` promise it: the effects
    /// that follow in its step, up to the next such inverse, and those of the step, as far as they bring none along.
    pub(super) fn covered(&self, inverse: &str) -> Vec<String> {
        let Some(with) = self.calls.get(inverse).filter(|call| call.function == UNDO_WITH) else {
            return Vec::new();
        };
        let next = self.calls.values().filter(|call| call.function == UNDO_WITH && call.frame == with.frame);
        let next = next.map(|call| call.seq).filter(|seq| *seq > with.seq).min().unwrap_or(u64::MAX);
        let place = with.frame.strip_suffix(BEFORE).unwrap_or(&with.frame);
        let follows = |(key, call): &(&String, &RecordedCall)| {
            let own = call.undo.is_some() || call.function.starts_with("lock::") || is_of_undo(key);
            call.effect.is_effect() && !own && (with.seq..next).contains(&call.seq) && is_below(key, place)
        };
        self.calls.iter().filter(follows).map(|(key, _)| key.clone()).collect()
    }
}
