//! `aegis leftovers`: effects of runs that did not succeed, and of drills, that are not taken back.

use aegis_engine::clock::SystemClock;
use aegis_engine::run::operate::{Desk, Left};
use clap::Args;
use serde::Serialize;

use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::{say, table};

#[derive(Debug, Args)]
pub(crate) struct Leftovers {
    /// Only of this run: its id, the beginning or the end of it, or `last`. Default: of all runs.
    run: Option<String>,
}

#[derive(Serialize)]
struct Leftover {
    run: String,
    call: String,
    undo: String,
    sure: bool,
    /// Why the last try to take it back failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl Leftovers {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Context::new(global, None)?;
        let store = context.existing_store()?;
        let desk = Desk { store: &*store, clock: &SystemClock };
        let run = self.run.as_deref().map(|run| desk.find(run)).transpose()?;
        let (mut found, mut damaged) = (Vec::new(), 0);
        for Left { run: record, debts } in desk.leftovers(run.as_ref().map(|run| run.id.as_str()))? {
            let debts = debts.unwrap_or_else(|error| {
                damaged += 1;
                say(&format!("nobody knows what {} left: {}", record.id, error.message));
                Vec::new()
            });
            found.extend(debts.into_iter().map(|debt| Leftover {
                run: record.id.clone(),
                call: debt.call,
                undo: debt.undo.summary,
                sure: debt.sure,
                failure: debt.failure.map(|failure| failure.message),
            }));
        }
        table::list(global, &found, &["RUN", "CALL", "TO UNDO", "HAPPENED", "LAST TRY"], |left| {
            let sure = if left.sure { "yes" } else { "unknown" };
            let failure = left.failure.clone().unwrap_or_else(|| "-".to_owned());
            vec![left.run.clone(), left.call.clone(), left.undo.clone(), sure.to_owned(), failure]
        });
        Ok(if damaged == 0 { Exit::Ok } else { Exit::State })
    }
}
