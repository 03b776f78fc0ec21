//! `aegis execute`: what the pod of a Job does. Takes a run up that an engine put there, as soon as nobody else has it,
//! and leaves it when it has ended, waits for people, or the pod is told to end. It decides nothing by itself: windows,
//! freezes and notifications are matters of the engine that watches the Job.

use std::sync::Arc;
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::journal::{Entry, Store, StoreError};
use aegis_engine::run::{Engine, Handle, Resume, Stop, stored};
use aegis_engine::runbook::Runbook;
use aegis_sandbox::serve::Sandbox;
use clap::Args;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::running::{Watcher, conclude};
use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::say;
use crate::view::tree::verdict_word;

/// How often it looks whether the process before it has let go.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct Execute {
    /// The run: its whole id.
    run: String,
}

/// The process of a pod.
struct Pod {
    context: Arc<Context>,
    watcher: Arc<Watcher>,
    run: String,
    /// Set when the pod is told to end.
    told: CancellationToken,
    engine: Option<Engine>,
}

/// A run that this process has taken up.
struct Taken {
    handle: Handle,
    runbook: Runbook,
    /// The embedded cluster lives as long as the run works on it.
    _sandbox: Option<Sandbox>,
}

impl Execute {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Arc::new(Context::new(global, None)?);
        if context.database()?.is_none() {
            let problem = CallError::new(codes::CONFIG, "a run in a pod needs the database of its engine");
            return Err(problem.hint("give its address in AEGIS_DATABASE_URL").into());
        }
        let (told, watcher) = (told_to_end(&context), Watcher::new(&context.global));
        Pod { context, watcher, run: self.run, told, engine: None }.stays()
    }
}

impl Pod {
    /// Tries until there is nothing more to do here. A database that is away is waited for: another pod would have to
    /// wait as well, and the Job has only so many.
    fn stays(mut self) -> Result<Exit, Failure> {
        let mut said = String::new();
        loop {
            match self.attempt() {
                Ok(Some(exit)) => return Ok(exit),
                Ok(None) => {}
                Err(Failure::Call(error)) if is_passing(&error) => {
                    if said != error.message {
                        say(&format!("waiting: {}", error.message));
                    }
                    said = error.message;
                }
                Err(failure) => return Err(failure),
            }
            let told = self.told.clone();
            if self.context.runtime.block_on(async { timeout(LOOK, told.cancelled()).await }).is_ok() {
                return Ok(Exit::Cancelled);
            }
        }
    }

    /// Executes the run if nobody else does. `None`: not now.
    fn attempt(&mut self) -> Result<Option<Exit>, Failure> {
        let engine = match &self.engine {
            Some(engine) => engine.clone(),
            None => self.engine.insert(self.context.engine()?).clone(),
        };
        let entries = entries(&*engine.store, &self.run)?;
        if let Some(verdict) = stored::verdict(&entries) {
            say(&format!("{} has ended already: {}", self.run, verdict_word(verdict)));
            return Ok(Some(Exit::Ok));
        }
        if self.context.location().is_some_and(|at| !stored::is_to_execute(&entries, &at.job)) {
            say(&format!("{} is no longer to execute in this job", self.run));
            return Ok(Some(Exit::Ok));
        }
        if engine.store.executed(&self.run)? {
            return Ok(None);
        }
        let taken = self.take(&engine, &entries)?;
        self.leave_when_told(&taken.handle, engine.store);
        let conclusion = taken.handle.wait();
        self.watcher.close();
        let exit = conclude(&self.context, &conclusion, &taken.runbook);
        Ok(match (&conclusion.verdict, &conclusion.stop) {
            // Another pod could do no more: the run has ended, or waits for people.
            (Some(_), _) | (None, Some(Stop::Waiting(_))) => Some(Exit::Ok),
            (None, Some(stop)) if is_passing(&stop.error()) => None,
            (None, _) => Some(exit),
        })
    }

    fn take(&self, engine: &Engine, entries: &[Entry]) -> Result<Taken, Failure> {
        let started = stored::started(entries)?;
        let runbook = Runbook::from_sources(stored::sources(&*engine.store, entries)?)?;
        let listener = self.watcher.listener();
        let (mut execution, sandbox) =
            self.context.execution(&started.target, Some(&runbook), listener, false)?;
        execution.person = started.person.clone();
        let (location, project) = (self.context.location(), Some(self.context.project.clone()));
        self.watcher.know(entries);
        let handle = engine.resume(Resume { location, project, ..Resume::of(&self.run) }, execution)?;
        Ok(Taken { handle, runbook, _sandbox: sandbox })
    }

    fn leave_when_told(&self, handle: &Handle, store: Arc<dyn Store>) {
        let (handle, told, run) = (handle.clone(), self.told.clone(), self.run.clone());
        self.context.runtime.spawn(async move {
            told.cancelled().await;
            let leave = move || {
                // A cancelled run goes on taking back what it did; the next pod goes on with that.
                let cancelled = store.entries(&run, 0).is_ok_and(|entries| stored::is_cancelled(&entries));
                if !cancelled {
                    handle.abandon();
                }
            };
            let _ = tokio::task::spawn_blocking(leave).await;
        });
    }
}

fn entries(store: &dyn Store, run: &str) -> Result<Vec<Entry>, Failure> {
    store.entries(run, 0).map_err(|error| match error {
        StoreError::NoRun(run) => CallError::new(codes::NO_RUN, format!("there is no run `{run}`"))
            .hint("the pod has another database than the engine that made its job")
            .into(),
        error => error.into(),
    })
}

/// Another process has the run, or has just ended it, or the database is away.
fn is_passing(error: &CallError) -> bool {
    [codes::CLAIMED, codes::NOT_POSSIBLE, codes::UNREACHABLE].iter().any(|code| code.0 == error.code)
}

/// Set when the pod is told to end. The first process of a container hears of signals only if it listens.
fn told_to_end(context: &Context) -> CancellationToken {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let (told, _inside) = (token.clone(), context.runtime.enter());
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    if let (Ok(mut ended), Ok(mut interrupted)) = signals {
        context.runtime.spawn(async move {
            tokio::select! {
                _ = ended.recv() => {}
                _ = interrupted.recv() => {}
            }
            say("told to end: the run is left where it stands");
            told.cancel();
        });
    }
    token
}
