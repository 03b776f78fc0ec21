//! `aegis logs`: the journal of a run, one line an entry; `--follow` goes on until no process runs it.

use std::time::Duration;

use aegis_engine::journal::{Entry, Status};
use clap::Args;

use super::deciding::Case;
use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::say;
use crate::view::{table, tree};

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The run: its id, the beginning or the end of it, or `last`.
    #[arg(default_value = "last")]
    run: String,
    /// Go on printing what is recorded, until the run has ended or no process runs it any more.
    #[arg(long, short)]
    follow: bool,
}

/// How often the journal is looked at.
const LOOK: Duration = Duration::from_millis(200);

impl Logs {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let case = Case::look(global, &self.run)?;
        let mut seen = 0;
        loop {
            // Asked before the journal is read: what a process wrote before it left is printed, too.
            let executed = self.follow && case.store.executed(&case.record.id)?;
            let entries = case.store.entries(&case.record.id, seen)?;
            entries.iter().for_each(|entry| print(entry, global));
            seen = entries.last().map_or(seen, |entry| entry.seq);
            if !executed {
                break;
            }
            case.context.runtime.block_on(async { tokio::time::sleep(LOOK).await });
        }
        if self.follow && !global.json() {
            tell_where_it_stands(&case)?;
        }
        Ok(Exit::Ok)
    }
}

fn print(entry: &Entry, global: &Global) {
    if global.json() {
        table::json(entry);
    } else {
        table::text(&tree::line(entry));
    }
}

fn tell_where_it_stands(case: &Case) -> Result<(), Failure> {
    let run = &case.record.id;
    let record = case.store.runs()?.into_iter().find(|record| record.id == *run);
    match record.map(|record| record.status) {
        Some(Status::Interrupted) => {
            say(&format!("no process runs it\n  next: {}", case.next().line("resume")));
        }
        Some(Status::Waiting) => say(&format!("it waits\n  next: aegis show {run}")),
        _ => {}
    }
    Ok(())
}
