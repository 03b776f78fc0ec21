//! Runs that execute as Jobs: each that this engine has taken out of the queue has a thread here that makes its Job,
//! watches it, and leaves it when the run has ended, waits for people, or the Job was given up.
//!
//! - `watch`: one run and its Job
//!
//! ```text
//!  Started, Placed -> store         the run exists, and where it will execute, before anything is made
//!  Job -> management cluster        its name follows from the run: made twice, it is there once
//!  pod: aegis execute RUN           takes the claim, executes, journals; another pod goes on where it stood
//! ```
//!
//! Nobody leads: the queue gives a run to one engine at a time, and what two of them would do anyway is harmless.

mod watch;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aegis_console::metrics::Metrics;
use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::journal::Store;
use aegis_engine::run::Engine;
use aegis_sandbox::serve::Sandbox;
use aegis_scheduler::keeper::Launch;
use aegis_scheduler::service::Left;
use aegis_scheduler::store::RecordStore;
use aegis_stdlib::k8s::Executor;
use aegis_stdlib::target::ExecutorTarget;
use tokio::sync::Notify;

use crate::context::Context;
use crate::view::failure::Failure;
use watch::Watch;

/// The Jobs of this engine's runs.
pub(super) struct Jobs {
    context: Arc<Context>,
    engine: Engine,
    store: Arc<dyn Store>,
    records: Arc<dyn RecordStore>,
    metrics: Arc<Metrics>,
    /// By target.
    executors: Mutex<BTreeMap<String, Arc<Shared>>>,
    /// By run.
    watched: Mutex<BTreeMap<String, Arc<Door>>>,
    stopping: AtomicBool,
}

/// An executor, and the embedded cluster it works in.
struct Shared {
    executor: Executor,
    _sandbox: Option<Sandbox>,
}

/// What a thread that watches a Job is told.
#[derive(Default)]
struct Door {
    /// Somebody else watches from here on: everything stays as it is.
    let_go: AtomicBool,
    /// The run shall stop where it stands.
    leave: AtomicBool,
    told: Notify,
}

impl Door {
    fn tell(&self, what: &AtomicBool) {
        what.store(true, Ordering::Release);
        self.told.notify_one();
    }
}

impl Jobs {
    pub(super) fn new(
        context: &Arc<Context>,
        engine: &Engine,
        store: &Arc<dyn Store>,
        records: &Arc<dyn RecordStore>,
        metrics: &Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            context: Arc::clone(context),
            engine: engine.clone(),
            store: Arc::clone(store),
            records: Arc::clone(records),
            metrics: Arc::clone(metrics),
            executors: Mutex::default(),
            watched: Mutex::default(),
            stopping: AtomicBool::new(false),
        })
    }

    /// How runs on a target execute; `None`: in this process.
    pub(super) fn target(&self, name: &str) -> Option<ExecutorTarget> {
        self.context.settings.config.target(name).ok()?.executor.clone()
    }

    /// Whether any target's runs are put into Jobs.
    pub(super) fn are_made(&self) -> bool {
        self.context.settings.config.targets.values().any(|target| target.executor.is_some())
    }

    /// Puts a run that has begun into its Job, or goes on watching the one it is in.
    pub(super) fn watch(
        self: &Arc<Self>,
        launch: &Launch,
        target: &str,
        executor: ExecutorTarget,
        left: Left,
    ) -> Result<(), CallError> {
        let door = Arc::new(Door::default());
        let (jobs, run) = (Arc::clone(self), launch.run.clone());
        let watch = Watch::new(self, launch, target, executor, &door);
        self.know(|watched| drop(watched.insert(run.clone(), door)));
        let whole = move || {
            let verdict = watch.over();
            jobs.know(|watched| drop(watched.remove(&run)));
            left(verdict);
        };
        std::thread::Builder::new()
            .name("job".to_owned())
            .spawn(whole)
            .map(drop)
            .map_err(|error| CallError::new(codes::LIMIT, "no thread could be started").because(error))
    }

    /// Changes which Jobs are watched.
    fn know(&self, change: impl FnOnce(&mut BTreeMap<String, Arc<Door>>)) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut watched);
        self.metrics.set_watched(watched.len());
    }

    /// Leaves a run where it stands; answers whether it is in a Job. An engine that ends takes no Job away.
    pub(super) fn leave(&self, run: &str) -> bool {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(door) = watched.get(run) else { return false };
        door.tell(if self.stopping.load(Ordering::Acquire) { &door.let_go } else { &door.leave });
        true
    }

    /// Lets go of all Jobs: they go on, and another engine watches them.
    pub(super) fn stopping(&self) {
        self.stopping.store(true, Ordering::Release);
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.values().for_each(|door| door.tell(&door.let_go));
    }

    /// The executor of a target, which all of its runs share.
    fn executor(&self, name: &str, target: &ExecutorTarget) -> Result<Arc<Shared>, CallError> {
        let mut executors = self.executors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = executors.get(name) {
            return Ok(Arc::clone(known));
        }
        let (cluster, sandbox) =
            self.context.cluster(target.cluster.as_deref().unwrap_or(name)).map_err(told)?;
        let executor = self.context.runtime.block_on(Executor::start(cluster, target.clone()))?;
        let shared = Arc::new(Shared { executor, _sandbox: sandbox });
        executors.insert(name.to_owned(), Arc::clone(&shared));
        Ok(shared)
    }
}

fn told(failure: Failure) -> CallError {
    match failure {
        Failure::Call(error) => error,
        Failure::Problems(problems) => super::runs::first(&problems),
    }
}
