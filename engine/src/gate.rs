//! The gate: the one way from a script to the outside. Every call passes here, in this order: arguments,
//! place in the journal, capability, mode, halt, plan, confirmation, journal *asked*, perform, journal
//! *happened*. Nothing else calls `Function::perform`.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::codes;
use crate::error::CallError;
use crate::function::{Context, Effect, Function, Plan, Probe};
use crate::journal::{Act, Body, Halt, Outcome, Place, Wait};
use crate::run::Mode;
use crate::run::confirm::{Answer, Proposal};
use crate::run::frame::{Frame, Slot};
use crate::run::interrupt::{Interrupt, Stop};
use crate::run::recorded::{APPROVAL, Recorded, RecordedCall, inverse_around, taken_back};
use crate::run::session::Session;
use crate::runbook::Capability;
use crate::script::convert::{is_too_deep, too_deep};
use crate::secret::Vault;

/// One call on its way through the gate.
struct Call<'a> {
    session: &'a Arc<Session>,
    function: &'a Function,
    name: &'a str,
    slot: Slot,
    frame: &'a Frame,
    place: Place,
    /// With placeholders, as journaled.
    sealed: Value,
    /// With secrets opened, for the function alone.
    opened: Value,
    context: Context,
    began: Instant,
    /// How long a person thought about it.
    thought: Cell<Duration>,
}

/// Takes one call of a script through the gate.
pub(crate) fn call(frame: &Frame, place: Place, name: &str, arguments: Value) -> Result<Value, Interrupt> {
    let session = &frame.session;
    session.check_alive(frame.deadline)?;
    let function = session.registry.function(name).ok_or_else(|| no_function(name))?;
    let slot = frame.next(name, &place)?;
    let _span = tracing::debug_span!("call", key = slot.key).entered();
    let sealed = session.vault.masked_value(&arguments);
    let opened = session.vault.opened(&arguments);
    let context = session.context(&slot.key, frame.deadline);
    let (began, thought) = (Instant::now(), Cell::default());
    Call { session, function, name, slot, frame, place, sealed, opened, context, began, thought }.pass()
}

impl Call<'_> {
    fn pass(&self) -> Result<Value, Interrupt> {
        if let Some(recorded) = self.frame.recorded.calls.get(&self.slot.key) {
            Recorded::check_arguments(recorded, &self.slot.key, &self.sealed, &self.place)?;
            if let Some(answer) = self.replayed(recorded) {
                return answer;
            }
            return self.missing(recorded);
        }
        if self.session.mode == Mode::Replay {
            return Err(Stop::EndOfJournal.into());
        }
        self.check_capability()?;
        if self.name == APPROVAL && self.takes_back().is_some() {
            return Err(asks_nobody().into());
        }
        self.first_time()
    }

    /// The recorded outcome; `None` where there is none to go by.
    fn replayed(&self, recorded: &RecordedCall) -> Option<Result<Value, Interrupt>> {
        let again = self.answers_secret() && self.session.mode != Mode::Replay;
        let outcome = recorded.outcome.as_ref().filter(|outcome| !(again && outcome.is_ok()))?;
        if self.session.mode == Mode::Replay {
            self.ask(&Plan::new(recorded.summary.clone()));
            self.tell(outcome.clone());
        }
        Some(match outcome {
            Outcome::Ok(value) => Ok(value.clone()),
            Outcome::Skipped(_) => Ok(Value::Null),
            Outcome::Failed(error) => Err(error.clone().into()),
            Outcome::Unknown(error) => Err(self.wait_for_a_person(error)),
        })
    }

    /// Asked by an earlier process, outcome missing: perform again, or look, or ask a person.
    fn missing(&self, recorded: &RecordedCall) -> Result<Value, Interrupt> {
        match self.effect() {
            _ if self.session.mode == Mode::Replay => Err(Stop::EndOfJournal.into()),
            Effect::Reads | Effect::Ambient => self.perform(),
            Effect::Changes | Effect::Once | Effect::Destroys => {
                self.refuse_halted()?;
                match self.probe(recorded)? {
                    Probe::Happened(value) => self.finish(Ok(value)),
                    Probe::DidNotHappen => self.perform(),
                    Probe::CannotTell if self.effect() == Effect::Changes => self.perform(),
                    Probe::CannotTell => self.unknown(lost(self.name)),
                }
            }
        }
    }

    fn first_time(&self) -> Result<Value, Interrupt> {
        match (self.effect(), self.session.mode) {
            (effect, Mode::Plan) if effect.is_effect() || self.function.description.waits => self.preview(),
            (Effect::Reads | Effect::Ambient, _) => {
                self.ask(&Plan::default());
                self.perform()
            }
            _ => self.change(),
        }
    }

    /// Plan mode: shows what would happen; later reads of this plan see it.
    fn preview(&self) -> Result<Value, Interrupt> {
        let plan = self.plan();
        let plan = match plan {
            Ok(plan) => plan,
            Err(interrupt) => {
                self.ask(&Plan::new(format!("{} (cannot be planned)", self.name)));
                return self.failed_before_it_began(interrupt);
            }
        };
        self.ask(&plan);
        self.session.overlay.put(plan.overlay);
        self.tell(Outcome::Ok(plan.predicted.clone()));
        Ok(plan.predicted)
    }

    /// Run mode: plan, confirm, journal, perform.
    fn change(&self) -> Result<Value, Interrupt> {
        self.refuse_halted()?;
        self.session.check_locks()?;
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err(interrupt) => {
                self.ask(&Plan::default());
                return self.failed_before_it_began(interrupt);
            }
        };
        match self.confirmed(&plan)? {
            Answer::Do => {}
            Answer::Skip(note) => return self.skipped(&plan, note),
            Answer::Stop => {
                return Err(self.session.stop(Stop::Waiting(declined(self.name, &self.session.run))));
            }
        }
        self.session.journal.commit(self.asked(&plan))?;
        if let Some(undo) = plan.undo {
            self.session.ledger.owe(&self.slot.key, undo);
        }
        self.perform()
    }

    /// The plan; what takes the effect back is kept for other processes, without its secrets.
    fn plan(&self) -> Result<Plan, Interrupt> {
        let deadline = self.frame.deadline;
        let mut plan = self.session.block(deadline, self.function.plan(&self.context, &self.opened))?;
        if let Some(undo) = &mut plan.undo {
            undo.arguments = self.session.vault.closed(&undo.arguments);
        }
        Ok(plan)
    }

    fn probe(&self, recorded: &RecordedCall) -> Result<Probe, Interrupt> {
        let undo = recorded.undo.as_ref();
        self.session.block(self.frame.deadline, self.function.probe(&self.context, &self.opened, undo))
    }

    fn perform(&self) -> Result<Value, Interrupt> {
        // The process, or the run, may have been stopped since the journal has what is asked.
        self.session.check_claim()?;
        self.session.check_stopped()?;
        if self.effect().is_effect() {
            self.session.check_locks()?;
        }
        let work = self.function.perform(&self.context, &self.opened);
        match self.session.block(self.frame.deadline, work) {
            Ok(value) => self.finish(Ok(self.sealed_answer(value))),
            // Left without an outcome: the undo ledger or the next process looks at the world.
            Err(Interrupt::Stop(stop)) => Err(Interrupt::Stop(stop)),
            // A call that found no store has no outcome: the run goes on at it when there is one.
            Err(Interrupt::Failed(_)) if self.session.lost_store() => {
                Err(Interrupt::Stop(self.session.stopped.get().cloned().unwrap_or(Stop::Abandoned)))
            }
            Err(Interrupt::Failed(error)) if error.code == codes::WAITING.0 => {
                Err(Stop::Waiting(error).into())
            }
            Err(Interrupt::Failed(error)) if error.unknown && self.effect().is_effect() => {
                self.look_again(error)
            }
            Err(Interrupt::Failed(error)) => self.finish(Err(error)),
        }
    }

    /// The connection broke or the time was up after the request went out: look before asking anybody.
    fn look_again(&self, error: CallError) -> Result<Value, Interrupt> {
        let probe = self.function.probe(&self.context, &self.opened, None);
        match self.session.block(None, probe) {
            Ok(Probe::Happened(value)) => self.finish(Ok(self.sealed_answer(value))),
            Ok(Probe::DidNotHappen) => self.finish(Err(CallError { unknown: false, ..error })),
            Err(Interrupt::Stop(stop)) => Err(Interrupt::Stop(stop)),
            Ok(Probe::CannotTell) | Err(Interrupt::Failed(_)) if self.effect() == Effect::Changes => {
                self.finish(Err(CallError { unknown: false, retryable: true, ..error }))
            }
            Ok(Probe::CannotTell) | Err(Interrupt::Failed(_)) => self.unknown(error),
        }
    }

    /// Journals the outcome, then hands it to the script.
    fn finish(&self, answer: Result<Value, CallError>) -> Result<Value, Interrupt> {
        let answer = match answer {
            // What was done is done, whatever it answered.
            Ok(value) if is_too_deep(&value) && self.effect().is_effect() => Ok(Value::Null),
            Ok(value) if is_too_deep(&value) => Err(too_deep()),
            answer => answer,
        };
        let outcome = answer.clone().map_or_else(Outcome::Failed, Outcome::Ok);
        if outcome.is_ok() {
            self.session.ledger.happened(&self.slot.key);
        } else {
            self.session.ledger.forgive(&self.slot.key);
        }
        if self.effect().is_effect() {
            self.session.journal.commit(self.happened(outcome))?;
        } else {
            self.tell(outcome);
        }
        answer.map_err(Interrupt::Failed)
    }

    fn failed_before_it_began(&self, interrupt: Interrupt) -> Result<Value, Interrupt> {
        match interrupt {
            Interrupt::Failed(error) => self.finish(Err(CallError { unknown: false, ..error })),
            stop @ Interrupt::Stop(_) => Err(stop),
        }
    }

    fn unknown(&self, error: CallError) -> Result<Value, Interrupt> {
        self.session.journal.commit(self.happened(Outcome::Unknown(error.clone())))?;
        Err(self.wait_for_a_person(&error))
    }

    /// The call that the function around this call takes back.
    fn takes_back(&self) -> Option<&str> {
        inverse_around(&self.slot.key).and_then(taken_back)
    }

    fn wait_for_a_person(&self, error: &CallError) -> Interrupt {
        let (run, key) = (&self.session.run, &self.slot.key);
        let again = match self.takes_back() {
            Some(_) => format!("`aegis undo {run} --again`"),
            None => format!("`aegis retry {run}`"),
        };
        let then = match self.takes_back() {
            Some(_) => format!("; then `aegis undo {run}` goes on"),
            None => String::new(),
        };
        let told = CallError::new(codes::UNKNOWN, format!("nobody can say whether `{key}` happened"))
            .because(error)
            .hint(format!(
                "find out, then {again} (do it again), `aegis skip {run} '{key}'` or \
                 `aegis mark-done {run} '{key}' --note WHY --evidence PROOF`{then}"
            ));
        if self.takes_back().is_some() {
            return Stop::Waiting(told).into();
        }
        let wait = Wait::Unknown { error: error.clone() };
        if self.session.mode == Mode::Run {
            let waiting = Body::Waiting { call: self.slot.key.clone(), wait };
            if let Err(error) = self.session.journal.commit(waiting) {
                return self.session.stop(Stop::Store(error));
            }
        }
        Stop::Waiting(told).into()
    }

    fn refuse_halted(&self) -> Result<(), Interrupt> {
        let Some(halt) = self.session.store.halt()? else { return Ok(()) };
        if self.takes_back().is_some() {
            return Err(Stop::Waiting(halted(&halt, &self.session.run, "undo")).into());
        }
        let wait = Wait::Halt { reason: halt.reason.clone() };
        self.session.journal.commit(Body::Waiting { call: self.slot.key.clone(), wait })?;
        Err(Stop::Waiting(halted(&halt, &self.session.run, "resume")).into())
    }

    fn check_capability(&self) -> Result<(), Interrupt> {
        let scope = self.function.scope(&self.opened)?;
        let Some(required) = self.function.description.needs() else { return Ok(()) };
        let capability: Option<Capability> = required.parse().ok();
        let allowed =
            |need: &Capability| capability.as_ref().is_some_and(|c| need.allows(c, scope.as_deref()));
        if self.session.needs.iter().any(allowed) {
            return Ok(());
        }
        let line = scope.map_or_else(|| required.to_owned(), |scope| format!("{required}:{scope}"));
        let error = CallError::new(
            codes::CAPABILITY,
            format!("`{}` needs the capability `{line}`, which the header does not declare", self.name),
        )
        .hint(format!("write `{}` in the header (`\"{required}\"` for any scope)", self.needs_with(&line)));
        Err(self.session.stop(Stop::Refused(error)))
    }

    /// The line of the header with one more capability.
    fn needs_with(&self, line: &str) -> String {
        let declared = self.session.needs.iter().map(|capability| format!("\"{capability}\""));
        let all: Vec<String> = declared.chain([format!("\"{line}\"")]).collect();
        format!("needs: [{}],", all.join(", "))
    }

    /// Asks on a thread of its own: a person who does not answer does not keep the run from being cancelled.
    fn confirmed(&self, plan: &Plan) -> Result<Answer, Interrupt> {
        let Some(confirm) = self.session.confirm.clone() else { return Ok(Answer::Do) };
        let proposal = Proposal {
            call: self.slot.key.clone(),
            function: self.name.to_owned(),
            effect: self.effect(),
            plan: plan.clone(),
        };
        let asked = Instant::now();
        let (answers, answer) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || answers.send(confirm.ask(&proposal)));
        let answer = self.session.block(None, async { Ok(answer.await.unwrap_or(Answer::Stop)) });
        self.thought.set(asked.elapsed());
        answer
    }

    fn skipped(&self, plan: &Plan, note: String) -> Result<Value, Interrupt> {
        self.session.journal.ride(self.asked(&Plan { undo: None, ..plan.clone() }));
        self.session.journal.ride(self.happened(Outcome::Skipped(note.clone())));
        self.session.journal.commit(Body::Decided {
            person: self.session.person.clone(),
            act: Act::Skip { key: self.slot.key.clone() },
            note,
            evidence: String::new(),
        })?;
        Ok(Value::Null)
    }

    /// A secret answer is never recorded, so it is computed again on resume.
    fn answers_secret(&self) -> bool {
        let description = &self.function.description;
        description.secret || description.pure && Vault::holds(&self.sealed)
    }

    /// The answer as journal and script see it: placeholders where it is secret.
    fn sealed_answer(&self, value: Value) -> Value {
        if self.answers_secret() { self.session.vault.sealed(&value) } else { value }
    }

    fn ask(&self, plan: &Plan) {
        self.session.journal.ride(self.asked(plan));
    }

    fn tell(&self, outcome: Outcome) {
        self.session.journal.ride(self.happened(outcome));
    }

    fn asked(&self, plan: &Plan) -> Body {
        let effect = self.effect();
        tracing::debug!(?effect, summary = plan.summary, "asked");
        Body::Asked {
            call: self.slot.key.clone(),
            frame: self.frame.key.clone(),
            ordinal: self.slot.ordinal,
            function: self.name.to_owned(),
            effect,
            arguments: self.sealed.clone(),
            key: if effect.is_effect() { self.context.idempotency_key.clone() } else { String::new() },
            summary: plan.summary.clone(),
            diff: plan.diff.clone(),
            unchanged: plan.unchanged,
            undo: plan.undo.clone(),
            place: self.place.clone(),
        }
    }

    fn happened(&self, outcome: Outcome) -> Body {
        let took = self.began.elapsed().saturating_sub(self.thought.get());
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(outcome = outcome.word(), milliseconds, "happened");
        Body::Happened { call: self.slot.key.clone(), outcome, milliseconds }
    }

    const fn effect(&self) -> Effect {
        self.function.description.effect
    }
}

fn no_function(name: &str) -> Interrupt {
    Interrupt::Failed(CallError::new(codes::FUNCTION, format!("there is no function `{name}`")))
}

fn declined(name: &str, run: &str) -> CallError {
    CallError::new(codes::DECLINED, format!("the run was stopped before `{name}`"))
        .hint(format!("`aegis resume {run}` goes on at this call, `aegis resume {run} --step` asks again"))
}

/// Nothing may be changed now; `verb` goes on later.
pub(crate) fn halted(halt: &Halt, run: &str, verb: &str) -> CallError {
    let message = format!("effects are halted by `{}` since {}: {}", halt.person.0, halt.at, halt.reason);
    CallError::new(codes::HALTED, message).hint(format!("`aegis unhalt`, then `aegis {verb} {run}`"))
}

fn asks_nobody() -> CallError {
    CallError::new(codes::UNDO, "what takes something back asks nobody")
        .hint("ask before the step that it takes back: its option `approval`")
}

fn lost(name: &str) -> CallError {
    CallError::new(codes::UNKNOWN, format!("the process died while `{name}` was under way")).unknown()
}
