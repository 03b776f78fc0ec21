//! `aegis fork`: a new run that has everything an old one had before a step, and goes on from there.

use aegis_engine::clock::{Entropy, SystemEntropy};
use clap::Args;

use super::deciding::{Case, Decision};
use super::resume::{Going, resume};
use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Fork {
    #[command(flatten)]
    decision: Decision,
    /// The step to go on from, by name.
    #[arg(long, value_name = "STEP")]
    from: String,
    #[command(flatten)]
    going: Going,
}

impl Fork {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let case = Case::open(global, &self.decision.run)?;
        let id = format!("{}-fork-{:04x}", case.record.id, SystemEntropy.next() & 0xffff);
        let id = case.decide(&self.decision, |desk, run, by| desk.fork(run, &self.from, by, &id))?;
        resume(&case.context, &id, &self.going, None)
    }
}
