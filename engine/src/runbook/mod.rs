//! A runbook: script text plus a literal header, read and checked before anything runs.
//!
//! ```text
//! file -> Project -> Sources (main text + every import) -> Scripts (parsed) -> Header -> check
//! ```
//!
//! - `project`: which folder a runbook belongs to
//! - `sources`: all texts of a runbook by name; stored in the journal, and all that a run can import
//! - `reading`: resolves imports without running, parses every text
//! - `resolver`: Rhai imports over `Sources`
//! - `compiler`: the one place that configures Rhai; `bounded`: its functions that need a look at the size first
//! - `header`, `literal`, `parameter`, `capability`: what the runbook says about itself
//! - `notify`: who hears what of its runs
//! - `written`: the part of it that others read: values with the places they stand at
//! - `builtins`: the functions without a module, and what their options mean
//! - `blocks`: steps and parallel blocks by their tokens, to compare two texts
//! - `check`: everything that can be known to be wrong without running

mod blocks;
mod bounded;
mod builtins;
mod capability;
mod check;
mod compiler;
mod header;
mod literal;
mod notify;
mod parameter;
mod project;
mod reading;
mod resolver;
mod sources;
mod written;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rhai::AST;

pub(crate) use blocks::{Block, blocks};
pub use builtins::{BUILTINS, Builtin};
pub(crate) use builtins::{OnStepFailure, ParallelOptions, StepOptions, arguments_of};
pub use capability::{Capability, Verb};
pub use check::{check, examine};
pub use compiler::{ARRAY_ITEMS, PARAMS, STRING_BYTES, compiler};
pub use header::{AtWindowEnd, Header, OnFailure, Risk};
pub use notify::{Mistake, Moment, Notify};
pub use parameter::{Kind, ParameterSpec, Params};
pub use project::Project;
pub use resolver::Resolver;
pub use sources::Sources;
pub use written::{Shape, Written};

use crate::diagnostic::Problems;

/// A runbook that parses: header, and the texts it consists of.
#[derive(Clone, Debug)]
pub struct Runbook {
    /// The file it was read from; where a stored run is rebuilt, the name it had.
    pub path: PathBuf,
    /// What it says about itself.
    pub header: Header,
    /// Every text of it.
    pub sources: Sources,
    scripts: BTreeMap<String, AST>,
}

impl Runbook {
    /// Reads a runbook and all it imports.
    ///
    /// # Errors
    /// Everything that is wrong with its texts, imports and header, at once.
    pub fn load(path: &Path, embedded: &BTreeMap<String, String>) -> Result<Self, Problems> {
        reading::Reading::of_file(path, embedded).into_runbook(path)
    }

    /// Rebuilds a runbook from stored texts; reads no file.
    ///
    /// # Errors
    /// As [`Runbook::load`].
    pub fn from_sources(sources: Sources) -> Result<Self, Problems> {
        let path = PathBuf::from(sources.main());
        reading::Reading::of_sources(sources).into_runbook(&path)
    }

    /// The main script, compiled; its source name is set, so that errors name the file.
    #[must_use]
    pub fn script(&self) -> &AST {
        &self.scripts[self.sources.main()]
    }

    /// Answers the imports of this runbook and no other.
    #[must_use]
    pub fn resolver(&self) -> Resolver {
        Resolver::new(self.sources.clone(), self.scripts.clone())
    }
}
