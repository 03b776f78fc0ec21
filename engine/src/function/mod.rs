//! A host function, described once. Registration in Rhai, argument checking, policy, plan text, undo,
//! reference pages and editor definitions all read the same [`Description`].
//!
//! A function is a unit struct that implements [`HostFunction`]; a module lists its functions in one
//! visible table ([`Module`]); the [`Registry`] refuses a description that lacks something.

mod arguments;
mod cleanup;
mod context;
mod effect;
mod plan;
mod registry;
mod shape;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use arguments::{ArgumentError, Parameter, Signature};
pub use cleanup::Cleanup;
pub use context::{Context, Overlay, Progress, Services};
pub use effect::Effect;
pub use plan::{Plan, UndoCall};
pub use registry::{Function, Module, Registry, RegistryError};
pub use shape::Shape;
pub(crate) use shape::{Misfit, kind_of, stand_in};

use crate::error::CallError;

/// Everything there is to know about a host function besides its code.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Name inside the module: `scale`.
    pub name: &'static str,
    /// One sentence in the third person: "Scales a workload and waits until it is ready."
    pub summary: &'static str,
    /// What it does to the world.
    pub effect: Effect,
    /// The capability a runbook must declare, `module:verb` (`k8s:change`, `notify:send`).
    /// Empty for functions that touch nothing outside (`text`, `time`, `report`); [`OWN_RUN`] for effects that do
    /// not, either.
    pub capability: &'static str,
    /// Names of the arguments given by position; all others are options in one trailing map.
    pub positional: &'static [&'static str],
    /// Shape and units of the answer: "map: the workload as it is now".
    pub returns: &'static str,
    /// How it is taken back, or "none: WHY".
    pub undo: &'static str,
    /// When it fails, in one or two sentences.
    pub fails_when: &'static str,
    /// A call that works, as a person would write it. Tests run it.
    pub example: &'static str,
    /// True for functions that wait for the world to change (`k8s::wait`, `time::sleep`): a plan does not wait.
    pub waits: bool,
    /// True when the answer is secret: the script gets it as a `Secret`, it is never recorded, and a
    /// resumed run reads it again.
    pub secret: bool,
    /// True when the answer is made of the arguments and nothing else (`text`). If one of them was secret,
    /// the answer is handled as with `secret`: sealed by `Vault::sealed`, and computed again on resume.
    pub pure: bool,
}

impl Description {
    /// An empty description to fill in with `..Description::of(name, effect)`.
    #[must_use]
    pub const fn of(name: &'static str, effect: Effect) -> Self {
        Self {
            name,
            effect,
            summary: "",
            capability: "",
            positional: &[],
            returns: "",
            undo: "",
            fails_when: "",
            example: "",
            waits: false,
            secret: false,
            pure: false,
        }
    }

    /// The capability that the header of a runbook has to declare before it may call this; `None`: nothing.
    #[must_use]
    pub fn needs(&self) -> Option<&'static str> {
        Some(self.capability).filter(|capability| !capability.is_empty() && *capability != OWN_RUN)
    }
}

/// The capability of effects on nothing but the run itself (its locks, its undo ledger): every runbook has it, and
/// no header declares it. An effect without any capability would be one that somebody forgot.
pub const OWN_RUN: &str = "own run";

/// What a look at the world says about a call whose outcome was never recorded.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// It happened; this is its answer.
    Happened(Value),
    /// It did not happen (or is safe to perform again from where it stands).
    DidNotHappen,
    /// Nobody but a person can tell.
    CannotTell,
}

/// A host function: description, plan, performance and probe.
///
/// `perform` is the only place with effects and is called only by the gate.
#[async_trait]
pub trait HostFunction: Send + Sync + 'static {
    /// All arguments by name. Doc comments of the fields become the reference page; options need
    /// `#[serde(default)]`. Put `#[serde(deny_unknown_fields)]` on it.
    type Arguments: DeserializeOwned + JsonSchema + Send + Sync;

    /// The one description.
    fn describe() -> Description;

    /// Which part of the capability this call needs (`payments/deployments/web`, `s3://bucket/key`).
    /// Compared with the scope pattern of `needs` by `*` globs.
    fn scope(_arguments: &Self::Arguments) -> Option<String> {
        None
    }

    /// What the call would do. Called before every effect; reads only. The default names the call.
    async fn plan(_context: &Context, _arguments: &Self::Arguments) -> Result<Plan, CallError> {
        Ok(Plan::default())
    }

    /// Does it and answers what happened.
    async fn perform(context: &Context, arguments: Self::Arguments) -> Result<Value, CallError>;

    /// Looks whether a call whose outcome is missing has happened. `asked` is the plan's undo as it was
    /// journaled before the effect.
    async fn probe(
        _context: &Context,
        _arguments: &Self::Arguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        Ok(Probe::CannotTell)
    }
}
