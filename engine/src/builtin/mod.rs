//! Host modules about the run itself. They go through the gate like all others; only the ones here have a
//! door into the run they are called in.

mod approval;
mod lock;
mod report;
mod run;
mod undo;

pub(crate) use approval::AskArguments;
pub(crate) use undo::WithArguments;

use crate::function::Module;

/// The engine's own modules, in the order a reader should meet them.
#[must_use]
pub fn modules() -> Vec<Module> {
    vec![run::module(), report::module(), approval::module(), lock::module(), undo::module()]
}
