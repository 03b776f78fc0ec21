//! Starts runs for the scheduler and knows how they stand: each on a thread of its own while it executes, on none while
//! it waits for a person.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aegis_console::metrics::Metrics;
use aegis_engine::clock::{Clock, SystemClock};
use aegis_engine::codes;
use aegis_engine::diagnostic::{Problems, Severity};
use aegis_engine::error::CallError;
use aegis_engine::journal::{Act, Body, Entry, Person, Scheduled, Status, Store, StoreError, Verdict, Wait};
use aegis_engine::run::engine::{EngineError, Execution};
use aegis_engine::run::{Engine, Handle, Mode, Occasion, Resume, Start, stored};
use aegis_engine::runbook::{BUILTINS, Runbook, check};
use aegis_sandbox::serve::Sandbox;
use aegis_scheduler::keeper::Launch;
use aegis_scheduler::service::{Launcher, Left, Look};
use aegis_scheduler::store::RecordStore;
use serde_json::Value;

use super::jobs::Jobs;
use crate::context::Context;
use crate::view::failure::Failure;

/// The runs of this process.
pub(crate) struct Runs {
    pub(super) context: Arc<Context>,
    pub(super) engine: Engine,
    store: Arc<dyn Store>,
    records: Arc<dyn RecordStore>,
    handles: Arc<Mutex<BTreeMap<String, Handle>>>,
    /// How far it has heard of what others did to runs.
    seen: Mutex<Option<u64>>,
    /// Runs that execute as Jobs.
    jobs: Arc<Jobs>,
    /// Clusters that runs share, as long as one of them is under way.
    sandboxes: Mutex<BTreeMap<String, Weak<Sandbox>>>,
}

impl Runs {
    pub(crate) fn new(context: &Arc<Context>, metrics: &Arc<Metrics>) -> Result<Arc<Self>, Failure> {
        let (store, records) = (context.store()?, context.records()?);
        let engine = Engine { store: Arc::clone(&store), ..context.engine()? };
        let (context, jobs) = (Arc::clone(context), Jobs::new(context, &engine, &store, &records, metrics));
        Ok(Arc::new(Self {
            context,
            engine,
            store,
            records,
            handles: Arc::default(),
            seen: Mutex::default(),
            jobs,
            sandboxes: Mutex::default(),
        }))
    }

    fn begun(&self, launch: &Launch) -> Result<(Handle, Option<Arc<Sandbox>>), CallError> {
        match self.store.entries(&launch.run, 0) {
            Ok(entries) => self.resumed(launch, &entries),
            Err(StoreError::NoRun(_)) => self.started(launch),
            Err(error) => Err(aegis_engine::run::Stop::Store(error).error()),
        }
    }

    fn started(&self, launch: &Launch) -> Result<(Handle, Option<Arc<Sandbox>>), CallError> {
        let start = self.start_of(launch)?;
        let (mut execution, sandbox) = self.execution(&launch.schedule.target, &start.runbook, launch)?;
        execution.person = wanted_by(launch);
        Ok((self.engine.start(start, execution).map_err(told)?, sandbox))
    }

    /// The run of an instant, as the project has it now.
    fn start_of(&self, launch: &Launch) -> Result<Start, CallError> {
        let schedule = &launch.schedule;
        let path = self.context.project.join(&*schedule.runbook);
        let runbook =
            Runbook::load(&path, &aegis_stdlib::libraries()).map_err(|problems| first(&problems))?;
        let diagnostics = check(&runbook, &self.engine.registry, &BUILTINS);
        if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            return Err(first(&Problems { diagnostics, sources: runbook.sources }));
        }
        let bound = runbook.header.bind(&self.given(launch)?, &self.context.environment);
        let params = bound
            .map_err(|diagnostics| first(&Problems { diagnostics, sources: runbook.sources.clone() }))?;
        let scheduled = Scheduled { schedule: schedule.name.to_string(), instant: launch.instant };
        let occasion =
            Occasion { run: Some(launch.run.clone()), scheduled: Some(scheduled), break_glass: None };
        let (name, project) = (schedule.name.to_string(), self.context.project.clone());
        Ok(Start { runbook, name, project, params, mode: Mode::Run, occasion })
    }

    /// Puts a run into a Job where its target wants that. What has begun stays on the target it began on.
    fn placed(&self, launch: &Launch, left: Left) -> Result<Option<Left>, CallError> {
        let entries = match self.store.entries(&launch.run, 0) {
            Ok(entries) => entries,
            Err(StoreError::NoRun(_)) => Vec::new(),
            Err(error) => return Err(aegis_engine::run::Stop::Store(error).error()),
        };
        let target = match entries.is_empty() {
            true => launch.schedule.target.to_string(),
            false => stored::started(&entries)?.target.clone(),
        };
        let Some(executor) = self.jobs.target(&target) else { return Ok(Some(left)) };
        if entries.is_empty() {
            let start = self.start_of(launch)?;
            self.engine.register(&start, &target, &wanted_by(launch)).map_err(told)?;
        }
        self.jobs.watch(launch, &target, executor, left).map(|()| None)
    }

    /// How a run stands that somebody executes, or should. Only where runs can be in Jobs is its journal read for that.
    fn place(&self, run: &str, executed: bool) -> Result<Look, StoreError> {
        let entries = match self.jobs.are_made() {
            true => self.store.entries(run, 0)?,
            false => Vec::new(),
        };
        Ok(match stored::placed(&entries) {
            Some(placed) if placed.placement.is_expected() => Look::Placed,
            _ if !executed && stored::is_given_up(&entries) => Look::GivenUp,
            _ if executed => Look::Executed,
            _ => Look::Interrupted,
        })
    }

    /// Parameters of the schedule, and those that came with the event.
    fn given(&self, launch: &Launch) -> Result<BTreeMap<String, Value>, CallError> {
        let mut given = (*launch.schedule.params).clone();
        if launch.schedule.when.is_event() {
            let record = self.records.find(&launch.schedule.name, launch.instant);
            let record = record.map_err(|error| aegis_engine::run::Stop::Store(error).error())?;
            given.extend(record.map(|record| record.given).unwrap_or_default());
        }
        Ok(given)
    }

    fn resumed(
        &self,
        launch: &Launch,
        entries: &[Entry],
    ) -> Result<(Handle, Option<Arc<Sandbox>>), CallError> {
        let sources = stored::sources(&*self.store, entries).map_err(told)?;
        let runbook = Runbook::from_sources(sources).map_err(|problems| first(&problems))?;
        let target = entries.iter().find_map(|entry| match &entry.body {
            Body::Started(started) => Some(started.target.clone()),
            _ => None,
        });
        let target = target.unwrap_or_else(|| launch.schedule.target.to_string());
        let (execution, sandbox) = self.execution(&target, &runbook, launch)?;
        // Another engine may have had the project somewhere else.
        let project = Some(self.context.project.clone());
        let resume = Resume { project, ..Resume::of(&launch.run) };
        Ok((self.engine.resume(resume, execution).map_err(told)?, sandbox))
    }

    fn execution(
        &self,
        target: &str,
        runbook: &Runbook,
        launch: &Launch,
    ) -> Result<(Execution, Option<Arc<Sandbox>>), CallError> {
        let (execution, joined) = quiet(&self.context, target, Some(runbook), &launch.schedule.name)?;
        Ok((execution, joined.map(|sandbox| self.shared(target, sandbox))))
    }

    /// The cluster that other runs of this process are in already, else this one.
    fn shared(&self, target: &str, joined: Sandbox) -> Arc<Sandbox> {
        let mut sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = sandboxes.get(target).and_then(Weak::upgrade) {
            return shared;
        }
        let shared = Arc::new(joined);
        sandboxes.insert(target.to_owned(), Arc::downgrade(&shared));
        shared
    }

    /// Decides on a run that another process executes, or none.
    fn decide(&self, run: &str, act: Act, note: &str) {
        let (person, note, evidence) = (itself(), note.to_owned(), String::new());
        let decided = Body::Decided { person, act, note, evidence };
        drop(self.store.append(run, &[(SystemClock.now(), decided)]));
    }

    fn handle(&self, run: &str) -> Option<Handle> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).get(run).cloned()
    }
}

impl Launcher for Runs {
    fn launch(&self, launch: &Launch, left: Left) -> Result<(), CallError> {
        let Some(left) = self.placed(launch, left)? else { return Ok(()) };
        let (handle, sandbox) = self.begun(launch)?;
        let (handles, run) = (Arc::clone(&self.handles), launch.run.clone());
        handles.lock().unwrap_or_else(PoisonError::into_inner).insert(run.clone(), handle.clone());
        let wait = move || {
            let conclusion = handle.wait();
            drop(sandbox);
            handles.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
            left(conclusion.verdict);
        };
        std::thread::Builder::new()
            .name("scheduled".to_owned())
            .spawn(wait)
            .map(drop)
            .map_err(|error| CallError::new(codes::LIMIT, "no thread could be started").because(error))
    }

    fn look(&self, run: &str) -> Result<Look, StoreError> {
        let Some(standing) = self.store.standing(run)? else { return Ok(Look::Missing) };
        let wait = match (standing.status, standing.wait) {
            (Status::Succeeded, _) => return Ok(Look::Ended(Verdict::Succeeded)),
            (Status::Failed, _) => return Ok(Look::Ended(Verdict::Failed)),
            (Status::Cancelled, _) => return Ok(Look::Ended(Verdict::Cancelled)),
            (Status::Waiting, wait) if !standing.executed => wait,
            _ => return self.place(run, standing.executed),
        };
        Ok(match wait {
            // Nobody has to say anything once effects are allowed again.
            Some(Wait::Halt { .. }) if self.store.halt()?.is_none() => Look::Interrupted,
            _ => Look::Waiting(standing.decided),
        })
    }

    fn changed(&self) -> Result<Vec<String>, StoreError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (runs, newest) = self.store.changed(*seen)?;
        *seen = Some(newest);
        Ok(runs)
    }

    fn is_glass_broken(&self, run: &str) -> Result<bool, StoreError> {
        match self.store.entries(run, 0) {
            Ok(entries) => Ok(stored::glass_broken(&entries).is_some()),
            Err(StoreError::NoRun(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn cancel(&self, run: &str, note: &str) {
        match self.handle(run) {
            // A decision that cannot be journaled stops the run all the same.
            Some(handle) => drop(handle.cancel(&itself(), note)),
            None => self.decide(run, Act::Cancel, note),
        }
    }

    fn leave(&self, run: &str, note: &str) {
        let in_job = self.jobs.leave(run);
        match self.handle(run) {
            Some(handle) if note.is_empty() => handle.abandon(),
            Some(handle) => drop(handle.leave(&itself(), note)),
            None if in_job && !note.is_empty() => self.decide(run, Act::Leave, note),
            None => {}
        }
    }

    fn stopping(&self) {
        self.jobs.stopping();
    }

    fn halted(&self) -> Result<Option<String>, StoreError> {
        Ok(self.store.halt()?.map(|halt| halt.reason))
    }
}

/// In whose name a run is started: who wanted it may not approve what it asks.
fn wanted_by(launch: &Launch) -> Person {
    launch.by.as_ref().map_or_else(|| scheduler(&launch.schedule.name), |by| Person(by.to_string()))
}

/// In whose name a schedule's runs are executed.
fn scheduler(schedule: &str) -> Person {
    Person(format!("schedule {schedule}"))
}

/// The execution of a scheduled run, which nobody looks at.
pub(super) fn quiet(
    context: &Context,
    target: &str,
    runbook: Option<&Runbook>,
    schedule: &str,
) -> Result<(Execution, Option<Sandbox>), CallError> {
    let nobody = Arc::new(|_: &aegis_engine::run::Event| {});
    let made = context.execution(target, runbook, nobody, false).map_err(|failure| match failure {
        Failure::Call(error) => error,
        Failure::Problems(problems) => first(&problems),
    });
    let (mut execution, sandbox) = made?;
    execution.person = scheduler(schedule);
    Ok((execution, sandbox))
}

/// In whose name windows and overlaps stop runs.
fn itself() -> Person {
    Person("scheduler".to_owned())
}

/// The first thing that is wrong, as the error of one run.
pub(super) fn first(problems: &Problems) -> CallError {
    let wrong = problems.diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
    let Some(wrong) = wrong else { return CallError::new(codes::SCRIPT, problems.to_string()) };
    let place = wrong.place.as_ref().map(|place| format!(" ({})", place.address())).unwrap_or_default();
    let code = codes::explain(&wrong.code).map_or(codes::SCRIPT, |entry| entry.code);
    let error = CallError::new(code, format!("{}{place}", wrong.message));
    wrong.hint.as_ref().map_or_else(|| error.clone(), |hint| error.clone().hint(hint))
}

pub(super) fn told(error: EngineError) -> CallError {
    match error {
        EngineError::Call(error) => error,
        EngineError::Problems(problems) => first(&problems),
    }
}
