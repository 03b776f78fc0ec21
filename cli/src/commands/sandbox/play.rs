//! `aegis sandbox play`: what a scenario comes to.

use std::path::PathBuf;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_sandbox::scenario::{self, Error, Moment};
use clap::Args;

use super::status;
use crate::context::Context;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::table;

#[derive(Debug, Args)]
pub(super) struct Play {
    /// The scenario: seed, topology, steps with their times, as YAML.
    file: PathBuf,
    /// Where names and uids come from, instead of what the file says.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

impl Play {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let played = context.runtime.block_on(scenario::play(&self.file, self.seed));
        let outcome = played.map_err(|error| broken(&error))?;
        if context.global.json() {
            table::json(&serde_json::json!(outcome));
            return Ok(Exit::Ok);
        }
        let head = ["AFTER", "WHAT", "REASON", "MESSAGE"].map(str::to_owned).to_vec();
        let rows = outcome.timeline.iter().map(row).collect();
        table::text(&table::aligned(&[vec![head], rows].concat()));
        table::text("");
        status::print(&outcome.picture);
        table::text(&format!("\n{} writes, outcome {}", outcome.writes, &outcome.digest[..16]));
        Ok(Exit::Ok)
    }
}

fn row(moment: &Moment) -> Vec<String> {
    vec![format!("{:#}", moment.at), moment.object.clone(), moment.reason.clone(), moment.message.clone()]
}

fn broken(error: &Error) -> Failure {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    let hint = "docs/sandbox.md has one to begin with";
    CallError::new(codes::ARGUMENT, format!("{error}{source}")).hint(hint).into()
}
