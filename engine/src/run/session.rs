//! The state of a run while a process executes it. Shared by all its branches.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::confirm::Confirm;
use super::engine::{Engine, Execution};
use super::handle::{Event, Listener};
use super::interrupt::{Interrupt, Stop};
use super::leases::Leases;
use super::limits::{Limits, Memory, Operations, outside};
use super::log::Log;
use super::recorded::Recorded;
use super::undo::Ledger;
use super::{Mode, Progress};
use crate::clock::{Clock, Entropy};
use crate::codes;
use crate::diagnostic::{self, Diagnostic};
use crate::error::CallError;
use crate::function::{Cleanup, Context, Overlay, Registry, Services};
use crate::journal::{Act, Body, Claim, Entry, Fence, Journal, Person, Scheduled, Store, StoreError};
use crate::runbook::{Capability, Params, Runbook};
use crate::script::Script;
use crate::secret::Vault;

/// How often a run looks for what people decided elsewhere, and renews its leases.
const LOOK: Duration = Duration::from_millis(200);

/// How often a run looks how much memory it takes: a script cannot fill much between two looks.
const LOOK_AT_MEMORY: Duration = Duration::from_millis(20);

/// How often a run looks whether its claim still holds.
const LOOK_AT_CLAIM: Duration = Duration::from_millis(100);

/// How long the end of a run waits for calls that were stopped: longer than programs are usually given between
/// SIGTERM and SIGKILL.
const CLEANUP: Duration = Duration::from_secs(60);

/// Everything a session is made of besides the engine and the execution.
pub(super) struct Making {
    pub(super) run: String,
    pub(super) mode: Mode,
    pub(super) store: Arc<dyn Store>,
    pub(super) runbook: Runbook,
    pub(super) params: Params,
    pub(super) project: PathBuf,
    pub(super) entries: Vec<Entry>,
    pub(super) vault: Vault,
    pub(super) claim: Box<dyn Claim>,
    pub(super) scheduled: Option<Scheduled>,
    /// A replay that only looks whether a script fits: it hands out what is over, as a resume does.
    pub(super) skims: bool,
}

pub(crate) struct Session {
    pub(crate) run: String,
    pub(crate) mode: Mode,
    skims: bool,
    pub(crate) target: super::TargetFacts,
    pub(crate) person: Person,
    pub(crate) title: String,
    /// The instant it is the run of.
    pub(crate) scheduled: Option<Scheduled>,
    pub(crate) project: PathBuf,
    pub(crate) needs: Vec<Capability>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) services: Services,
    pub(crate) store: Arc<dyn Store>,
    /// The claim under which this process executes the run.
    pub(crate) fence: Fence,
    pub(crate) journal: Journal,
    pub(crate) recorded: Arc<Recorded>,
    pub(crate) ledger: Ledger,
    pub(crate) vault: Vault,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) cancel: CancellationToken,
    /// A person wants the process to let go of the run at once: undo stops as well.
    pub(crate) left: CancellationToken,
    pub(crate) stopped: OnceLock<Stop>,
    /// True while effects are taken back: a cancelled run still finishes its undo.
    pub(crate) undoing: AtomicBool,
    pub(crate) overlay: Arc<Overlay>,
    pub(crate) confirm: Option<Arc<dyn Confirm>>,
    /// Waits inside the process for people; otherwise the process leaves and the run is resumed later.
    pub(crate) patient: bool,
    pub(crate) limits: Limits,
    pub(crate) operations: Operations,
    /// What dropped calls still have to do.
    pub(crate) cleanup: Cleanup,
    pub(crate) deadline: Option<Instant>,
    pub(crate) progress: Progress,
    pub(crate) script: OnceLock<Script>,
    /// The first place an error that is on its way up came from.
    pub(crate) origin: Mutex<Option<(CallError, Diagnostic)>>,
    /// How many decisions were heard: whoever waits for one looks into the journal then.
    pub(crate) decided: watch::Sender<usize>,
    pub(crate) leases: Leases,
}

impl Session {
    /// The session of a run in this process, with its script; `next` is what will be recorded first.
    pub(super) fn new(
        engine: &Engine,
        making: &Making,
        execution: &Execution,
        next: &Body,
    ) -> Result<Arc<Self>, StoreError> {
        let listener = listener(making, execution)?;
        let recorded = Recorded::of(&making.entries).go_on_with(next);
        let header = &making.runbook.header;
        let limits = execution.limits;
        let session = Arc::new(Self {
            run: making.run.clone(),
            mode: making.mode,
            skims: making.skims,
            target: execution.target.clone(),
            person: execution.person.clone(),
            title: header.title.clone(),
            scheduled: making.scheduled.clone(),
            project: making.project.clone(),
            needs: header.needs.clone(),
            registry: Arc::clone(&engine.registry),
            services: execution.services.clone(),
            store: Arc::clone(&making.store),
            fence: making.claim.fence(),
            journal: journal(engine, making, &listener),
            ledger: Ledger::of(&recorded),
            recorded: Arc::new(recorded),
            vault: making.vault.clone(),
            clock: Arc::clone(&engine.clock),
            entropy: Arc::clone(&engine.entropy),
            runtime: engine.runtime.clone(),
            cancel: CancellationToken::new(),
            left: CancellationToken::new(),
            stopped: OnceLock::new(),
            undoing: false.into(),
            overlay: Arc::new(Overlay::default()),
            confirm: execution.confirm.clone(),
            patient: execution.patient,
            limits,
            operations: Operations::default(),
            cleanup: Cleanup::default(),
            deadline: Instant::now().checked_add(header.timeout.map_or(limits.time, |timeout| timeout.0)),
            progress: progress(engine, making, &listener),
            script: OnceLock::new(),
            origin: Mutex::default(),
            decided: watch::Sender::new(0),
            leases: Leases::default(),
        });
        let script = Script::new(&session, &making.runbook, &making.params);
        let _ = session.script.set(script);
        Ok(session)
    }

    /// True where the bodies of steps that are over are run again: everything of them is recorded.
    pub(crate) fn enters_again(&self) -> bool {
        self.mode == Mode::Replay && !self.skims
    }

    /// Records what rides along with the next durable entry. Its writing does not count as the script's time.
    pub(crate) fn ride(&self, body: Body) {
        outside(|| self.journal.ride(body));
    }

    /// Ends the run for the given reason; the first reason stays.
    pub(crate) fn stop(&self, stop: Stop) -> Interrupt {
        let _ = self.stopped.set(stop);
        self.cancel.cancel();
        Interrupt::Stop(self.stopped.get().cloned().unwrap_or(Stop::Abandoned))
    }

    /// Refuses to go on when the run has been stopped or its time, or its step's, is up.
    pub(crate) fn check_alive(&self, deadline: Option<Instant>) -> Result<(), Interrupt> {
        self.check_claim()?;
        if self.undoing.load(Ordering::Acquire) {
            return self.check_left();
        }
        self.check_stopped()?;
        if self.deadline.is_some_and(|at| Instant::now() >= at) {
            return Err(self.stop(Stop::Refused(run_timeout())));
        }
        if deadline.is_some_and(|at| Instant::now() >= at) {
            return Err(step_timeout().into());
        }
        Ok(())
    }

    /// Refuses to go on when the run has been stopped, and not to be taken back.
    pub(crate) fn check_stopped(&self) -> Result<(), Interrupt> {
        match self.stopped.get() {
            Some(stop) if !self.undoing.load(Ordering::Acquire) => Err(Interrupt::Stop(stop.clone())),
            _ => Ok(()),
        }
    }

    /// Refuses to go on when another engine may have the run: this process may have been stopped for any time.
    pub(crate) fn check_claim(&self) -> Result<(), Interrupt> {
        if self.fence.holds() { Ok(()) } else { Err(self.let_go()) }
    }

    /// Another engine may have the run: whatever is under way here ends, undo as well.
    fn let_go(&self) -> Interrupt {
        self.left.cancel();
        self.stop(Stop::Store(StoreError::ClaimLost(self.run.clone())))
    }

    /// True when the run stops because its store cannot be used, or it has lost its claim.
    pub(crate) fn lost_store(&self) -> bool {
        matches!(self.stopped.get(), Some(Stop::Store(_)))
    }

    /// Ends what is under way when the claim is lost, until the run is over.
    pub(crate) async fn watch_claim(self: Arc<Self>, over: CancellationToken) {
        while self.fence.can_be_lost() {
            tokio::select! {
                () = over.cancelled() => return,
                () = tokio::time::sleep(LOOK_AT_CLAIM) => {}
            }
            if !self.fence.holds() {
                self.let_go();
                return;
            }
        }
    }

    /// From here on effects are taken back, and neither a cancel nor a limit that was met stops it.
    pub(crate) fn start_undoing(&self) {
        self.operations.start_over();
        self.undoing.store(true, Ordering::Release);
    }

    /// When the run's time is up. An undo takes the time it needs: often that the time was up is its cause.
    pub(crate) fn time_left(&self) -> Option<Instant> {
        if self.undoing.load(Ordering::Acquire) { None } else { self.deadline }
    }

    /// Refuses to go on with an undo when a person wants the process to let go.
    pub(crate) fn check_left(&self) -> Result<(), Interrupt> {
        if self.left.is_cancelled() { Err(Stop::Abandoned.into()) } else { Ok(()) }
    }

    /// The surroundings of one call.
    pub(crate) fn context(self: &Arc<Self>, call: &str, deadline: Option<Instant>) -> Context {
        let (progress, told) = (Arc::clone(&self.progress), call.to_owned());
        // What an inverse does is not interrupted by the cancel that caused it.
        let undoing = self.undoing.load(Ordering::Acquire);
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
            cancel: if undoing { self.left.clone() } else { self.cancel.clone() },
            cleanup: self.cleanup.clone(),
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
        let deadline = [self.time_left(), deadline].into_iter().flatten().min();
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
                () = self.left.cancelled() => Err(Stop::Abandoned.into()),
                () = time_is_up => Err(Interrupt::Failed(step_timeout().unknown())),
            }
        })
    }

    /// Waits for what dropped calls still have to do: the next process of the run must not meet it.
    pub(super) fn clean_up(&self) {
        if !self.runtime.block_on(self.cleanup.is_done_within(CLEANUP)) {
            tracing::warn!("a call that was stopped has not ended yet; the run is left all the same");
        }
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

    /// Stops a run that takes too much memory, until it is over.
    pub(crate) async fn watch_memory(self: Arc<Self>, over: CancellationToken) {
        let memory = Memory::from_here(self.limits.memory);
        while !memory.is_used_up() {
            tokio::select! {
                () = over.cancelled() => return,
                () = tokio::time::sleep(LOOK_AT_MEMORY) => {}
            }
        }
        self.stop(Stop::Refused(memory_used_up(self.limits.memory)));
    }

    fn look(&self, seen: u64) -> u64 {
        // A journal that cannot be written shows at the next durable write, with its error.
        let _ = self.journal.flush();
        self.renew_leases();
        let Ok((entries, last)) = self.store.decisions(&self.run, seen) else { return seen };
        for entry in entries {
            if let Body::Decided { act, .. } = entry.body {
                self.hear(&act);
            }
        }
        last
    }

    /// Takes a decision in; a cancel stops the run.
    pub(crate) fn hear(&self, act: &Act) {
        if *act == Act::Cancel {
            self.stop(Stop::Cancelled);
        }
        self.decided.send_modify(|heard| *heard += 1);
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

    pub(crate) fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever started the run, and who looks at all runs.
fn observed(making: &Making, execution: &Execution) -> Listener {
    let outer = Arc::clone(&execution.listener);
    let Some(observer) = execution.observer.clone().filter(|_| making.mode == Mode::Run) else {
        return outer;
    };
    let (run, before) = (making.run.clone(), making.entries.clone());
    Arc::new(move |event: &Event| {
        observer(&run, &before, event);
        outer(event);
    })
}

/// Who hears of the run: whoever started it, and its log file.
fn listener(making: &Making, execution: &Execution) -> Result<Listener, StoreError> {
    let outer = observed(making, execution);
    let Some(folder) = execution.logs.as_ref().filter(|_| making.mode == Mode::Run) else { return Ok(outer) };
    let log =
        Log::open(folder, &making.run, Arc::clone(&making.store)).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => StoreError::Full(folder.clone()),
            _ => StoreError::Unusable(folder.clone(), error.to_string()),
        })?;
    Ok(Arc::new(move |event: &Event| {
        log.write(event);
        outer(event);
    }))
}

/// The journal, which tells the listener of every entry.
fn journal(engine: &Engine, making: &Making, listener: &Listener) -> Journal {
    let listener = Arc::clone(listener);
    Journal::new(
        Arc::clone(&making.store),
        &making.run,
        making.claim.fence(),
        Arc::clone(&engine.clock),
        making.vault.clone(),
        Arc::new(move |entry: &Entry| listener(&Event::Recorded(Box::new(entry.clone())))),
    )
}

/// Tells the listener how far calls are, with secrets masked.
fn progress(engine: &Engine, making: &Making, listener: &Listener) -> Progress {
    let (listener, vault, clock) = (Arc::clone(listener), making.vault.clone(), Arc::clone(&engine.clock));
    Arc::new(move |call: &str, text: &str| {
        listener(&Event::Progress { at: clock.now(), call: call.to_owned(), text: vault.masked(text) });
    })
}

pub(crate) fn step_timeout() -> CallError {
    CallError::new(codes::TIMEOUT, "the time of the step is up")
        .hint("give the step a longer `timeout`, or find out what it waited for with `aegis show`")
}

fn memory_used_up(allowed: u64) -> CallError {
    let allowed = allowed >> 20;
    CallError::new(codes::LIMIT, format!("the run takes more than {allowed} MiB of memory"))
        .hint("keep less at once: select on the server, and let variables end with the step that needs them")
}

pub(crate) fn run_timeout() -> CallError {
    CallError::new(codes::TIMEOUT, "the time of the runbook is up")
        .hint("give the header a longer `timeout`, then `aegis retry` the run")
}
