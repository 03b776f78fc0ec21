//! What a project says about its schedules: `schedules.toml` and the headers of its runbooks, read into a [`Plan`].
//! What is wrong is told with file, line, caret and hint, and keeps nothing else from running.
//!
//! ```toml
//! zone = "Asia/Seoul"
//! [schedules.nightly]
//! runbook = "runbooks/backup.rhai"
//! when = "30 2 * * *"
//! ```
//!
//! - `file`: a text of TOML as values with places
//! - `fields`: single values, and what is said when one is wrong
//! - `draft`: what one schedule or trigger says; `schedules` completes it with targets and runbooks
//! - `coming`: whether anything of a time can come
//! - `gates`: windows and freezes of the file
//! - `triggers`: the triggers of the file, which say most of what schedules say
//! - `runbooks`: the runbooks that are named, each read once

mod coming;
mod draft;
mod fields;
mod file;
mod gates;
mod runbooks;
mod schedules;
mod triggers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aegis_engine::diagnostic::Problems;
use aegis_engine::error::CallError;
use aegis_engine::function::Registry;
use aegis_engine::runbook::Sources;
use jiff::Timestamp;

use crate::calendar::Gates;
use crate::schedule::Schedule;
use crate::trigger::Trigger;

/// Name of the file at the root of a project.
pub const FILE: &str = "schedules.toml";

/// What schedules need to know of the configuration.
pub trait Targets {
    /// A target by name.
    ///
    /// # Errors
    /// When there is none of that name, with a hint.
    fn target(&self, name: &str) -> Result<Target, CallError>;

    /// Whether a target has a channel.
    ///
    /// # Errors
    /// When it has none of that name, with a hint.
    fn channel(&self, target: &str, channel: &str) -> Result<(), CallError>;
}

/// A target, as far as it matters to schedules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Target {
    /// Whether it is protected.
    pub protected: bool,
    /// How many scheduled runs may be under way on it; `None`: any number.
    pub most_runs: Option<u32>,
}

/// What a project is read with.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Its folder.
    pub root: &'a Path,
    /// Its targets.
    pub targets: &'a dyn Targets,
    /// The target of what names none.
    pub target: &'a str,
    /// Libraries that runbooks may import.
    pub libraries: &'a BTreeMap<String, String>,
    /// What runbooks may call.
    pub registry: &'a Registry,
    /// The time: whether years are over is a question of it.
    pub now: Timestamp,
    /// Where secret parameters come from; `None`: they are not looked for, because nothing runs here.
    pub environment: Option<&'a BTreeMap<String, String>>,
}

/// All that a project says, as far as it can be used.
#[derive(Debug, Default)]
pub struct Plan {
    /// Schedules by name; those of triggers among them, which have no time.
    pub schedules: Vec<Arc<Schedule>>,
    /// Triggers by name.
    pub triggers: Vec<Trigger>,
    /// Windows and freezes.
    pub gates: Gates,
    /// Calendars that freezes name.
    pub calendars: Vec<PathBuf>,
    /// What was refused, a file each.
    pub problems: Vec<Problems>,
    /// Schedules by name that were refused: whoever had read them before goes on with what they said then.
    pub refused: Vec<String>,
    /// Windows and freezes have mistakes: the ones before stand, and where there are none, nothing runs by itself.
    pub gates_refused: bool,
    /// `schedules.toml` says nothing at all, because it cannot be read: everything in it stands as it was.
    pub unreadable: bool,
}

impl Plan {
    /// Reads a project.
    #[must_use]
    pub fn read(surroundings: &Surroundings<'_>) -> Self {
        let mut plan = Self::default();
        let mut runbooks = runbooks::Runbooks::new(*surroundings);
        let file = file::File::read(surroundings.root);
        let mut reader = schedules::Reader::new(*surroundings, &mut runbooks);
        if let Some(file) = file {
            let Surroundings { root, targets, now, .. } = *surroundings;
            let gates::Read { gates, mut problems, sources, calendars } =
                gates::read(&file, gates::Around { root, targets, now });
            plan.gates_refused = !problems.is_empty();
            plan.gates = if plan.gates_refused { gates::shut() } else { gates };
            plan.calendars = calendars;
            plan.unreadable = file.table.is_err();
            problems.extend(reader.file(&file, &mut plan));
            let sources = reader.sources(&sources);
            plan.problems.extend(told(problems, sources));
        } else {
            plan.gates = gates::usual();
        }
        let headers = reader.headers(&mut plan.schedules);
        plan.problems.extend(headers);
        plan.refused = reader.refused();
        plan.schedules.sort_by(|one, other| one.name.cmp(&other.name));
        plan.schedules.shrink_to_fit();
        plan
    }
}

/// The windows and freezes of a project alone: what a run that a person starts has to pass.
///
/// # Errors
/// What is wrong about them: who cannot read a freeze does not know that there is none.
pub fn gates(root: &Path, targets: &dyn Targets, now: Timestamp) -> Result<Gates, Problems> {
    let Some(file) = file::File::read(root) else { return Ok(gates::usual()) };
    let gates::Read { gates, problems, sources, .. } =
        gates::read(&file, gates::Around { root, targets, now });
    told(problems, sources).map_or(Ok(gates), Err)
}

/// Reads one header's schedule, for those who check runbooks.
#[must_use]
pub fn check_header(runbook: &aegis_engine::runbook::Runbook) -> Vec<aegis_engine::diagnostic::Diagnostic> {
    schedules::check_header(runbook)
}

fn told(diagnostics: Vec<aegis_engine::diagnostic::Diagnostic>, sources: Sources) -> Option<Problems> {
    (!diagnostics.is_empty()).then_some(Problems { diagnostics, sources })
}
