//! `step(name, [options], body)`: names a group of calls, journals its outcome, and carries retry, timeout,
//! `when`, an approval before it, an inverse, and what happens on failure. A step that is done is not run again on resume: its recorded answer
//! is handed out, which is why bodies see copies of outer variables.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rhai::{Dynamic, FnPtr, Map, NativeCallContext};
use serde_json::Value;

use super::frame::{Frame, Here, Slot, place};
use super::interrupt::{Interrupt, Stop};
use super::recorded::BEFORE;
use super::{Mode, undo};
use crate::error::CallError;
use crate::journal::{Body, Outcome, Place};
use crate::script::convert::{from_json, to_json};
use crate::script::{errors, options};
use crate::units::Period;

/// What a step's options map says.
struct Options {
    retry: Retry,
    timeout: Option<Duration>,
    when: bool,
    on_failure: OnFailure,
    /// Arguments of the `approval::ask` before the first attempt.
    approval: Option<Value>,
    /// Arguments of the `undo::with` before the first attempt.
    undo: Option<Value>,
}

struct Retry {
    max: u32,
    backoff: Duration,
    only_if: Option<FnPtr>,
}

/// What a failed step does to the rest of the run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    /// The error goes on to the script.
    Stop,
    /// The script goes on with `()`.
    Continue,
    /// Effects of the step are undone, then the error goes on.
    Undo,
}

struct Step<'a, 'c> {
    context: &'a NativeCallContext<'c>,
    frame: Arc<Frame>,
    slot: Slot,
    name: String,
    place: Place,
    options: Options,
    body: FnPtr,
}

/// The script function.
pub(crate) fn step(
    context: &NativeCallContext<'_>,
    name: &str,
    options: Option<Map>,
    body: FnPtr,
) -> Result<Dynamic, Interrupt> {
    let frame = Here::get().ok_or_else(errors::no_run)?;
    let place = place(context);
    frame.session.check_alive(frame.deadline)?;
    if name.trim().is_empty() {
        return Err(CallError::argument("a step needs a name")
            .hint("people find it by that in lists")
            .into());
    }
    let options = Options::read(options.unwrap_or_default())?;
    let slot = frame.next(name, &place)?;
    let _span = tracing::debug_span!("step", key = slot.key).entered();
    Step { context, frame, slot, name: name.to_owned(), place, options, body }.run()
}

impl Step<'_, '_> {
    fn run(&self) -> Result<Dynamic, Interrupt> {
        let recorded = self.frame.session.recorded.steps.get(&self.slot.key).cloned().unwrap_or_default();
        let replaying = self.frame.session.mode == Mode::Replay;
        if let Some((outcome, _)) =
            recorded.left.filter(|(outcome, _)| !replaying || !outcome.is_ok() && recorded.attempt == 0)
        {
            return self.settled(outcome);
        }
        if !self.options.when {
            return self.left_out("its `when` is false");
        }
        self.before()?;
        self.attempts(
            recorded.attempt.max(1) + u32::from(recorded.attempt_failed && recorded.attempt > 0),
            recorded.attempt,
        )
    }

    /// What the options ask for before the body: calls like any others, in a frame of their own.
    fn before(&self) -> Result<(), Interrupt> {
        let frame = self.frame.child(&self.slot.key, BEFORE, None);
        let calls = [("approval::ask", &self.options.approval), ("undo::with", &self.options.undo)];
        for (function, arguments) in calls {
            if let Some(arguments) = arguments {
                crate::gate::call(&frame, self.place.clone(), function, arguments.clone())?;
            }
        }
        Ok(())
    }

    fn attempts(&self, first: u32, begun: u32) -> Result<Dynamic, Interrupt> {
        let mut attempt = first;
        loop {
            let error = match self.attempt(attempt, attempt > begun) {
                Ok(value) => return Ok(value),
                Err(Interrupt::Stop(stop)) => return Err(Interrupt::Stop(stop)),
                Err(Interrupt::Failed(error)) => error,
            };
            if attempt > self.options.retry.max || !self.worth_retrying(&error)? {
                return self.failed(error);
            }
            self.wait_before(attempt, &error)?;
            attempt += 1;
        }
    }

    /// One attempt; a failed one that another may follow is journaled as not the last.
    fn attempt(&self, attempt: u32, fresh: bool) -> Result<Dynamic, Interrupt> {
        if fresh || self.frame.session.mode == Mode::Replay {
            self.frame.session.journal.ride(self.entered(attempt));
        }
        let began = Instant::now();
        let deadline = self.options.timeout.map(|limit| began + limit);
        let suffix = if attempt == 1 { String::new() } else { format!("@{attempt}") };
        let inner = self.frame.child(&self.slot.key, &suffix, deadline);
        let outcome = inner
            .enter(self.context, &self.body, &mut [])
            .map_err(|error| errors::caught(&error, &self.frame.session))
            .and_then(|value| Ok(to_json(&value, &self.frame.session.vault)?));
        match outcome {
            Ok(json) => {
                self.left(attempt, Outcome::Ok(json.clone()), true, began);
                Ok(from_json(&json, &self.frame.session.vault))
            }
            Err(Interrupt::Failed(error)) => {
                let last = attempt > self.options.retry.max || !self.worth_retrying(&error)?;
                self.left(attempt, Outcome::Failed(error.clone()), last, began);
                Err(Interrupt::Failed(error))
            }
            Err(stop) => Err(stop),
        }
    }

    fn failed(&self, error: CallError) -> Result<Dynamic, Interrupt> {
        match self.options.on_failure {
            OnFailure::Stop => Err(Interrupt::Failed(error)),
            OnFailure::Continue => Ok(Dynamic::UNIT),
            OnFailure::Undo => {
                undo::undo_below(&self.frame.session, &self.slot.key)?;
                Err(Interrupt::Failed(error))
            }
        }
    }

    /// The outcome an earlier process, or a person, gave it.
    fn settled(&self, outcome: Outcome) -> Result<Dynamic, Interrupt> {
        match outcome {
            Outcome::Ok(value) => Ok(from_json(&value, &self.frame.session.vault)),
            Outcome::Skipped(_) => Ok(Dynamic::UNIT),
            Outcome::Failed(error) | Outcome::Unknown(error) => self.failed(error),
        }
    }

    fn left_out(&self, why: &str) -> Result<Dynamic, Interrupt> {
        self.frame.session.journal.ride(self.entered(1));
        self.left(1, Outcome::Skipped(why.to_owned()), true, Instant::now());
        Ok(Dynamic::UNIT)
    }

    fn worth_retrying(&self, error: &CallError) -> Result<bool, Interrupt> {
        let Some(only_if) = &self.options.retry.only_if else { return Ok(true) };
        let told = from_json(&errors::as_map(error), &self.frame.session.vault);
        let answer = self
            .frame
            .child(&self.slot.key, "~only_if", None)
            .enter(self.context, only_if, &mut [told])
            .map_err(|error| errors::caught(&error, &self.frame.session))?;
        Ok(answer.as_bool().unwrap_or(false))
    }

    /// Doubles the backoff with each attempt and spreads it by up to a quarter, so that many runs that
    /// failed together do not come back together. What the other side asked for is waited at least.
    fn wait_before(&self, attempt: u32, error: &CallError) -> Result<(), Interrupt> {
        let session = &self.frame.session;
        if session.mode != Mode::Run {
            return Ok(());
        }
        let doubled = self.options.retry.backoff.saturating_mul(1 << (attempt - 1).min(16));
        let spread = doubled.mul_f64((session.entropy.next() % 1000) as f64 / 4000.0);
        let wait = (doubled + spread).max(error.retry_after.unwrap_or_default());
        (session.progress)(&self.slot.key, &format!("attempt {attempt} failed, next in {}", Period(wait)));
        session.block(self.frame.deadline, async {
            tokio::time::sleep(wait).await;
            Ok(())
        })
    }

    fn entered(&self, attempt: u32) -> Body {
        Body::Entered {
            step: self.slot.key.clone(),
            frame: self.frame.key.clone(),
            ordinal: self.slot.ordinal,
            name: self.name.clone(),
            attempt,
            branches: None,
            place: self.place.clone(),
        }
    }

    fn left(&self, attempt: u32, outcome: Outcome, last: bool, began: Instant) {
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let step = self.slot.key.clone();
        self.frame.session.journal.ride(Body::Left { step, attempt, outcome, last, milliseconds });
    }
}

impl Options {
    fn read(mut map: Map) -> Result<Self, CallError> {
        options::refuse_unknown(&map, &["retry", "timeout", "when", "on_failure", "approval", "undo"])?;
        Ok(Self {
            retry: Retry::read(options::map(&mut map, "retry")?)?,
            timeout: options::period(&mut map, "timeout")?,
            when: options::boolean(&mut map, "when", true)?,
            approval: options::arguments(&mut map, "approval", "question")?,
            undo: options::arguments(&mut map, "undo", "function")?,
            on_failure: match options::text(&mut map, "on_failure")?.as_deref() {
                None | Some("stop") => OnFailure::Stop,
                Some("continue") => OnFailure::Continue,
                Some("undo") => OnFailure::Undo,
                Some(other) => {
                    let message = format!("`on_failure` cannot be `{other}`");
                    return Err(CallError::argument(message).hint("choose `stop`, `continue` or `undo`"));
                }
            },
        })
    }
}

impl Retry {
    fn read(map: Option<Map>) -> Result<Self, CallError> {
        let mut map = map.unwrap_or_default();
        options::refuse_unknown(&map, &["max", "backoff", "only_if"])?;
        let only_if = map.remove("only_if").map(|given| {
            let kind = given.type_name();
            given.try_cast::<FnPtr>().ok_or_else(|| {
                CallError::argument(format!("`only_if` is a function of the error, not {kind}"))
                    .hint("write `only_if: |error| error.code == \"A0106\"`")
            })
        });
        let only_if = only_if.transpose()?;
        let given = options::integer(&mut map, "max")?;
        let backoff = options::period(&mut map, "backoff")?.unwrap_or(Duration::from_secs(1));
        let default = if only_if.is_some() { 2 } else { 0 };
        Ok(Self { max: u32::try_from(given.unwrap_or(default)).unwrap_or(0), backoff, only_if })
    }
}

impl Stop {
    /// True for ends after which the run can be resumed.
    #[must_use]
    pub const fn resumable(&self) -> bool {
        !matches!(self, Self::Cancelled | Self::Refused(_))
    }
}
