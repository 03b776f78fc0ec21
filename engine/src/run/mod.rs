//! One execution of one runbook.
//!
//! - [`engine`]: starts, resumes and undoes runs; [`handle`]: the door into one that is under way
//! - [`operate`]: what people decide about runs from outside
//! - `session`: the state of a run while a process executes it; `log`: its log file; `conclusion`: how it ends
//! - [`stored`]: what a run in the journal was made of; `edits`: what was changed in its script to no effect
//! - `frame`: places in a run; `recorded`: what earlier processes did there
//! - `step`, `parallel`: the script builtins that group calls
//! - `leases`: the locks a run holds; `undo`: the ledger; `limits`: operations and time; [`confirm`]: asking before each effect

mod conclusion;
pub mod confirm;
mod control;
mod edits;
pub mod engine;
pub(crate) mod frame;
pub mod handle;
pub mod interrupt;
mod leases;
pub mod limits;
mod log;
pub mod operate;
pub(crate) mod parallel;
pub(crate) mod recorded;
mod resume;
pub(crate) mod session;
pub(crate) mod step;
pub mod stored;
pub mod undo;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(crate) use control::Control;
pub use edits::without_effect;
pub use engine::{Engine, Occasion, Start};
pub use handle::{Conclusion, Event, Handle};
pub use interrupt::Stop;
pub(crate) use leases::TIME_TO_LIVE as LOCK_TIME_TO_LIVE;
pub use limits::Limits;
pub use recorded::is_of_undo;
pub use resume::{Resume, Retry, Undo};
pub use undo::Debt;

/// What happens to effects in this execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Effects are performed.
    Run,
    /// Effects are shown with their live diff and not performed.
    Plan,
    /// The script runs over its journal with no outside at all.
    Replay,
}

impl Mode {
    /// The word as it stands in scripts and lists.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Plan => "plan",
            Self::Replay => "replay",
        }
    }
}

/// What scripts may know about the target, and what rules depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetFacts {
    /// Its name in the configuration.
    pub name: String,
    /// True for the embedded cluster.
    pub sandbox: bool,
    /// Protected targets refuse high risk without an approval.
    pub protected: bool,
}

/// Told live how far a call is: its place in the run and a text. Never journaled.
pub(crate) type Progress = Arc<dyn Fn(&str, &str) + Send + Sync>;
