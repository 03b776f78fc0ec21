//! `aegis runs`: runs of the state directory, newest first.

use aegis_engine::journal::{RunRecord, Status, Store, StoreError};
use aegis_engine::run::stored;
use clap::Args;
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
}

/// Only the journals of runs that have not ended are read, and of those only where they may be in Jobs.
fn line(context: &Context, store: &dyn Store, run: RunRecord) -> Result<Line, StoreError> {
    let is_open = matches!(run.status, Status::Running | Status::Interrupted | Status::Waiting);
    let target = context.settings.config.target(&run.target).ok();
    let place = if is_open && target.is_some_and(|target| target.executor.is_some()) {
        stored::placed(&store.entries(&run.id, 0)?).map(|placed| tree::place(&placed))
    } else {
        None
    };
    Ok(Line { run, place })
}

impl Runs {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Context::spared(global)?;
        let store = context.existing_store()?;
        let runs = store.runs()?.into_iter().take(self.limit);
        let runs: Vec<Line> = runs.map(|run| line(&context, &*store, run)).collect::<Result<_, _>>()?;
        table::list(global, &runs, &["RUN", "STATUS", "TARGET", "BY", "STARTED", "TITLE"], |line| {
            let (run, place) = (&line.run, &line.place);
            let started = run.started.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
            let place = place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
            let status = format!("{}{place}", run.status.word());
            vec![run.id.clone(), status, run.target.clone(), run.person.0.clone(), started, run.title.clone()]
        });
        Ok(Exit::Ok)
    }
}
