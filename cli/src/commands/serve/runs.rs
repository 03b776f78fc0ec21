//! Starts runs for the scheduler and knows how they stand: each on a thread of its own while it executes, on none while
//! it waits for a person.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aegis_engine::codes;
use aegis_engine::diagnostic::{Problems, Severity};
use aegis_engine::error::CallError;
use aegis_engine::journal::Scheduled;
use aegis_engine::journal::{Body, Entry, Person, Status, Store, StoreError, Verdict, Wait};
use aegis_engine::run::engine::EngineError;
use aegis_engine::run::{Engine, Handle, Mode, Occasion, Resume, Start, stored};
use aegis_engine::runbook::{BUILTINS, Runbook, check};
use aegis_sandbox::serve::Sandbox;
use aegis_scheduler::keeper::Launch;
use aegis_scheduler::service::{Launcher, Left, Look};
use aegis_scheduler::store::RecordStore;
use serde_json::Value;

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
    /// Clusters that runs share, as long as one of them is under way.
    sandboxes: Mutex<BTreeMap<String, Weak<Sandbox>>>,
}

impl Runs {
    pub(crate) fn new(context: &Arc<Context>) -> Result<Arc<Self>, Failure> {
        let (store, records) = (context.store()?, context.records()?);
        let engine = Engine { store: Arc::clone(&store), ..context.engine()? };
        let context = Arc::clone(context);
        Ok(Arc::new(Self {
            context,
            engine,
            store,
            records,
            handles: Arc::default(),
            seen: Mutex::default(),
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
        let schedule = &launch.schedule;
        let path = self.context.project.join(&*schedule.runbook);
        let runbook =
            Runbook::load(&path, &aegis_stdlib::libraries()).map_err(|problems| first(&problems))?;
        let diagnostics = check(&runbook, &self.engine.registry, BUILTINS);
        if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            return Err(first(&Problems { diagnostics, sources: runbook.sources }));
        }
        let bound = runbook.header.bind(&self.given(launch)?, &self.context.environment);
        let params = bound
            .map_err(|diagnostics| first(&Problems { diagnostics, sources: runbook.sources.clone() }))?;
        let (execution, sandbox) = self.execution(&schedule.target, &runbook, launch)?;
        let scheduled = Scheduled { schedule: schedule.name.to_string(), instant: launch.instant };
        let occasion =
            Occasion { run: Some(launch.run.clone()), scheduled: Some(scheduled), break_glass: None };
        let start = Start {
            runbook,
            name: schedule.name.to_string(),
            project: self.context.project.clone(),
            params,
            mode: Mode::Run,
            occasion,
        };
        Ok((self.engine.start(start, execution).map_err(told)?, sandbox))
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
        let resume = Resume { run: launch.run.clone(), script: None, break_glass: None };
        Ok((self.engine.resume(resume, execution).map_err(told)?, sandbox))
    }

    fn execution(
        &self,
        target: &str,
        runbook: &Runbook,
        launch: &Launch,
    ) -> Result<(aegis_engine::run::engine::Execution, Option<Arc<Sandbox>>), CallError> {
        let quiet = Arc::new(|_: &aegis_engine::run::Event| {});
        let (mut execution, joined) =
            self.context.execution(target, Some(runbook), quiet, false).map_err(|failure| match failure {
                Failure::Call(error) => error,
                Failure::Problems(problems) => first(&problems),
            })?;
        execution.person = Person(format!("schedule {}", launch.schedule.name));
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

    fn handle(&self, run: &str) -> Option<Handle> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).get(run).cloned()
    }
}

impl Launcher for Runs {
    fn launch(&self, launch: &Launch, left: Left) -> Result<(), CallError> {
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
            _ if standing.executed => return Ok(Look::Executed),
            (Status::Waiting, wait) => wait,
            (Status::Running | Status::Interrupted, _) => return Ok(Look::Interrupted),
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

    fn cancel(&self, run: &str, note: &str) {
        let person = Person("scheduler".to_owned());
        match self.handle(run) {
            // A decision that cannot be journaled stops the run all the same.
            Some(handle) => drop(handle.cancel(&person, note)),
            None => {
                let decided = Body::Decided {
                    person,
                    act: aegis_engine::journal::Act::Cancel,
                    note: note.to_owned(),
                    evidence: String::new(),
                };
                let now = aegis_engine::clock::Clock::now(&aegis_engine::clock::SystemClock);
                drop(self.store.append(run, &[(now, decided)]));
            }
        }
    }

    fn leave(&self, run: &str) {
        if let Some(handle) = self.handle(run) {
            handle.abandon();
        }
    }

    fn halted(&self) -> Result<Option<String>, StoreError> {
        Ok(self.store.halt()?.map(|halt| halt.reason))
    }
}

/// The first thing that is wrong, as the error of one run.
fn first(problems: &Problems) -> CallError {
    let wrong = problems.diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
    let Some(wrong) = wrong else { return CallError::new(codes::SCRIPT, problems.to_string()) };
    let place = wrong.place.as_ref().map(|place| format!(" ({})", place.address())).unwrap_or_default();
    let code = codes::explain(&wrong.code).map_or(codes::SCRIPT, |entry| entry.code);
    let error = CallError::new(code, format!("{}{place}", wrong.message));
    wrong.hint.as_ref().map_or_else(|| error.clone(), |hint| error.clone().hint(hint))
}

fn told(error: EngineError) -> CallError {
    match error {
        EngineError::Call(error) => error,
        EngineError::Problems(problems) => first(&problems),
    }
}
