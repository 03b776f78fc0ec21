//! Errors on their way into a script and out of it. A failed call becomes a map the script can catch
//! (`code`, `message`, `hint`, `module`, `function`, `retryable`); an end of the run passes every `try`.

use rhai::{Dynamic, EvalAltResult, Map, Position};
use serde_json::{Value, json};

use crate::codes;
use crate::diagnostic;
use crate::error::CallError;
use crate::run::frame::Here;
use crate::run::interrupt::{Interrupt, Stop};
use crate::run::session::{Session, run_timeout, step_timeout};

/// Where the error that ends a script keeps why.
const STOP: &str = "stop";

/// Why `on_progress` ended the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halted {
    Stopped,
    Operations,
    StepTime,
    RunTime,
}

/// An error as scripts see it.
pub(crate) fn as_map(error: &CallError) -> Value {
    json!({
        "code": error.code,
        "message": error.message,
        "hint": error.hint.clone().unwrap_or_default(),
        "retryable": error.retryable,
    })
}

/// What a native function hands to Rhai.
pub(crate) fn raised(interrupt: Interrupt, function: &str, position: Position) -> Box<EvalAltResult> {
    match interrupt {
        Interrupt::Failed(error) => {
            let mut map = as_map(&error);
            if let Some((module, name)) = function.split_once("::") {
                map["module"] = json!(module);
                map["function"] = json!(name);
            }
            let thrown = super::convert::from_json(&map, &crate::secret::Vault::default());
            Box::new(EvalAltResult::ErrorRuntime(thrown, position))
        }
        Interrupt::Stop(stop) => {
            if let Some(frame) = Here::get().filter(|_| !stop.is_of_a_branch()) {
                frame.session.stop(stop.clone());
            }
            let told = super::convert::from_json(&as_map(&stop.error()), &crate::secret::Vault::default());
            let mut told = told.cast::<Map>();
            told.insert(STOP.into(), Dynamic::from(stop));
            Box::new(EvalAltResult::ErrorTerminated(told.into(), position))
        }
    }
}

/// What came out of a script body: an end of the run, or an error with the place it came from kept for the
/// person who will read it.
pub(crate) fn caught(error: &EvalAltResult, session: &Session) -> Interrupt {
    let innermost = innermost(error);
    if let EvalAltResult::ErrorTerminated(why, _) = innermost {
        return terminated(why, session);
    }
    let error_told = call_error(innermost);
    session.remember(&error_told, || session.diagnostic(error));
    Interrupt::Failed(error_told)
}

fn terminated(why: &Dynamic, session: &Session) -> Interrupt {
    let stop = why.read_lock::<Map>().and_then(|map| map.get(STOP)?.clone().try_cast::<Stop>());
    if let Some(stop) = stop {
        return Interrupt::Stop(stop);
    }
    match why.clone().try_cast::<Halted>() {
        Some(Halted::StepTime) => Interrupt::Failed(step_timeout()),
        Some(Halted::RunTime) => session.stop(Stop::Refused(run_timeout())),
        Some(Halted::Operations) => session.stop(Stop::Refused(too_many_operations())),
        Some(Halted::Stopped) | None => {
            Interrupt::Stop(session.stopped.get().cloned().unwrap_or(Stop::Abandoned))
        }
    }
}

fn innermost(error: &EvalAltResult) -> &EvalAltResult {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => {
            innermost(inner)
        }
        other => other,
    }
}

/// The error inside: what a host function raised, what the script threw, or what Rhai itself found.
fn call_error(error: &EvalAltResult) -> CallError {
    let sources = crate::runbook::Sources::default();
    let told = diagnostic::from_error(error, &sources);
    let retryable = match error {
        EvalAltResult::ErrorRuntime(value, _) => value
            .read_lock::<rhai::Map>()
            .and_then(|map| map.get("retryable").and_then(|flag| flag.as_bool().ok()))
            .unwrap_or(false),
        _ => false,
    };
    CallError { code: told.code, hint: told.hint, retryable, ..CallError::new(codes::SCRIPT, told.message) }
}

/// A builtin was called outside of a run.
pub(crate) fn no_run() -> Interrupt {
    Interrupt::Failed(CallError::new(codes::SCRIPT, "this function works only inside a run"))
}

fn too_many_operations() -> CallError {
    CallError::new(codes::LIMIT, "the script ran too many operations").hint("is there a loop without an end?")
}
