//! `aegis reject`: says no to what a run asks.

use clap::Args;

use super::deciding::{Case, Decision};
use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Reject {
    #[command(flatten)]
    decision: Decision,
}

impl Reject {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let case = Case::open(global, &self.decision.run)?;
        let key = case.decide(&self.decision, |desk, run, by| desk.reject(run, by))?;
        Ok(case.tell("rejected", &key, "resume"))
    }
}
