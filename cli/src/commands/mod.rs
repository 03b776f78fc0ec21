//! The verbs, one file each, in one visible list.

mod plan;
mod resume;
mod run;
mod running;

use clap::Subcommand;

use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;

/// What aegis can do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run a runbook.
    Run(run::Run),
    /// Show what a runbook would do, with live diffs, and change nothing.
    Plan(plan::Plan),
    /// Go on with a run where it stands.
    Resume(resume::Resume),
}

impl Command {
    /// Runs the verb.
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        match self {
            Self::Run(verb) => verb.run(global),
            Self::Plan(verb) => verb.run(global),
            Self::Resume(verb) => verb.run(global),
        }
    }
}
