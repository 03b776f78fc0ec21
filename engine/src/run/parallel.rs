//! `parallel(items, [options], body)`: one branch an item, each on its own thread with its own place in the
//! journal, at most `max` at once. Results come in the order of the items, errors too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use rhai::{Array, Dynamic, FnPtr, Map, NativeCallContext};
use serde_json::{Value, json};

use super::frame::{Frame, Here, Slot, place};
use super::interrupt::Interrupt;
use crate::codes;
use crate::error::CallError;
use crate::journal::{Body, Outcome, Place};
use crate::runbook::ParallelOptions;
use crate::script::convert::{from_json, to_json};
use crate::script::{errors, options};

/// Stack of a branch: deep recursion ends at Rhai's limit, not here.
const STACK: usize = 16 << 20;

struct Block<'a, 'c> {
    context: &'a NativeCallContext<'c>,
    frame: Arc<Frame>,
    slot: Slot,
    place: Place,
    items: Array,
    options: ParallelOptions,
    body: FnPtr,
}

type BranchAnswer = Result<Value, Interrupt>;

/// The script function.
pub(crate) fn parallel(
    context: &NativeCallContext<'_>,
    items: Array,
    options: Option<Map>,
    body: FnPtr,
) -> Result<Dynamic, Interrupt> {
    let frame = Here::get().ok_or_else(errors::no_run)?;
    let place = place(context);
    frame.session.check_alive(frame.deadline)?;
    let map = options.unwrap_or_default();
    let options: ParallelOptions = options::read("parallel", &map, &frame.session.vault)?;
    let slot = frame.next("parallel", &place)?;
    Block { context, frame, slot, place, items, options, body }.run()
}

impl Block<'_, '_> {
    fn run(&self) -> Result<Dynamic, Interrupt> {
        let session = &self.frame.session;
        let recorded = self.frame.recorded.steps.get(&self.slot.key).cloned().unwrap_or_default();
        if let Some((outcome, _)) = recorded.left.filter(|_| !session.enters_again()) {
            return match outcome {
                Outcome::Ok(value) => Ok(from_json(&value, &session.vault)),
                Outcome::Skipped(_) => Ok(Array::new().into()),
                Outcome::Failed(error) | Outcome::Unknown(error) => Err(error.into()),
            };
        }
        if recorded.attempt == 0 || session.enters_again() {
            session.ride(self.entered());
        }
        let began = Instant::now();
        let answer = self.joined(self.branches()?);
        if !matches!(answer, Err(Interrupt::Stop(_))) {
            self.left(&answer, began);
        }
        answer.map(|json| from_json(&json, &session.vault))
    }

    fn branches(&self) -> Result<Vec<Option<BranchAnswer>>, Interrupt> {
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let workers = self.options.at_once().min(self.items.len());
        let mut answers: Vec<Option<BranchAnswer>> = Vec::new();
        answers.resize_with(self.items.len(), || None);
        let span = tracing::Span::current();
        std::thread::scope(|scope| {
            let work = || span.in_scope(|| self.work(&next, &failed));
            let mut threads = Vec::with_capacity(workers);
            for _ in 0..workers {
                let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
                threads.push(thread.map_err(|error| no_thread(&error))?);
            }
            for thread in threads {
                for (index, answer) in thread.join().unwrap_or_else(|_| vec![(0, Err(panicked()))]) {
                    answers[index] = Some(answer);
                }
            }
            Ok::<(), Interrupt>(())
        })?;
        Ok(answers)
    }

    /// One thread: takes items in order until none is left or, unless collecting, a branch has failed.
    fn work(&self, next: &AtomicUsize, failed: &AtomicBool) -> Vec<(usize, BranchAnswer)> {
        let mut done = Vec::new();
        while self.options.collect || !failed.load(Ordering::Acquire) {
            let index = next.fetch_add(1, Ordering::AcqRel);
            let Some(item) = self.items.get(index) else { break };
            let answer = self.branch(index, item.clone());
            // One that waits for a person keeps its own place among `max` and holds no other back.
            let holds_back = match &answer {
                Ok(_) => false,
                Err(Interrupt::Stop(stop)) => !stop.is_of_a_branch(),
                Err(Interrupt::Failed(_)) => true,
            };
            if holds_back {
                failed.store(true, Ordering::Release);
            }
            let stopped = matches!(answer, Err(Interrupt::Stop(_)));
            done.push((index, answer));
            if stopped {
                break;
            }
        }
        done
    }

    fn branch(&self, index: usize, item: Dynamic) -> BranchAnswer {
        let inner = self.frame.child(&self.slot.key, &format!("[{index}]"), None);
        let value = inner
            .enter(self.context, &self.body, &mut [item])
            .map_err(|error| errors::caught(&error, &self.frame.session))?;
        Ok(to_json(&value, &self.frame.session.vault)?)
    }

    /// The answers in item order; a stop rules over an error, the first item's error over a later one's.
    fn joined(&self, answers: Vec<Option<BranchAnswer>>) -> Result<Value, Interrupt> {
        if let Some(stop) = answers.iter().flatten().find_map(|answer| match answer {
            Err(Interrupt::Stop(stop)) => Some(stop.clone()),
            _ => None,
        }) {
            return Err(Interrupt::Stop(stop));
        }
        let answers = answers.into_iter().flatten();
        if self.options.collect {
            return Ok(answers.map(collected).collect());
        }
        answers.collect::<Result<Vec<Value>, Interrupt>>().map(Value::Array)
    }

    fn entered(&self) -> Body {
        Body::Entered {
            step: self.slot.key.clone(),
            frame: self.frame.key.clone(),
            ordinal: self.slot.ordinal,
            name: "parallel".to_owned(),
            attempt: 1,
            branches: Some(self.items.len()),
            place: self.place.clone(),
        }
    }

    fn left(&self, answer: &Result<Value, Interrupt>, began: Instant) {
        let outcome = match answer {
            Ok(value) => Outcome::Ok(value.clone()),
            Err(Interrupt::Failed(error)) => Outcome::Failed(error.clone()),
            Err(Interrupt::Stop(_)) => return,
        };
        self.frame.session.ride(Body::Left {
            step: self.slot.key.clone(),
            attempt: 1,
            outcome,
            last: true,
            milliseconds: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
    }
}

fn collected(answer: BranchAnswer) -> Value {
    match answer {
        Ok(value) => json!({ "ok": true, "value": value }),
        Err(Interrupt::Failed(error)) => json!({ "ok": false, "error": errors::as_map(&error) }),
        Err(Interrupt::Stop(stop)) => json!({ "ok": false, "error": errors::as_map(&stop.error()) }),
    }
}

fn no_thread(error: &std::io::Error) -> Interrupt {
    Interrupt::Failed(CallError::new(codes::LIMIT, "no thread could be started").because(error))
}

fn panicked() -> Interrupt {
    Interrupt::Failed(CallError::new(codes::DEFECT, "aegis itself broke off in a branch"))
}
