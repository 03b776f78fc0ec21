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
    /// Which question, when there are several: words of it, its call's place in the run, or its step's name.
    what: Option<String>,
}

impl Approve {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let case = Case::open(global, &self.decision.run)?;
        let answered =
            case.decide(&self.decision, |desk, run, by| desk.approve(run, self.what.as_deref(), by))?;
        Ok(case.tell_yes(&answered))
    }
}
