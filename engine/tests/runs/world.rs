//! A counting world with one function for each effect class, and a runner that can stop a run after any
//! journal record, as a killed process would.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aegis_engine::clock::{SystemClock, SystemEntropy};
use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{
    Context, Description, Effect, Function, HostFunction, Module, Plan, Probe, Registry, Services, UndoCall,
};
use aegis_engine::journal::{Entry, Person, SqliteStore, Store, StoreError};
use aegis_engine::run::confirm::Confirm;
use aegis_engine::run::engine::{EngineError, Execution};
use aegis_engine::run::{
    Conclusion, Engine, Event, Handle, Limits, Mode, Occasion, Resume, Retry, Start, TargetFacts, Undo,
};
use aegis_engine::runbook::{Params, Runbook, Sources};
use aegis_engine::testing::Interposed;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// What happened outside.
#[derive(Default)]
pub(crate) struct World {
    /// Values by name.
    pub(crate) things: Mutex<BTreeMap<String, Value>>,
    /// Every effect that was performed, in order.
    pub(crate) log: Mutex<Vec<String>>,
    /// Names whose next calls fail: how often, and whether the outcome is unknown.
    pub(crate) faults: Mutex<BTreeMap<String, (usize, bool)>>,
}

impl World {
    pub(crate) fn performed(&self, what: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|entry| entry.starts_with(what)).count()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn fail(&self, name: &str, times: usize) {
        self.faults.lock().unwrap().insert(name.to_owned(), (times, false));
    }

    fn happen(&self, verb: &str, name: &str) -> Result<(), CallError> {
        if let Some((left, unknown)) = self.faults.lock().unwrap().get_mut(name)
            && *left > 0
        {
            *left -= 1;
            let error = CallError::new(codes::HTTP, format!("`{name}` is out of order")).retryable();
            return Err(if *unknown { error.unknown() } else { error });
        }
        self.log.lock().unwrap().push(format!("{verb} {name}"));
        Ok(())
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// Which thing.
    name: String,
    /// What it becomes.
    #[serde(default)]
    value: Value,
}

fn world(context: &Context) -> Arc<World> {
    (*context.service::<Arc<World>>().unwrap()).clone()
}

macro_rules! function {
    ($name:ident, $word:literal, $effect:expr, $capability:literal, $positional:expr) => {
        struct $name;
        impl $name {
            const fn description() -> Description {
                Description {
                    summary: "Does something to the world.",
                    capability: $capability,
                    positional: $positional,
                    returns: "any",
                    undo: "puts it back",
                    fails_when: "The world is out of order.",
                    example: concat!("world::", $word, "(\"x\")"),
                    ..Description::of($word, $effect)
                }
            }
        }
    };
}

function!(Read, "read", Effect::Reads, "world:read", &["name"]);
function!(Change, "change", Effect::Changes, "world:change", &["name", "value"]);
function!(Once, "once", Effect::Once, "world:send", &["name"]);
function!(Hang, "hang", Effect::Once, "world:send", &["name"]);

#[async_trait]
impl HostFunction for Read {
    type Arguments = Named;
    fn describe() -> Description {
        Self::description()
    }
    fn scope(arguments: &Named) -> Option<String> {
        Some(arguments.name.clone())
    }
    async fn perform(context: &Context, arguments: Named) -> Result<Value, CallError> {
        world(context).happen("read", &arguments.name)?;
        Ok(world(context).things.lock().unwrap().get(&arguments.name).cloned().unwrap_or_default())
    }
}

#[async_trait]
impl HostFunction for Change {
    type Arguments = Named;
    fn describe() -> Description {
        Self::description()
    }
    fn scope(arguments: &Named) -> Option<String> {
        Some(arguments.name.clone())
    }
    async fn plan(context: &Context, arguments: &Named) -> Result<Plan, CallError> {
        let before = world(context).things.lock().unwrap().get(&arguments.name).cloned();
        Ok(Plan::new(format!("change {} to {}", arguments.name, arguments.value))
            .with_undo(UndoCall {
                function: "world::change".to_owned(),
                arguments: json!({ "name": arguments.name, "value": before }),
                summary: format!("change {} back", arguments.name),
            })
            .predicting(arguments.value.clone()))
    }
    async fn perform(context: &Context, arguments: Named) -> Result<Value, CallError> {
        world(context).happen("change", &arguments.name)?;
        world(context).things.lock().unwrap().insert(arguments.name, arguments.value.clone());
        Ok(arguments.value)
    }
    async fn probe(context: &Context, arguments: &Named, _: Option<&UndoCall>) -> Result<Probe, CallError> {
        let now = world(context).things.lock().unwrap().get(&arguments.name).cloned().unwrap_or_default();
        Ok(if now == arguments.value { Probe::Happened(now) } else { Probe::DidNotHappen })
    }
}

#[async_trait]
impl HostFunction for Once {
    type Arguments = Named;
    fn describe() -> Description {
        Self::description()
    }
    async fn perform(context: &Context, arguments: Named) -> Result<Value, CallError> {
        world(context).happen("once", &arguments.name)?;
        Ok(json!(context.idempotency_key))
    }
}

#[async_trait]
impl HostFunction for Hang {
    type Arguments = Named;
    fn describe() -> Description {
        Self::description()
    }
    async fn perform(context: &Context, arguments: Named) -> Result<Value, CallError> {
        world(context).happen("hang", &arguments.name)?;
        context.progress("hanging");
        std::future::pending().await
    }
}

pub(crate) fn module() -> Module {
    Module {
        name: "world",
        summary: "A world to try things on.",
        page: "For tests.",
        functions: vec![
            Function::new::<Read>(),
            Function::new::<Change>(),
            Function::new::<Once>(),
            Function::new::<Hang>(),
        ],
    }
}

/// A store that refuses to write after a number of records, as if the process had been killed there.
pub(crate) fn cut_after(records: usize, inner: Arc<dyn Store>) -> impl Store {
    let left = AtomicUsize::new(records);
    Interposed::new(inner, move |inner, run, bodies| {
        let mut stored = Vec::new();
        for body in bodies {
            let left = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if left.is_err() {
                return Err(StoreError::Full("cut".into()));
            }
            stored.extend(inner.append(run, std::slice::from_ref(body))?);
        }
        Ok(stored)
    })
}

/// A place to run things: a world, a store in a folder of its own and an async runtime.
pub(crate) struct Bench {
    pub(crate) world: Arc<World>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) directory: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    pub(crate) protected: bool,
    pub(crate) patient: bool,
    pub(crate) confirm: Option<Arc<dyn Confirm>>,
    pub(crate) limits: Limits,
    pub(crate) logs: Option<PathBuf>,
    pub(crate) environment: BTreeMap<String, String>,
}

pub(crate) const HEADER: &str =
    r#"runbook(#{ title: "t", owner: "o", needs: ["world:change", "world:send"] });"#;

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            world: Arc::default(),
            store: Arc::new(SqliteStore::open(directory.path()).unwrap()),
            logs: Some(directory.path().join("logs")),
            directory,
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap(),
            events: Arc::default(),
            protected: false,
            patient: false,
            confirm: None,
            limits: Limits::default(),
            environment: BTreeMap::new(),
        }
    }

    pub(crate) fn engine(&self, store: Arc<dyn Store>) -> Engine {
        let mut modules = vec![module()];
        modules.extend(aegis_engine::builtin::modules());
        Engine {
            store,
            registry: Arc::new(Registry::new(modules).unwrap()),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            runtime: self.runtime.handle().clone(),
        }
    }

    pub(crate) fn execution(&self) -> Execution {
        let events = Arc::clone(&self.events);
        Execution {
            target: TargetFacts { name: "test".into(), sandbox: true, protected: self.protected },
            services: Services::default().with(Arc::clone(&self.world)),
            person: Person("ada".into()),
            patient: self.patient,
            confirm: self.confirm.clone(),
            limits: self.limits,
            listener: Arc::new(move |event| events.lock().unwrap().push(event.clone())),
            logs: self.logs.clone(),
            observer: None,
            environment: self.environment.clone(),
        }
    }

    pub(crate) fn begin(
        &self,
        script: &str,
        mode: Mode,
        store: Arc<dyn Store>,
    ) -> Result<Handle, EngineError> {
        let text =
            if script.contains("runbook(") { script.to_owned() } else { format!("{HEADER}\n{script}") };
        let runbook = Runbook::from_sources(Sources::new("test.rhai", text))?;
        let params = runbook.header.bind(&BTreeMap::new(), &self.environment).unwrap_or_else(|problems| {
            panic!("{problems:?}");
        });
        self.start(runbook, params, mode, store)
    }

    fn start(
        &self,
        runbook: Runbook,
        params: Params,
        mode: Mode,
        store: Arc<dyn Store>,
    ) -> Result<Handle, EngineError> {
        let start = Start {
            runbook,
            name: "test".into(),
            project: self.directory.path().into(),
            params,
            mode,
            occasion: Occasion::default(),
        };
        self.engine(store).start(start, self.execution())
    }

    /// Runs a script to its end.
    pub(crate) fn run(&self, script: &str) -> Conclusion {
        let store: Arc<dyn Store> = self.store.clone();
        self.begin(script, Mode::Run, store).unwrap().wait()
    }

    /// Runs a script until that many records are stored. The run id, when it came to be.
    pub(crate) fn run_cut(&self, script: &str, records: usize) -> Option<String> {
        let store = Arc::new(cut_after(records, self.store.clone()));
        let handle = self.begin(script, Mode::Run, store).ok()?;
        Some(handle.wait().run)
    }

    pub(crate) fn resume(&self, run: &str) -> Result<Conclusion, EngineError> {
        self.resume_with(run, None)
    }

    pub(crate) fn resume_with(&self, run: &str, script: Option<&str>) -> Result<Conclusion, EngineError> {
        let script = script.map(|text| Runbook::from_sources(Sources::new("test.rhai", text))).transpose()?;
        let resume = Resume { script, ..Resume::of(run) };
        Ok(self.engine(self.store.clone()).resume(resume, self.execution())?.wait())
    }

    /// Retries a run, as `aegis retry` does, with an edited script or its own.
    pub(crate) fn retry_with(&self, run: &str, script: Option<&str>) -> Result<Conclusion, EngineError> {
        let script = script.map(|text| Runbook::from_sources(Sources::new("test.rhai", text))).transpose()?;
        let resume = Resume { script, retry: Some(Retry::default()), ..Resume::of(run) };
        Ok(self.engine(self.store.clone()).resume(resume, self.execution())?.wait())
    }

    /// Replays a run, with no outside.
    pub(crate) fn replay(&self, run: &str) -> Conclusion {
        self.engine(self.store.clone()).replay(Resume::of(run), self.execution()).unwrap().wait()
    }

    /// Takes a run back, as `aegis undo` does.
    pub(crate) fn undo(&self, run: &str) -> Conclusion {
        self.engine(self.store.clone()).undo(Undo::of(run, ""), self.execution()).unwrap()
    }

    pub(crate) fn entries(&self, run: &str) -> Vec<Entry> {
        self.store.entries(run, 0).unwrap()
    }
}
