//! `aegis skip`: leaves a call or step out; on resume the script is given `()` for it.

use clap::Args;

use super::deciding::{Case, Decision};
use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Skip {
    #[command(flatten)]
    decision: Decision,
    /// The call or step: its place in the run, or a step's name.
    what: String,
}

impl Skip {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let case = Case::open(global, &self.decision.run)?;
        let key = case.decide(&self.decision, |desk, run, by| desk.skip(run, &self.what, by))?;
        Ok(case.tell("to be skipped", &key, "resume"))
    }
}
