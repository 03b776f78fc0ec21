//! `aegis retry`: forgets what failed, performs it again and goes on. Effects that worked stay done.

use clap::Args;

use super::deciding::{Case, Decision};
use super::resume::{Going, resume};
use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    decision: Decision,
    #[command(flatten)]
    going: Going,
}

impl Retry {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let case = Case::open(global, &self.decision.run)?;
        let Decision { note, evidence, .. } = self.decision;
        resume(&case.context, &case.record.id, &self.going, Some(aegis_engine::run::Retry { note, evidence }))
    }
}
