//! The undo ledger: what a run owes the world. An inverse is journaled before its effect; it is called when
//! a step or the runbook says so, when a run is cancelled, and by `aegis undo`. Newest first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::Value;

use super::Mode;
use super::frame::Frame;
use super::interrupt::{Interrupt, Stop};
use super::recorded::{Recorded, inverse_around, inverse_of, is_below};
use super::session::Session;
use crate::codes;
use crate::error::CallError;
use crate::function::{Effect, Probe, UndoCall};
use crate::gate::halted;
use crate::journal::{Body, Entry, Outcome, Place};

/// An effect that can be taken back and has not been.
#[derive(Debug, Clone, PartialEq)]
pub struct Debt {
    /// The call.
    pub call: String,
    /// How it is taken back.
    pub undo: UndoCall,
    /// False when nobody recorded whether the effect happened.
    pub sure: bool,
    /// Why the last try to take it back failed.
    pub failure: Option<CallError>,
}

/// Debts in the order they were made.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Vec<Debt>>);

impl Ledger {
    /// What an earlier process left.
    pub(crate) fn of(recorded: &Recorded) -> Self {
        let mut owed: Vec<_> = recorded
            .calls
            .iter()
            .filter(|(call, _)| !recorded.undone.contains(*call) && inverse_around(call).is_none())
            .filter_map(|(call, recorded)| {
                let sure = match &recorded.outcome {
                    Some(Outcome::Ok(_)) => true,
                    None | Some(Outcome::Unknown(_)) => false,
                    Some(Outcome::Failed(_) | Outcome::Skipped(_)) => return None,
                };
                let undo = recorded.undo.clone()?;
                Some((recorded.seq, call, undo, sure))
            })
            .collect();
        owed.sort_by_key(|(seq, ..)| *seq);
        let debt = |(_, call, undo, sure): (u64, &String, UndoCall, bool)| {
            let failure = recorded.not_undone.get(call).cloned().or_else(|| cut_off(recorded, call));
            Debt { call: call.clone(), undo, sure, failure }
        };
        Self(Mutex::new(owed.into_iter().map(debt).collect()))
    }

    /// What an inverse does is not taken back in its turn.
    pub(crate) fn owe(&self, call: &str, undo: UndoCall) {
        if inverse_around(call).is_none() {
            self.lock().push(Debt { call: call.to_owned(), undo, sure: false, failure: None });
        }
    }

    pub(crate) fn happened(&self, call: &str) {
        self.lock().iter_mut().filter(|debt| debt.call == call).for_each(|debt| debt.sure = true);
    }

    fn failed(&self, call: &str, error: &CallError) {
        let mut owed = self.lock();
        owed.iter_mut().filter(|debt| debt.call == call).for_each(|debt| debt.failure = Some(error.clone()));
    }

    pub(crate) fn forgive(&self, call: &str) {
        self.lock().retain(|debt| debt.call != call);
    }

    /// Debts whose call stands below a place, in any attempt or branch; all of them for the empty place.
    pub(crate) fn below(&self, place: &str) -> Vec<Debt> {
        self.lock().iter().filter(|debt| is_below(&debt.call, place)).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Debt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What could be taken back of a stored run and is not, in the order it was made.
#[must_use]
pub fn owed(entries: &[Entry]) -> Vec<Debt> {
    Ledger::of(&Recorded::of(entries)).below("")
}

/// Whether a run is taken back in part, so that nothing goes forward from it: the undo is finished first.
#[must_use]
pub fn is_half_undone(entries: &[Entry]) -> bool {
    let recorded = Recorded::of(entries);
    match recorded.verdict {
        Some(_) => recorded.half_undone().next().is_some(),
        None => recorded.let_go().next().is_some(),
    }
}

/// Takes back everything below a place, newest first. A failure does not stop the rest; it stays in the
/// ledger and is told by `leftovers`.
pub(crate) fn undo_below(session: &Arc<Session>, place: &str) -> Result<usize, Interrupt> {
    let mut failures = 0;
    if session.mode != Mode::Run {
        return Ok(failures);
    }
    session.check_left()?;
    for debt in session.ledger.below(place).into_iter().rev() {
        session.check_left()?;
        if let Err(error) = undo_one(session, &debt)? {
            failures += 1;
            session.ledger.failed(&debt.call, &error);
            session.journal.commit(Body::Undone { call: debt.call, outcome: Outcome::Failed(error) })?;
        } else {
            session.ledger.forgive(&debt.call);
            session.journal.commit(Body::Undone { call: debt.call, outcome: Outcome::Ok(Value::Null) })?;
        }
    }
    Ok(failures)
}

fn undo_one(session: &Arc<Session>, debt: &Debt) -> Result<Result<(), CallError>, Interrupt> {
    if !debt.sure && !happened_after_all(session, debt)? {
        return Ok(Ok(()));
    }
    if let Some(halt) = session.store.halt()? {
        return Ok(Err(halted(&halt, &session.run, "undo")));
    }
    if !session.vault.has_all(&debt.undo.arguments) {
        return Ok(Err(without_secret()));
    }
    let key = inverse_of(&debt.call);
    let before = done_before(session, debt, &key)?;
    let effect =
        session.registry.function(&debt.undo.function).map_or(Effect::Changes, |f| f.description.effect);
    session.journal.commit(Body::Asked {
        call: key.clone(),
        frame: "~undo".to_owned(),
        ordinal: u32::MAX,
        function: debt.undo.function.clone(),
        effect,
        arguments: debt.undo.arguments.clone(),
        key: format!("{}{key}", session.run),
        summary: debt.undo.summary.clone(),
        diff: None,
        unchanged: false,
        undo: None,
        place: Place::default(),
    })?;
    let began = Instant::now();
    let answer = perform(session, &key, &debt.undo, before)?;
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let outcome = answer.clone().map_or_else(Outcome::Failed, Outcome::Ok);
    session.journal.commit(Body::Happened { call: key, outcome, milliseconds })?;
    Ok(answer.map(drop))
}

/// An inverse is not interrupted by the cancel that caused it, only by a person who wants the process to let go.
fn perform(
    session: &Arc<Session>,
    key: &str,
    undo: &UndoCall,
    before: Recorded,
) -> Result<Result<Value, CallError>, Interrupt> {
    session.check_claim()?;
    if let Some(name) = undo.function.strip_prefix("script::") {
        let Some(script) = session.script.get() else { return Ok(Err(gone(&undo.function))) };
        let frame = Frame::inverse(Arc::clone(session), key, before);
        let answer = script.call_undo(&frame, name, &undo.arguments);
        return session.check_left().map(|()| answer);
    }
    let Some(function) = session.registry.function(&undo.function) else {
        return Ok(Err(gone(&undo.function)));
    };
    let mut context = session.context(key, None);
    context.cancel = session.left.clone();
    let arguments = session.vault.opened(&undo.arguments);
    unless_left(session, function.perform(&context, &arguments))
}

/// Why the last try has no end.
fn cut_off(recorded: &Recorded, call: &str) -> Option<CallError> {
    let begun = recorded.calls.get(&inverse_of(call)).filter(|inverse| inverse.outcome.is_none());
    begun.map(|_| CallError::new(codes::UNDO, "the process died, or was stopped, while it took this back"))
}

/// What earlier tries of a script function did, in this process or before: it goes on from there.
fn done_before(session: &Session, debt: &Debt, key: &str) -> Result<Recorded, Interrupt> {
    if debt.failure.is_none() && !session.recorded.calls.contains_key(key) {
        return Ok(Recorded::default());
    }
    session.journal.flush()?;
    Ok(Recorded::of(&session.store.entries(&session.run, 0)?))
}

fn unless_left<T>(session: &Session, work: impl Future<Output = T>) -> Result<T, Interrupt> {
    session.runtime.block_on(async {
        tokio::select! {
            biased;
            answer = work => Ok(answer),
            () = session.left.cancelled() => Err(Stop::Abandoned.into()),
        }
    })
}

/// Whether an effect without a recorded outcome is there to be undone. When nobody can tell, undo is tried:
/// inverses put a state back, they do not count.
fn happened_after_all(session: &Arc<Session>, debt: &Debt) -> Result<bool, Interrupt> {
    let Some(call) = session.recorded.calls.get(&debt.call) else { return Ok(true) };
    let Some(function) = session.registry.function(&call.function) else { return Ok(true) };
    let mut context = session.context(&debt.call, None);
    context.cancel = session.left.clone();
    let arguments = session.vault.opened(&call.arguments);
    let probe = function.probe(&context, &arguments, Some(&debt.undo));
    Ok(!matches!(unless_left(session, probe)?, Ok(Probe::DidNotHappen)))
}

/// Nothing is taken back with a mask in the place of a secret.
fn without_secret() -> CallError {
    CallError::new(codes::UNDO, "what would take it back holds a secret that was never stored")
        .hint("give the run's secret parameters again, or take it back by hand")
}

fn gone(function: &str) -> CallError {
    CallError::new(codes::UNDO, format!("the function `{function}` that would undo it does not exist"))
}
