//! `aegis logs`: the journal of a run, one line an entry.

use aegis_engine::journal::Store;
use clap::Args;

use super::deciding::Case;
use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::{table, tree};

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The run: its id, a part that is enough to tell it, or `last`.
    #[arg(default_value = "last")]
    run: String,
}

impl Logs {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let case = Case::open(global, &self.run)?;
        for entry in case.store.entries(&case.record.id, 0)? {
            if global.json() {
                table::json(&entry);
            } else {
                table::text(&tree::line(&entry));
            }
        }
        Ok(Exit::Ok)
    }
}
