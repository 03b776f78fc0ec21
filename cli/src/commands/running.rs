//! What `run`, `plan`, `resume` and `retry` share: parameters, the wait for the end of a run, Ctrl-C, and the
//! words at the end.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use aegis_engine::codes;
use aegis_engine::diagnostic::Problems;
use aegis_engine::error::CallError;
use aegis_engine::journal::{Entry, Verdict};
use aegis_engine::report::Report;
use aegis_engine::run::handle::Listener;
use aegis_engine::run::{Conclusion, Event, Handle};
use aegis_engine::runbook::{Params, Runbook};
use clap::Args;
use serde_json::Value;

use crate::context::{Context, Output};
use crate::exit::Exit;
use crate::view::failure::{Failure, colour};
use crate::view::plain::Plain;

/// Which runbook with which parameters on which target.
#[derive(Debug, Args)]
pub(crate) struct Subject {
    /// The runbook.
    #[arg(value_name = "RUNBOOK")]
    pub(crate) runbook: PathBuf,
    /// A parameter, `name=value`; may be given several times.
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Parameters from a YAML or JSON file; `--param` rules over them.
    #[arg(long, value_name = "FILE")]
    params_file: Option<PathBuf>,
    /// The target [default: the configuration's, else the sandbox].
    #[arg(long, short = 't', value_name = "NAME")]
    pub(crate) target: Option<String>,
}

impl Subject {
    /// Reads the runbook and binds its parameters.
    pub(crate) fn load(&self, context: &Context) -> Result<(Runbook, Params), Failure> {
        let runbook = Runbook::load(&self.runbook, &aegis_stdlib::libraries())?;
        let params = runbook
            .header
            .bind(&self.given()?, &context.environment)
            .map_err(|diagnostics| Problems { diagnostics, sources: runbook.sources.clone() })?;
        Ok((runbook, params))
    }

    /// Name of the run in lists: the file's.
    pub(crate) fn name(&self) -> String {
        self.runbook.file_stem().map_or_else(|| "run".to_owned(), |stem| stem.to_string_lossy().into_owned())
    }

    fn given(&self) -> Result<BTreeMap<String, Value>, Failure> {
        let mut given = match &self.params_file {
            Some(path) => read_params(path)?,
            None => BTreeMap::new(),
        };
        for pair in &self.params {
            let Some((name, value)) = pair.split_once('=') else {
                let error = CallError::new(codes::PARAMETER, format!("`{pair}` is not a parameter"));
                return Err(error.hint("write `--param name=value`").into());
            };
            given.insert(name.to_owned(), Value::String(value.to_owned()));
        }
        Ok(given)
    }
}

fn read_params(path: &std::path::Path) -> Result<BTreeMap<String, Value>, Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        CallError::new(codes::PARAMETER, format!("`{}` cannot be read", path.display())).because(why)
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    Ok(serde_saphyr::from_str(&text).map_err(|error| wrong(&error))?)
}

/// Collects what a run says and shows it as it comes.
pub(crate) struct Watcher {
    entries: Mutex<Vec<Entry>>,
    plain: Plain,
    output: Output,
}

impl Watcher {
    pub(crate) fn new(output: Output) -> Arc<Self> {
        Arc::new(Self { entries: Mutex::default(), plain: Plain::default(), output })
    }

    pub(crate) fn listener(self: &Arc<Self>) -> Listener {
        let watcher = Arc::clone(self);
        Arc::new(move |event| watcher.hear(event))
    }

    #[expect(clippy::print_stdout, reason = "events for programs are data")]
    fn hear(&self, event: &Event) {
        if let Event::Recorded(entry) = event {
            if self.output == Output::Json {
                println!("{}", serde_json::to_string(entry).unwrap_or_default());
            }
            self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry.clone());
        }
        if self.output == Output::Text {
            self.plain.show(event);
        }
    }

    pub(crate) fn report(&self) -> Report {
        Report::of(&self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Waits for the end of a run. Ctrl-C once cancels it, twice leaves it resumable.
pub(crate) fn wait(context: &Context, handle: &Handle) -> Conclusion {
    let (interrupted, person) = (handle.clone(), context.global.person());
    context.runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        say("cancelling; press Ctrl-C again to leave the run as it is");
        let cancelled = interrupted.clone();
        tokio::task::spawn_blocking(move || cancelled.cancel(&person, "Ctrl-C"));
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.abandon();
        }
    });
    handle.wait()
}

/// The words at the end, and how the process ends.
pub(crate) fn conclude(context: &Context, conclusion: &Conclusion, runbook: &Runbook) -> Exit {
    let run = &conclusion.run;
    if context.global.json() {
        return Exit::of_run(conclusion);
    }
    if let Some(failure) = &conclusion.failure {
        say(failure.render(&runbook.sources, colour()).trim_end());
        say(&format!("  see: aegis explain {}", failure.code));
    }
    match (&conclusion.verdict, &conclusion.stop) {
        (Some(Verdict::Succeeded), _) => say(&format!("succeeded: {run}")),
        (Some(Verdict::Failed), _) => say(&format!("failed: {run}\n  next: aegis retry {run}")),
        (Some(Verdict::Cancelled), _) => say(&format!("cancelled: {run}")),
        (None, _) => say(&format!("not finished: {run}\n  next: aegis resume {run}")),
    }
    if !conclusion.leftovers.is_empty() {
        say(&format!("  not undone: {} (aegis leftovers {run})", conclusion.leftovers.len()));
    }
    Exit::of_run(conclusion)
}

/// True when a person sits in front of it.
pub(crate) fn interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

#[expect(clippy::print_stderr, reason = "talk goes to stderr")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
