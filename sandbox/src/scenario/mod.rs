//! Scenarios: a cluster, what is done to it and when, and what came of it. The same file gives the same outcome.
//!
//! ```text
//!   file -> Scenario -> play: [do a step, let time pass]* -> Outcome (timeline, picture, digest)
//! ```
//!
//! A scenario has a cluster of its own, in memory, whose clock stands still while something is done and then jumps to
//! what is due next: hours pass in a second, and no race with a real clock decides anything. Names and uids come from
//! the seed. Steps go through the API like those of any client, so faults, quotas and policies meet them too.
//!
//! | file | what |
//! |---|---|
//! | `file` | what a scenario file says |
//! | `stage` | the cluster it is played on |
//! | `outcome` | what came of it |
//!
//! Not here: process pods, which take real time.

mod file;
mod outcome;
mod stage;

use std::path::Path;

pub use self::file::{Action, Scenario, Step};
pub use self::outcome::{Moment, Outcome};

use self::stage::Stage;

/// Why a scenario cannot be played. That a step was refused is an outcome.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// Which.
        path: std::path::PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file does not say what it should.
    #[error("`{path}` is wrong: {problem}")]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        problem: String,
    },
    /// The cluster could not begin.
    #[error("the cluster cannot begin: {0}")]
    Begin(String),
}

/// Plays the scenario of a file; the manifests it names are looked for beside it.
///
/// # Errors
/// When a file cannot be read. What the cluster refuses is part of the outcome.
pub async fn play(path: &Path, seed: Option<u64>) -> Result<Outcome, Error> {
    let mut scenario = Scenario::read(path)?;
    scenario.seed = seed.unwrap_or(scenario.seed);
    let mut stage = Stage::build(&scenario)?;
    for step in &scenario.steps {
        stage.wait_until(step.at).await;
        stage.act(step).await;
    }
    stage.wait_until(scenario.lasts).await;
    Ok(stage.outcome(&scenario))
}
