//! `aegis approve`: says yes to what a run asks now, and to nothing else.

use clap::Args;

use super::deciding::{Case, Decision};
use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Approve {
    #[command(flatten)]
    decision: Decision,
}

impl Approve {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let case = Case::open(global, &self.decision.run)?;
        let key = case.decide(&self.decision, |desk, run, by| desk.approve(run, by))?;
        Ok(case.tell("approved", &key, "resume"))
    }
}
