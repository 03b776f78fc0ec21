//! The state of a run while a process executes it. Shared by all its branches.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::confirm::Confirm;
use super::interrupt::{Interrupt, Stop};
use super::limits::{Limits, Operations};
use super::recorded::Recorded;
use super::undo::Ledger;
use super::{Mode, Progress};
use crate::clock::{Clock, Entropy};
use crate::codes;
use crate::diagnostic::{self, Diagnostic};
use crate::error::CallError;
use crate::function::{Context, Overlay, Registry, Services};
use crate::journal::{Act, Body, Journal, Lease, Person, Store};
use crate::runbook::Capability;
use crate::script::Script;
use crate::secret::Vault;

/// How often a run looks for what people decided elsewhere, and renews its leases.
const LOOK: Duration = Duration::from_millis(200);

/// A decision of a person about this run.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    pub(crate) person: Person,
    pub(crate) act: Act,
    pub(crate) note: String,
}

pub(crate) struct Session {
    pub(crate) run: String,
    pub(crate) mode: Mode,
    pub(crate) target: super::TargetFacts,
    pub(crate) person: Person,
    pub(crate) title: String,
    pub(crate) project: PathBuf,
    pub(crate) needs: Vec<Capability>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) services: Services,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) journal: Journal,
    pub(crate) recorded: Recorded,
    pub(crate) ledger: Ledger,
    pub(crate) vault: Vault,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) cancel: CancellationToken,
    pub(crate) stopped: OnceLock<Stop>,
    /// True while effects are taken back: a cancelled run still finishes its undo.
    pub(crate) undoing: AtomicBool,
    pub(crate) overlay: Arc<Overlay>,
    pub(crate) confirm: Option<Arc<dyn Confirm>>,
    /// Waits inside the process for people; otherwise the process leaves and the run is resumed later.
    pub(crate) patient: bool,
    pub(crate) limits: Limits,
    pub(crate) operations: Operations,
    pub(crate) deadline: Option<Instant>,
    pub(crate) progress: Progress,
    pub(crate) script: OnceLock<Script>,
    /// The first place an error that is on its way up came from.
    pub(crate) origin: Mutex<Option<(CallError, Diagnostic)>>,
    pub(crate) decisions: Mutex<Vec<Decision>>,
    pub(crate) decided: watch::Sender<usize>,
    pub(crate) leases: Mutex<BTreeMap<String, (Lease, Duration)>>,
}

impl Session {
    /// Ends the run for the given reason; the first reason stays.
    pub(crate) fn stop(&self, stop: Stop) -> Interrupt {
        let _ = self.stopped.set(stop);
        self.cancel.cancel();
        Interrupt::Stop(self.stopped.get().cloned().unwrap_or(Stop::Abandoned))
    }

    /// Refuses to go on when the run has been stopped or its time, or its step's, is up.
    pub(crate) fn check_alive(&self, deadline: Option<Instant>) -> Result<(), Interrupt> {
        if self.undoing.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some(stop) = self.stopped.get() {
            return Err(Interrupt::Stop(stop.clone()));
        }
        if self.deadline.is_some_and(|at| Instant::now() >= at) {
            return Err(self.stop(Stop::Refused(run_timeout())));
        }
        if deadline.is_some_and(|at| Instant::now() >= at) {
            return Err(step_timeout().into());
        }
        Ok(())
    }

    /// The surroundings of one call.
    pub(crate) fn context(self: &Arc<Self>, call: &str, deadline: Option<Instant>) -> Context {
        let (progress, told) = (Arc::clone(&self.progress), call.to_owned());
        Context {
            run: self.run.clone(),
            target: self.target.name.clone(),
            operator: self.person.0.clone(),
            mode: self.mode,
            idempotency_key: format!("{}{call}", self.run),
            project: self.project.clone(),
            overlay: Arc::clone(&self.overlay),
            services: self.services.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            cancel: self.cancel.clone(),
            deadline,
            progress: Arc::new(move |text: &str| progress(&told, text)),
            control: Some(super::Control { session: Arc::clone(self), call: call.to_owned() }),
        }
    }

    /// Runs a call's future on the async runtime, until it answers, the run is cancelled or the time is up.
    pub(crate) fn block<T>(
        &self,
        deadline: Option<Instant>,
        work: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, Interrupt> {
        let deadline = [self.deadline, deadline].into_iter().flatten().min();
        self.runtime.block_on(async {
            let time_is_up = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                answer = work => answer.map_err(Interrupt::Failed),
                () = self.cancel.cancelled(), if !self.undoing.load(Ordering::Acquire) => {
                    Err(Interrupt::Stop(self.stopped.get().cloned().unwrap_or(Stop::Abandoned)))
                }
                () = time_is_up => Err(Interrupt::Failed(step_timeout().unknown())),
            }
        })
    }

    /// Watches for decisions, keeps leases alive and what rides along from getting old, until the run is over.
    pub(crate) async fn look_around(self: Arc<Self>, over: CancellationToken) {
        let mut seen = self.recorded.last;
        loop {
            tokio::select! {
                () = over.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let session = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || session.look(seen)).await;
            seen = looked.unwrap_or(seen);
        }
    }

    fn look(&self, seen: u64) -> u64 {
        // A journal that cannot be written shows at the next durable write, with its error.
        let _ = self.journal.flush();
        self.renew_leases();
        let Ok(entries) = self.store.decisions(&self.run, seen) else { return seen };
        let last = entries.last().map_or(seen, |entry| entry.seq);
        for entry in entries {
            if let Body::Decided { person, act, note, .. } = entry.body {
                self.hear(Decision { person, act, note });
            }
        }
        last
    }

    /// Takes a decision in; a cancel stops the run.
    pub(crate) fn hear(&self, decision: Decision) {
        if decision.act == Act::Cancel {
            self.stop(Stop::Cancelled);
        }
        let mut decisions = self.lock(&self.decisions);
        decisions.push(decision);
        self.decided.send_replace(decisions.len());
    }

    /// Keeps the place an error came from; the frames it passes on its way up do not overwrite it.
    pub(crate) fn remember(&self, error: &CallError, place: impl FnOnce() -> Diagnostic) {
        let mut origin = self.lock(&self.origin);
        if origin.as_ref().is_none_or(|(known, _)| known.message != error.message) {
            *origin = Some((error.clone(), place()));
        }
    }

    /// The error as a person sees it, with its place in the script.
    pub(crate) fn diagnostic(&self, error: &rhai::EvalAltResult) -> Diagnostic {
        let none = crate::runbook::Sources::default();
        diagnostic::from_error(error, self.script.get().map_or(&none, |script| &script.sources))
    }

    fn renew_leases(&self) {
        let now = self.clock.now();
        for (name, (lease, time_to_live)) in self.lock(&self.leases).iter_mut() {
            let soon = now.checked_add(*time_to_live / 2).unwrap_or(Timestamp::MAX);
            if lease.expires < soon
                && let Ok(Ok(renewed)) = self.store.acquire(name, &self.run, now, *time_to_live)
            {
                *lease = renewed;
            }
        }
    }

    pub(crate) fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn step_timeout() -> CallError {
    CallError::new(codes::TIMEOUT, "the time of the step is up")
        .hint("give the step a longer `timeout`, or find out what it waited for with `aegis show`")
}

pub(crate) fn run_timeout() -> CallError {
    CallError::new(codes::TIMEOUT, "the time of the runbook is up")
        .hint("give the header a longer `timeout`, then `aegis retry` the run")
}
