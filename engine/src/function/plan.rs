//! The plan of one call as a value: what it would do, seen before it is done. Plan mode shows it,
//! `run --step` asks about it, and the undo ledger takes the inverse from it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a call would do. Made by reading the world only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// One line for a person: ``scale deployment/web in shop from 2 to 3``.
    pub summary: String,
    /// Unified diff from the live state to the planned one, where that makes sense.
    pub diff: Option<String>,
    /// How the call is taken back, with the state before it captured. `None`: it cannot be.
    pub undo: Option<UndoCall>,
    /// What the script is given in plan mode, where the call is not performed.
    pub predicted: Value,
    /// What later reads of the same plan must see, by a key that the module chooses
    /// (`k8s:apps/deployments/shop/web`). `None` as value: it would be gone.
    pub overlay: Vec<(String, Option<Value>)>,
    /// True when the world already is as the call wants it.
    pub unchanged: bool,
}

impl Plan {
    /// A plan that only has its one line.
    #[must_use]
    pub fn new(summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), ..Self::default() }
    }

    /// Adds the diff; an empty one is left out.
    #[must_use]
    pub fn with_diff(mut self, diff: impl Into<String>) -> Self {
        let diff = diff.into();
        self.diff = (!diff.is_empty()).then_some(diff);
        self
    }

    /// Adds the inverse.
    #[must_use]
    pub fn with_undo(mut self, undo: UndoCall) -> Self {
        self.undo = Some(undo);
        self
    }

    /// Adds what the script sees in plan mode.
    #[must_use]
    pub fn predicting(mut self, value: Value) -> Self {
        self.predicted = value;
        self
    }

    /// Adds a planned write that later reads of this plan see.
    #[must_use]
    pub fn overlaying(mut self, key: impl Into<String>, value: Option<Value>) -> Self {
        self.overlay.push((key.into(), value));
        self
    }
}

/// The inverse of a call: another host function with complete arguments, journaled before the effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UndoCall {
    /// Host function with its module: `k8s::scale`; or `script::NAME` for a function of the runbook.
    pub function: String,
    /// All arguments by name, positional ones included.
    pub arguments: Value,
    /// One line for a person: ``scale deployment/web in shop back to 2``.
    pub summary: String,
}
