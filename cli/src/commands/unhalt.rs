//! `aegis unhalt`: effects may happen again; runs that stopped for it are resumed by hand.

use clap::Args;

use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::say;
use crate::view::table;

#[derive(Debug, Args)]
pub(crate) struct Unhalt;

impl Unhalt {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let store = Context::spared(global)?.store()?;
        let halt = store.halt()?;
        store.set_halt(None)?;
        match (&halt, global.json()) {
            (_, true) => table::json(&halt),
            (Some(halt), false) => {
                say(&format!("effects are allowed again (were halted by {}: {})", halt.person.0, halt.reason))
            }
            (None, false) => say("effects were not halted"),
        }
        Ok(Exit::Ok)
    }
}
