//! One execution of one runbook.

use serde::{Deserialize, Serialize};

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

#[derive(Clone)]
pub(crate) struct Control;
