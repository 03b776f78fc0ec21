//! `aegis serve`: the scheduler as a process. Starts runs when they are due, takes up what an earlier process left,
//! and drains when it is told to stop.
//!
//! - `runs`: starts runs and knows how they stand; `jobs`: those that execute in a management cluster
//! - `screen`: what people and programs see; `supervisor`: what systemd is told
//! - `notices`: what people are told through their channels
//! - `reloading`: what the project says now
//! - `election`: which of several engines decides on instants
//! - `listening`: the address it answers at; `watching`: who looks for events; `heartbeat`: a URL that is asked

mod election;
mod heartbeat;
mod jobs;
mod listening;
mod notices;
mod reloading;
mod runs;
mod screen;
mod supervisor;
mod watching;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use aegis_console::{Console, Known, Metrics, Tokens};
use aegis_engine::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::journal::Store;
use aegis_scheduler::Keeper;
use aegis_scheduler::service::{Handle, Listener, Options, Service, Told};
use aegis_scheduler::store::RecordStore;
use aegis_scheduler::trigger::Intake;
use clap::Args;

use super::schedule::tell_problems;
use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::notices::Notices;
use crate::view::failure::Failure;
use crate::view::say;
use notices::Shutting;
use reloading::Reloading;
use runs::Runs;
use screen::Screen;
use supervisor::Supervisor;
use watching::Watching;

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address of the HTTP API, `/metrics` and `/healthz`; port 0 takes a free one and says which.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

impl Serve {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Arc::new(Context::new(global, None)?);
        context.settings.check_executors()?;
        let _alone = alone(&context.state)?;
        let plan = context.plan(true)?;
        let refused = tell_problems(&context, &plan);
        let known = Known::default();
        known.set(&plan);
        let (mut keeper, calendars) = (Keeper::new(context.records()?), plan.calendars);
        keeper.load(plan.schedules, plan.gates, SystemClock.now())?;

        let metrics = Arc::new(Metrics::default());
        let runs = Runs::new(&context, &metrics)?;
        metrics.read(refused, SystemClock.now());
        let supervisor = Supervisor::of(&context);
        let config = &context.settings.config.serve;
        let usual = Options::of(engine_name());
        let shutting = Shutting::new(context.store()?, usual.engine.clone());
        let listener = listener(&context, &runs, &metrics, &supervisor, shutting);
        let election = election::of(&context, &usual.engine)?;
        let options = Options {
            most_runs: config.most_runs.unwrap_or(32),
            drain: config.drain.map_or(usual.drain, Into::into),
            election,
            ..usual
        };
        let service = Service::new(keeper, runs, Arc::new(SystemClock), listener, options);
        let console = Arc::new(console(&context, service.handle(), known, &metrics)?);
        let watching = Watching::new(&context, &console);
        watching.look();
        let address = self.listen.as_deref().unwrap_or(&config.listen);
        if !address.is_empty() {
            listening::start(&context, address, Arc::clone(&console))?;
        }
        supervisor.watch(&context, &metrics);
        heartbeat::start(&context, metrics)?;
        stop_when_told(&context, service.handle());
        Reloading::start(&context, service.handle(), console, watching, calendars);
        service.run();
        context.finish();
        say("stopped: what was left goes on with the next `aegis serve`");
        Ok(Exit::Ok)
    }
}

/// Who hears what the service tells: counts, the screen, people.
fn listener(
    context: &Arc<Context>,
    runs: &Arc<Runs>,
    metrics: &Arc<Metrics>,
    supervisor: &Supervisor,
    shutting: Shutting,
) -> Listener {
    let notices = Notices::start(context, runs.engine.clone());
    let screen = Screen::new(&context.global);
    let (metrics, context, supervisor) = (Arc::clone(metrics), Arc::clone(context), supervisor.clone());
    Arc::new(move |told: &Told| {
        metrics.hear(told, SystemClock.now());
        screen.hear(told);
        match told {
            Told::Serving { .. } => supervisor.tell("READY=1"),
            Told::Draining(_) => supervisor.tell("STOPPING=1"),
            _ => {}
        }
        if shutting.is_ours(told) {
            for notice in notices::notices(&context, told) {
                notices.tell(notice);
            }
        }
    })
}

/// What the address answers with, and where events go.
fn console(
    context: &Context,
    service: Handle,
    project: Known,
    metrics: &Arc<Metrics>,
) -> Result<Console, Failure> {
    let (journals, records) = (context.store()?, context.records()?);
    let tokens = Tokens::new(&context.settings.config.serve.tokens).map_err(|name| {
        CallError::new(codes::CONFIG, format!("the token `{name}` has no SHA-256"))
            .hint("`aegis token NAME` makes a token and what stands for it in `aegis.toml`")
    })?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Ok(Console {
        journals: Arc::clone(&journals) as Arc<dyn Store>,
        records: Arc::clone(&records) as Arc<dyn RecordStore>,
        intake: Intake::new(journals, records, Arc::clone(&clock), service),
        clock,
        project,
        environment: context.environment.clone(),
        tokens,
        metrics: Arc::clone(metrics),
    })
}

/// Tells engines on one store apart, and an engine from the one before it on the same machine.
fn engine_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}/{}/{:x}", host.trim(), std::process::id(), SystemEntropy.next())
}

/// One scheduler a state directory: the lock goes with the process, however it ends.
fn alone(state: &Path) -> Result<File, Failure> {
    let unusable = |error: std::io::Error| {
        CallError::new(codes::STATE, format!("cannot use the state directory `{}`", state.display()))
            .because(error)
    };
    std::fs::create_dir_all(state).map_err(unusable)?;
    let file = File::options().create(true).append(true).open(state.join("serve.lock")).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let problem = format!("another `aegis serve` serves `{}`", state.display());
            Err(CallError::new(codes::CLAIMED, problem).hint("one of them is enough: stop it first").into())
        }
        Err(TryLockError::Error(error)) => Err(unusable(error).into()),
    }
}

/// The first signal drains, the second leaves runs where they are.
fn stop_when_told(context: &Arc<Context>, handle: Handle) {
    use tokio::signal::unix::{SignalKind, signal};
    context.runtime.spawn(async move {
        let (Ok(mut ended), Ok(mut interrupted)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return;
        };
        let mut told = false;
        loop {
            tokio::select! {
                _ = ended.recv() => {}
                _ = interrupted.recv() => {}
            }
            if told {
                handle.leave();
            } else {
                handle.stop();
            }
            told = true;
        }
    });
}
