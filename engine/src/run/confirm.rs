//! Asking a person before each effect (`run --step`), for the careful hour of an incident.

use crate::function::{Effect, Plan};

/// An effect that is about to be performed.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Its place in the run.
    pub call: String,
    /// `module::function`.
    pub function: String,
    /// What kind.
    pub effect: Effect,
    /// The plan: line and live diff.
    pub plan: Plan,
}

/// What the person says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Do it.
    Do,
    /// Leave it out and go on; why.
    Skip(String),
    /// Stop the run here; it can be resumed.
    Stop,
}

/// Somebody who can be asked. Called on a thread of its own for each question; branches ask at the same time.
pub trait Confirm: Send + Sync {
    /// Shows the proposal and waits for the answer.
    fn ask(&self, proposal: &Proposal) -> Answer;
}
