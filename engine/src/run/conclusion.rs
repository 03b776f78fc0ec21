//! How a run ends: the script's answer becomes a verdict, what is due is taken back, the last entry is written
//! and leases are given back. [`super::engine`] calls it once for each process that executes a run.

use std::sync::Arc;

use rhai::{Dynamic, EvalAltResult};
use serde_json::Value;

use super::Mode;
use super::handle::Conclusion;
use super::interrupt::{Interrupt, Stop};
use super::recorded::Recorded;
use super::session::Session;
use super::undo::undo_below;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::journal::{Act, Body, StoreError, Verdict};
use crate::runbook::OnFailure;
use crate::script::convert::to_json;
use crate::script::errors;

/// Turns the script's end into the run's: undo where it is due, the last entry, leases given back.
pub(super) fn conclude(
    session: &Arc<Session>,
    answer: Result<Dynamic, Box<EvalAltResult>>,
    on_failure: OnFailure,
    drill: bool,
) -> Conclusion {
    let answer = answer.or_else(|error| match *error {
        EvalAltResult::Exit(value, _) => Ok(value),
        other => Err(Box::new(other)),
    });
    let (verdict, stop, failure, value) = match answer {
        Ok(value) => {
            (Some(Verdict::Succeeded), None, None, to_json(&value, &session.vault).unwrap_or_default())
        }
        Err(error) => {
            let interrupt = match errors::caught(&error, session) {
                // Somebody cancelled it, say, while it came to wait.
                Interrupt::Stop(stop) => Interrupt::Stop(session.stopped.get().cloned().unwrap_or(stop)),
                failed @ Interrupt::Failed(_) => failed,
            };
            let failure = Some(told_to_people(session, &error, &interrupt));
            match interrupt {
                Interrupt::Failed(_) => (Some(Verdict::Failed), None, failure, Value::Null),
                Interrupt::Stop(stop @ Stop::Refused(_)) => {
                    (Some(Verdict::Failed), Some(stop), failure, Value::Null)
                }
                Interrupt::Stop(Stop::Cancelled) => {
                    (Some(Verdict::Cancelled), Some(Stop::Cancelled), None, Value::Null)
                }
                Interrupt::Stop(stop) => (None, Some(stop), failure, Value::Null),
            }
        }
    };
    let conclusion =
        Conclusion { run: session.run.clone(), verdict, stop, failure, value, leftovers: Vec::new() };
    let mut conclusion = finish(session, conclusion, on_failure, drill);
    conclusion.stop = conclusion.stop.map(|stop| stop.masked(&session.vault));
    conclusion
}

fn finish(
    session: &Arc<Session>,
    mut conclusion: Conclusion,
    on_failure: OnFailure,
    drill: bool,
) -> Conclusion {
    if session.mode == Mode::Run {
        let undo = match conclusion.verdict {
            Some(Verdict::Cancelled) => true,
            Some(Verdict::Failed) => on_failure == OnFailure::Undo,
            Some(Verdict::Succeeded) | None => false,
        };
        if undo {
            session.start_undoing();
        }
        if undo && let Err(interrupt) = undo_below(session, "") {
            conclusion.stop = Some(stop_of(interrupt));
            conclusion.verdict = None;
        }
        conclusion.leftovers = match conclusion.verdict {
            Some(Verdict::Succeeded) if !drill => Vec::new(),
            _ => session.ledger.below(""),
        };
        if drill && conclusion.verdict == Some(Verdict::Succeeded) && !conclusion.leftovers.is_empty() {
            conclusion.verdict = Some(Verdict::Failed);
            conclusion.failure = Some(left_behind(&conclusion));
        }
    }
    if conclusion.stop == Some(Stop::Abandoned)
        && let Err(error) = take_cancel_back(session)
    {
        conclusion.stop = Some(Stop::Store(error));
    }
    if let Some(verdict) = conclusion.verdict {
        session.release_leases();
        let (failure, value) = (conclusion.failure.clone(), conclusion.value.clone());
        if let Err(error) = session.journal.commit(Body::Ended { verdict, failure, value }) {
            conclusion.verdict = None;
            conclusion.failure = Some(Diagnostic::from(&Stop::Store(error.clone()).error()));
            conclusion.stop = Some(Stop::Store(error));
        }
    } else if let Err(error) = session.journal.flush() {
        conclusion.failure = Some(Diagnostic::from(&Stop::Store(error.clone()).error()));
        conclusion.stop = Some(Stop::Store(error));
    }
    conclusion
}

/// Who cancels a run and then wants the process to let go of it leaves a run that can be resumed: what was
/// already undone is performed again then.
fn take_cancel_back(session: &Session) -> Result<(), StoreError> {
    session.journal.flush()?;
    let entries = session.store.entries(&session.run, 0)?;
    let Some(since) = Recorded::of(&entries).cancelled else { return Ok(()) };
    session.journal.commit(Body::Decided {
        person: session.person.clone(),
        act: Act::Retry { forget: Recorded::undone_since(&entries, since) },
        note: "left instead of cancelled".to_owned(),
        evidence: String::new(),
    })
}

/// The sentence of what stopped the run, with the place in the script it came from.
fn told_to_people(session: &Session, error: &EvalAltResult, interrupt: &Interrupt) -> Diagnostic {
    let call = match interrupt {
        Interrupt::Failed(call) => call.clone(),
        Interrupt::Stop(stop) => stop.error(),
    };
    let origin = session.lock(&session.origin).clone();
    let placed = match origin {
        Some((known, diagnostic)) if known.message == call.message => diagnostic,
        _ => session.diagnostic(error),
    };
    let plain = Diagnostic::from(&call);
    let masked = |text: &String| session.vault.masked(text);
    Diagnostic {
        code: plain.code,
        message: masked(&plain.message),
        hint: plain.hint.as_ref().or(placed.hint.as_ref()).map(masked),
        notes: placed.notes.iter().map(masked).collect(),
        ..placed
    }
}

fn left_behind(conclusion: &Conclusion) -> Diagnostic {
    let count = crate::text::count(conclusion.leftovers.len(), "effect");
    Diagnostic::new(codes::UNDO, format!("the drill left {count} behind")).hint(format!(
        "`aegis leftovers {run}` lists them, `aegis undo {run}` takes them back",
        run = conclusion.run
    ))
}

pub(super) fn stop_of(interrupt: Interrupt) -> Stop {
    match interrupt {
        Interrupt::Stop(stop) => stop,
        Interrupt::Failed(error) => Stop::Refused(error),
    }
}
