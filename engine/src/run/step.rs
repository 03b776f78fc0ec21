//! `step(name, [options], body)`: names a group of calls, journals its outcome, and carries retry, timeout,
//! `when`, an approval before it, an inverse, and what happens on failure. A step that is done is not run again on resume: its recorded answer
//! is handed out, which is why bodies see copies of outer variables.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rhai::{Dynamic, FnPtr, Map, NativeCallContext};

use super::frame::{Frame, Here, Slot, place};
use super::interrupt::{Interrupt, Stop};
use super::recorded::BEFORE;
use super::{Mode, undo};
use crate::error::CallError;
use crate::journal::{Body, Outcome, Place};
use crate::runbook::{OnStepFailure, StepOptions, arguments_of};
use crate::script::convert::{from_json, to_json};
use crate::script::{errors, options};
use crate::units::Period;

struct Step<'a, 'c> {
    context: &'a NativeCallContext<'c>,
    frame: Arc<Frame>,
    slot: Slot,
    name: String,
    place: Place,
    options: StepOptions,
    /// Decides whether a failure is worth another attempt.
    only_if: Option<FnPtr>,
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
    let map = options.unwrap_or_default();
    let options: StepOptions = options::read("step", &map, &frame.session.vault)?;
    let only_if = options::function(&map, &["retry", "only_if"]);
    let slot = frame.next(name, &place)?;
    let _span = tracing::debug_span!("step", key = slot.key).entered();
    Step { context, frame, slot, name: name.to_owned(), place, options, only_if, body }.run()
}

impl Step<'_, '_> {
    fn run(&self) -> Result<Dynamic, Interrupt> {
        let recorded = self.frame.recorded.steps.get(&self.slot.key).cloned().unwrap_or_default();
        let replaying = self.frame.session.enters_again();
        // A replay goes through the bodies again, but what people said of a step has no body.
        if let Some((outcome, _)) = recorded.left.filter(|_| !replaying || recorded.decided) {
            if replaying {
                let attempt = recorded.attempt.max(1);
                self.frame.session.ride(self.entered(attempt));
                self.left(attempt, outcome.clone(), true, Instant::now());
            }
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
        let calls = [
            ("approval::ask", "question", &self.options.approval),
            ("undo::with", "function", &self.options.undo),
        ];
        for (function, first, given) in calls {
            if let Some(given) = given {
                let arguments = arguments_of(given.clone(), first);
                crate::gate::call(&frame, self.place.clone(), function, arguments)?;
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
            if attempt > self.retries() || !self.worth_retrying(&error)? {
                return self.failed(error);
            }
            self.wait_before(attempt, &error)?;
            attempt += 1;
        }
    }

    /// One attempt; a failed one that another may follow is journaled as not the last.
    fn attempt(&self, attempt: u32, fresh: bool) -> Result<Dynamic, Interrupt> {
        if fresh || self.frame.session.enters_again() {
            self.frame.session.ride(self.entered(attempt));
        }
        let began = Instant::now();
        let deadline = self.options.timeout.map(|limit| began + limit.0);
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
                let last = attempt > self.retries() || !self.worth_retrying(&error)?;
                self.left(attempt, Outcome::Failed(error.clone()), last, began);
                Err(Interrupt::Failed(error))
            }
            Err(stop) => Err(stop),
        }
    }

    /// How often the body may be run again.
    fn retries(&self) -> u32 {
        self.options.retry.as_ref().map_or(0, |retry| retry.max)
    }

    fn failed(&self, error: CallError) -> Result<Dynamic, Interrupt> {
        match self.options.on_failure {
            OnStepFailure::Stop => Err(Interrupt::Failed(error)),
            OnStepFailure::Continue => Ok(Dynamic::UNIT),
            OnStepFailure::Undo => {
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
        self.frame.session.ride(self.entered(1));
        self.left(1, Outcome::Skipped(why.to_owned()), true, Instant::now());
        Ok(Dynamic::UNIT)
    }

    fn worth_retrying(&self, error: &CallError) -> Result<bool, Interrupt> {
        let Some(only_if) = &self.only_if else { return Ok(true) };
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
        let backoff = self.options.retry.as_ref().map_or(Duration::ZERO, |retry| retry.backoff.0);
        let doubled = backoff.saturating_mul(1 << (attempt - 1).min(16));
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
        self.frame.session.ride(Body::Left { step, attempt, outcome, last, milliseconds });
    }
}

impl Stop {
    /// True for ends after which the run can be resumed.
    #[must_use]
    pub const fn resumable(&self) -> bool {
        !matches!(self, Self::Cancelled | Self::Refused(_))
    }
}
