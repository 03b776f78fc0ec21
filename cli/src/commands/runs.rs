//! `aegis runs`: runs of the state directory, newest first.

use aegis_engine::journal::{Act, Body, Entry, Person, Placement, RunRecord, Status, Store, StoreError};
use aegis_engine::run::stored::{self, Placed};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::{table, tree};

#[derive(Debug, Args)]
pub(crate) struct Runs {
    /// At most this many.
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: usize,
}

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    run: RunRecord,
    /// Where a run executes that is in a Job, or why it does not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    /// Who took it back after it had ended, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    undone: Option<Undone>,
    /// The place in a word: what is longer is in `aegis show`.
    #[serde(skip)]
    word: Option<&'static str>,
}

#[derive(Serialize)]
struct Undone {
    by: Person,
    at: Timestamp,
}

/// Journals are read only of runs that may be in Jobs, and of those that people took back.
fn line(context: &Context, store: &dyn Store, run: RunRecord) -> Result<Line, StoreError> {
    let is_open = matches!(run.status, Status::Running | Status::Interrupted | Status::Waiting);
    let target = context.settings.config.target(&run.target).ok();
    let mut line = Line { run, place: None, undone: None, word: None };
    let run = &line.run.id;
    if is_open && target.is_some_and(|target| target.executor.is_some()) {
        let placed = stored::placed(&store.entries(run, 0)?);
        line.word = placed.as_ref().map(word);
        line.place = placed.map(|placed| tree::place(&placed));
    } else if !is_open && store.decisions(run, 0).is_ok_and(|(decisions, _)| undone(&decisions).is_some()) {
        // It may have been taken up again since.
        line.undone = store.entries(run, 0).ok().and_then(|entries| undone(&entries));
    }
    Ok(line)
}

const fn word(placed: &Placed) -> &'static str {
    match placed.placement {
        Placement::Expected => "in a job",
        Placement::Hindered => "job is hindered",
        Placement::Left => "job was left",
        Placement::GivenUp => "job was given up",
        Placement::Wanted => "wanted in another job",
    }
}

fn undone(entries: &[Entry]) -> Option<Undone> {
    entries.iter().rev().find_map(|entry| match &entry.body {
        Body::Resumed { .. } => Some(None),
        Body::Decided { act: Act::Undo, person, .. } => {
            Some(Some(Undone { by: person.clone(), at: entry.at }))
        }
        _ => None,
    })?
}

impl Runs {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Context::spared(global)?;
        let store = context.existing_store()?;
        let runs = store.runs()?.into_iter().take(self.limit);
        let runs: Vec<Line> = runs.map(|run| line(&context, &*store, run)).collect::<Result<_, _>>()?;
        table::list(global, &runs, &["RUN", "STATUS", "TARGET", "BY", "STARTED", "TITLE"], |line| {
            let run = &line.run;
            let started = run.started.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
            let more = line.undone.as_ref().map(|_| "undone").or(line.word);
            let more = more.map(|more| format!(" ({more})")).unwrap_or_default();
            let status = format!("{}{more}", run.status.word());
            vec![run.id.clone(), status, run.target.clone(), run.person.0.clone(), started, run.title.clone()]
        });
        Ok(Exit::Ok)
    }
}
