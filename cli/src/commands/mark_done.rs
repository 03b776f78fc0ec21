//! `aegis mark-done`: records that a call or step was done by hand, with a note and what the script gets.

use aegis_engine::CallError;
use clap::Args;
use serde_json::Value;

use super::deciding::{Case, Decision};
use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct MarkDone {
    #[command(flatten)]
    decision: Decision,
    /// The call or step: its place in the run, or a step's name.
    what: String,
    /// The answer that the script is given, as JSON.
    #[arg(long, default_value = "null", value_name = "JSON")]
    value: String,
}

impl MarkDone {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let value: Value = serde_json::from_str(&self.value)
            .map_err(|error| CallError::argument(format!("`{}` is not JSON", self.value)).because(error))?;
        let case = Case::open(global, &self.decision.run)?;
        let key = case.decide(&self.decision, |desk, run, by| desk.mark_done(run, &self.what, value, by))?;
        Ok(case.tell("marked as done", &key, "resume"))
    }
}
