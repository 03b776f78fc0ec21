//! Durable calls and resume, through the engine as the product uses it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aegis_engine::CallError;
use aegis_engine::clock::{SystemClock, SystemEntropy};
use aegis_engine::function::{
    Context, Description, Effect, Function, HostFunction, Module, Registry, Services,
};
use aegis_engine::journal::{Person, SqliteStore};
use aegis_engine::run::engine::Execution;
use aegis_engine::run::{Conclusion, Engine, Limits, Mode, Occasion, Resume, Start, TargetFacts};
use aegis_engine::runbook::{Runbook, Sources};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Row, floor, fresh, percentile};

/// Moments at which effects were performed.
type Moments = Mutex<Vec<Instant>>;

struct Touch;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TouchArguments {
    /// Any number.
    number: i64,
}

#[async_trait]
impl HostFunction for Touch {
    type Arguments = TouchArguments;

    fn describe() -> Description {
        Description {
            summary: "Notes the moment.",
            capability: "bench:change",
            positional: &["number"],
            returns: "int",
            undo: "none: nothing outside changes",
            fails_when: "Never.",
            example: "bench::touch(1)",
            ..Description::of("touch", Effect::Changes)
        }
    }

    async fn perform(context: &Context, arguments: TouchArguments) -> Result<Value, CallError> {
        let moments = context.service::<Moments>()?;
        moments.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        Ok(json!(arguments.number))
    }
}

struct Bench {
    engine: Engine,
    services: Services,
    folder: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new(directory: &Path) -> Self {
        let module = Module {
            name: "bench",
            summary: "For measuring.",
            page: "",
            functions: vec![Function::new::<Touch>()],
        };
        let modules = aegis_engine::builtin::modules().into_iter().chain([module]).collect();
        let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|error| panic!("{error}"));
        let engine = Engine {
            store: Arc::new(SqliteStore::open(directory).unwrap_or_else(|error| panic!("{error}"))),
            registry: Arc::new(Registry::new(modules).unwrap_or_else(|error| panic!("{error}"))),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            runtime: runtime.handle().clone(),
        };
        Self {
            engine,
            services: Services::default().with(Moments::default()),
            folder: directory.to_owned(),
            runtime,
        }
    }

    fn execution(&self) -> Execution {
        Execution {
            target: TargetFacts { name: "bench".to_owned(), sandbox: true, protected: false },
            services: self.services.clone(),
            person: Person("bench".to_owned()),
            patient: false,
            confirm: None,
            limits: Limits::default(),
            listener: Arc::new(|_| ()),
            logs: Some(self.folder.join("logs")),
            observer: None,
            environment: BTreeMap::new(),
        }
    }

    fn run(&self, script: &str) -> Conclusion {
        let text = format!("runbook(#{{ title: \"bench\", needs: [\"bench:change\"] }});\n{script}");
        let runbook =
            Runbook::from_sources(Sources::new("bench.rhai", text)).unwrap_or_else(|error| panic!("{error}"));
        let params = runbook
            .header
            .bind(&BTreeMap::new(), &BTreeMap::new())
            .unwrap_or_else(|error| panic!("{error:?}"));
        let (name, project, mode) = ("bench".to_owned(), ".".into(), Mode::Run);
        let start = Start { runbook, name, project, params, mode, occasion: Occasion::default() };
        let handle = self.engine.start(start, self.execution()).unwrap_or_else(|error| panic!("{error}"));
        handle.wait()
    }

    /// Microseconds of each of so many calls.
    fn timed(&self, calls: usize) -> Vec<f64> {
        self.run(&format!("for n in 0..{calls} {{ bench::touch(n); }}"));
        self.intervals()
    }

    /// Microseconds between one effect and the next since last asked: two commits, asked and happened.
    fn intervals(&self) -> Vec<f64> {
        let moments = self.services.get::<Moments>().unwrap_or_default();
        let moments = std::mem::take(&mut *moments.lock().unwrap_or_else(PoisonError::into_inner));
        moments.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e6).collect()
    }
}

/// Both.
pub(crate) fn all(directory: &Path) -> Vec<Row> {
    durable(directory).into_iter().chain(resume(directory)).collect()
}

/// A durable call against two synced appends of the same size. They take turns: a disk has slow seconds. The first calls in
/// a state directory are not among them, because the write-ahead log is written over and over once it has its length.
fn durable(directory: &Path) -> Vec<Row> {
    const TURNS: usize = 50;
    const CALLS: usize = 100;
    const FIRST: usize = 200;
    const REST: usize = 800;
    let folder = fresh(directory, "durable");
    let bench = Bench::new(&folder);
    let mut first = bench.timed(FIRST);
    bench.timed(REST);
    let (mut floor, mut calls) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        floor.extend(floor::synced_appends(&folder, CALLS));
        calls.extend(bench.timed(CALLS));
    }
    drop(bench.runtime);
    let beginning = Row {
        what: "the first 200 durable calls, p50",
        figure: format!("{:.0} us a commit", percentile(&mut first, 0.5) / 2.0),
        against: format!("{:.0} us a raw fdatasync", percentile(&mut floor, 0.5)),
    };
    [("durable call, p50", 0.5), ("durable call, p99", 0.99)]
        .map(|(what, share)| {
            let (commit, sync) = (percentile(&mut calls, share) / 2.0, percentile(&mut floor, share));
            Row {
                what,
                figure: format!("{commit:.0} us a commit"),
                against: format!("{sync:.0} us a raw fdatasync: {:.2}x (goal <= 1.3x)", commit / sync),
            }
        })
        .into_iter()
        .chain([beginning])
        .collect()
}

/// Resume of a run with 10,000 recorded calls.
fn resume(directory: &Path) -> Vec<Row> {
    let bench = Bench::new(&fresh(directory, "resume"));
    let ended = bench.run("for n in 0..10_000 { bench::touch(n); } approval::ask(\"go on?\");");
    let began = Instant::now();
    let again = bench.engine.resume(Resume::of(ended.run), bench.execution()).map(|handle| handle.wait());
    let took = began.elapsed();
    let stands = again.is_ok_and(|again| again.verdict.is_none());
    vec![Row {
        what: "resume of a 10,000-call run",
        figure: format!("{} ms", took.as_millis()),
        against: format!("goal <= 200 ms{}", if stands { "" } else { " (it did not come to its question)" }),
    }]
}
