//! `aegis execute`: what the pod of a Job does. Takes a run up that an engine put there, as soon as nobody else has it,
//! and leaves it when it has ended, waits for people, or the pod is told to end. It decides nothing by itself: windows,
//! freezes and notifications are matters of the engine that watches the Job.

use std::sync::Arc;
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::journal::{Entry, Store, StoreError};
use aegis_engine::run::{Conclusion, Engine, Handle, Resume, Stop, stored};
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
        let told = told_to_end(&context);
        let engine = context.engine()?;
        let watcher = Watcher::new(&context.global);
        let taken = loop {
            let entries = entries(&*engine.store, &self.run)?;
            if let Some(verdict) = stored::verdict(&entries) {
                say(&format!("{} has ended already: {}", self.run, verdict_word(verdict)));
                return Ok(Exit::Ok);
            }
            if !engine.store.executed(&self.run)? {
                match take(&context, &engine, &watcher, &entries, &self.run) {
                    Ok(taken) => break taken,
                    // Somebody was quicker.
                    Err(Failure::Call(error)) if is_passing(&error) => {}
                    Err(failure) => return Err(failure),
                }
            }
            if context.runtime.block_on(async { timeout(LOOK, told.cancelled()).await }).is_ok() {
                return Ok(Exit::Cancelled);
            }
        };
        let (handle, store, run) = (taken.handle.clone(), engine.store, self.run);
        context.runtime.spawn(async move {
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
        let conclusion = taken.handle.wait();
        watcher.close();
        let exit = conclude(&context, &conclusion, &taken.runbook);
        Ok(if is_left_in_order(&conclusion) { Exit::Ok } else { exit })
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

fn take(
    context: &Context,
    engine: &Engine,
    watcher: &Arc<Watcher>,
    entries: &[Entry],
    run: &str,
) -> Result<Taken, Failure> {
    let started = stored::started(entries)?;
    let runbook = Runbook::from_sources(stored::sources(&*engine.store, entries)?)?;
    let (mut execution, sandbox) =
        context.execution(&started.target, Some(&runbook), watcher.listener(), false)?;
    execution.person = started.person.clone();
    let resume =
        Resume { run: run.to_owned(), script: None, break_glass: None, location: context.location() };
    watcher.know(entries);
    let handle = engine.resume(resume, execution)?;
    Ok(Taken { handle, runbook, _sandbox: sandbox })
}

/// Another process has it, or has just ended it.
fn is_passing(error: &CallError) -> bool {
    [codes::CLAIMED, codes::NOT_POSSIBLE].iter().any(|code| code.0 == error.code)
}

/// Another pod could do no more: the run has ended, or waits for people.
fn is_left_in_order(conclusion: &Conclusion) -> bool {
    conclusion.verdict.is_some() || matches!(conclusion.stop, Some(Stop::Waiting(_)))
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
