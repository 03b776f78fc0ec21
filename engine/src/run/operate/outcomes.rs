//! What people say came of calls and steps: left out, done by hand, to be tried again.

use serde_json::Value;

use super::{Decider, Desk, pending, stored_error};
use crate::codes;
use crate::error::CallError;
use crate::journal::{Act, Body, Entry, Outcome, Verdict};
use crate::run::recorded::{APPROVAL, Recorded, RecordedCall, inverse_around, inverse_of, is_below};
use crate::run::stored;
use crate::run::undo::Ledger;
use crate::script::convert::{is_too_deep, too_deep};
use crate::text::did_you_mean;

impl Desk<'_> {
    /// Leaves a call or step out: on resume the script is given `()`.
    ///
    /// # Errors
    /// When there is no such call or step, it is done, or it is an approval.
    pub fn skip(&self, run: &str, what: &str, by: &Decider<'_>) -> Result<String, CallError> {
        let key = self.undone_key(run, what)?;
        self.decide(run, Act::Skip { key: key.clone() }, by)?;
        Ok(key)
    }

    /// Records that a call or step was done by hand, and what the script is given as its answer.
    ///
    /// # Errors
    /// When there is no such call or step, it is done, it is an approval, or there is no note.
    pub fn mark_done(
        &self,
        run: &str,
        what: &str,
        value: Value,
        by: &Decider<'_>,
    ) -> Result<String, CallError> {
        if by.note.trim().is_empty() {
            return Err(CallError::argument("a mark needs a note").hint("add `--note WHY`"));
        }
        if is_too_deep(&value) {
            return Err(too_deep());
        }
        let key = self.undone_key(run, what)?;
        self.decide(run, Act::MarkDone { key: key.clone(), value }, by)?;
        Ok(key)
    }

    /// Forgets what failed, so that the next resume performs it again. Effects that worked stay done, unless
    /// they were undone.
    ///
    /// # Errors
    /// When the run neither failed nor waits for somebody to say what happened.
    pub fn retry(&self, run: &str, by: &Decider<'_>) -> Result<Vec<String>, CallError> {
        let entries = self.entries(run)?;
        let forget = retried(run, &entries)?;
        self.decide(run, Act::Retry { forget: forget.clone() }, by)?;
        if stored::verdict(&entries).is_some() {
            // Takes the end back; the resume that follows journals its own entry.
            let resumed = Body::Resumed {
                person: by.person.clone(),
                sources: None,
                break_glass: None,
                location: None,
                engine: crate::VERSION.to_owned(),
            };
            self.append(run, resumed)?;
        }
        Ok(forget)
    }

    /// The key of a call or step that is not done, from its key, the end of it, or a step's name.
    fn undone_key(&self, run: &str, what: &str) -> Result<String, CallError> {
        let entries = self.entries(run)?;
        let recorded = Recorded::of(&entries);
        let calls = recorded.calls.iter().map(|(key, call)| (key, call.outcome.as_ref()));
        let steps = recorded.steps.iter().map(|(key, step)| (key, step.left.as_ref().map(|(o, _)| o)));
        let owed: Vec<String> =
            Ledger::of(&recorded).below("").iter().map(|debt| inverse_of(&debt.call)).collect();
        let inverses = owed.iter().filter(|key| !recorded.calls.contains_key(*key)).map(|key| (key, None));
        let forgotten = recorded.forgotten.keys().map(|key| (key, None));
        let known: Vec<(&String, Option<&Outcome>)> =
            calls.chain(forgotten).chain(steps).chain(inverses).collect();
        let exact = known.iter().position(|(key, _)| key.as_str() == what);
        let fits = |(key, _): &&(&String, Option<&Outcome>)| is_named(key, what);
        let found: Vec<&(&String, Option<&Outcome>)> =
            exact.map_or_else(|| known.iter().filter(fits).collect(), |at| vec![&known[at]]);
        let [(key, outcome)] = found[..] else {
            let names = found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>();
            return Err(not_one(run, what, &names, known.iter().map(|(key, _)| key.as_str())));
        };
        match outcome {
            Some(settled @ (Outcome::Ok(_) | Outcome::Skipped(_))) => {
                let message = format!("`{key}` is already {}", settled.word());
                Err(CallError::new(codes::NOT_POSSIBLE, message))
            }
            _ if self.is_under_way(run, key, &entries)? => {
                let message = format!("`{key}` is under way: what comes of it is what counts");
                let hint = format!("wait for it, or stop it: `aegis cancel {run}`");
                Err(CallError::new(codes::NOT_POSSIBLE, message).hint(hint))
            }
            _ if let Some(open) = open_approval(&recorded, key) => {
                let message = format!("`{open}` is an approval: it is answered by those who are asked");
                Err(CallError::new(codes::APPROVAL, message)
                    .hint(format!("`aegis approve {run} '{open}'` or `aegis reject {run} '{open}'`")))
            }
            _ => Ok((*key).clone()),
        }
    }
}

impl Desk<'_> {
    /// Whether a process goes on with a call or step: it hears of no outcome that people name, and journals its own
    /// behind it.
    fn is_under_way(&self, run: &str, key: &str, entries: &[Entry]) -> Result<bool, CallError> {
        let waits = pending(entries).iter().any(|pending| is_below_or_at(&pending.call, key));
        let goes_on = stored::verdict(entries).is_none() && !waits;
        Ok(goes_on && self.store.executed(run).map_err(|error| stored_error(&error))?)
    }
}

/// What a retry of a run forgets.
///
/// # Errors
/// When the run neither failed nor waits for somebody to say what happened.
pub(crate) fn retried(run: &str, entries: &[Entry]) -> Result<Vec<String>, CallError> {
    let recorded = Recorded::of(entries);
    let unknown = |(key, call): (&String, &RecordedCall)| {
        inverse_around(key).is_none() && matches!(call.outcome, Some(Outcome::Unknown(_)))
    };
    match recorded.verdict {
        Some(verdict @ (Verdict::Cancelled | Verdict::Succeeded)) => Err(stored::ended(run, verdict)),
        None if !recorded.calls.iter().any(unknown) => {
            Err(CallError::new(codes::NOT_POSSIBLE, format!("`{run}` has not failed"))
                .hint(format!("`aegis resume {run}` goes on where it stands")))
        }
        Some(Verdict::Failed) | None => match recorded.half_undone().min() {
            None => Ok(recorded.to_retry()),
            Some(call) => Err(half_undone(run, call)),
        },
    }
}

/// Refuses to go on with a run that somebody let go of while it was taken back.
pub(crate) fn refuse_half_undone(run: &str, recorded: &Recorded) -> Result<(), CallError> {
    recorded.let_go().min().map_or(Ok(()), |call| Err(half_undone(run, call)))
}

/// Nothing goes forward from what is half taken back.
pub(super) fn half_undone(run: &str, call: &str) -> CallError {
    let inverse = inverse_of(call);
    CallError::new(codes::NOT_POSSIBLE, format!("`{call}` of `{run}` is taken back in part")).hint(format!(
        "`aegis undo {run}` takes back the rest; after `aegis skip {run} '{inverse}'` it goes on as if nothing of it were taken back"
    ))
}

/// The approval that a call is, or that a step still waits for.
fn open_approval<'a>(recorded: &'a Recorded, key: &str) -> Option<&'a String> {
    let open = |(call, recorded): &(&String, &RecordedCall)| {
        let answered = matches!(recorded.outcome, Some(Outcome::Ok(_)));
        recorded.function == APPROVAL && !answered && is_below_or_at(call, key)
    };
    recorded.calls.iter().find(open).map(|(call, _)| call)
}

/// True when people who write a text may mean that place: all of it or its end, without the number when it is the first.
pub(super) fn is_named(key: &str, what: &str) -> bool {
    let ending = format!("/{}", what.trim_start_matches('/'));
    key == what || key.ends_with(&ending) || key.ends_with(&format!("{ending}#0"))
}

fn is_below_or_at(call: &str, key: &str) -> bool {
    call == key || is_below(call, key)
}

/// Why a text does not say which call or step is meant.
fn not_one<'a>(run: &str, what: &str, found: &[&str], known: impl Iterator<Item = &'a str>) -> CallError {
    if !found.is_empty() {
        let message = format!("`{what}` could be any of {} calls and steps of `{run}`", found.len());
        return CallError::new(codes::NOT_POSSIBLE, message)
            .hint(format!("write more of it: {}", crate::text::list(found)));
    }
    CallError::new(codes::NOT_POSSIBLE, format!("`{run}` has no call or step `{what}`"))
        .hint(did_you_mean(what, known).unwrap_or_else(|| format!("`aegis show {run}` lists them")))
}
