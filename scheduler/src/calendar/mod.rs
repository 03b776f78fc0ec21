//! When changes may be made: maintenance windows let risky runs in, freezes keep runs out. The same gates stand
//! before scheduled and manual runs.
//!
//! - `window`: the times at which what is risky may run
//! - `freeze`: the times at which nothing may, from a list or an iCalendar file (`ics`)

mod freeze;
mod ics;
mod window;

use aegis_engine::runbook::Risk;
use jiff::Timestamp;

pub use freeze::{Freeze, Frozen};
pub use ics::Mistake;
pub use window::Window;

use crate::record::Why;

/// All windows and freezes of a project.
#[derive(Debug, Clone, Default)]
pub struct Gates {
    /// Maintenance windows: a run that some of them are for needs one that is open.
    pub windows: Vec<Window>,
    /// Freezes: a run that some of them are for needs all of them to be over.
    pub freezes: Vec<Freeze>,
    /// They have mistakes, and nobody has ever read them right: nothing runs by itself.
    pub are_shut: bool,
}

/// What wants to run.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// How much can go wrong.
    pub risk: Risk,
    /// Where.
    pub target: &'a str,
    /// Whether that is protected.
    pub protected: bool,
    /// True for a schedule, false for a person.
    pub scheduled: bool,
}

/// What a window or freeze is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Runs of this risk and above.
    pub risk: Risk,
    /// Targets by name; empty: all.
    pub targets: Vec<String>,
    /// Which runs of people.
    pub manual: Manual,
}

/// Which runs that people start a window or freeze is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manual {
    /// None: it is for schedules only.
    None,
    /// Those on protected targets.
    #[default]
    Protected,
    /// All.
    All,
}

impl Manual {
    /// Every word of it.
    pub const WORDS: &[&str] = &["none", "protected", "all"];
}

impl Scope {
    /// Whether it is for what wants to run.
    #[must_use]
    pub fn covers(&self, subject: &Subject<'_>) -> bool {
        let manual = match self.manual {
            _ if subject.scheduled => true,
            Manual::None => false,
            Manual::Protected => subject.protected,
            Manual::All => true,
        };
        let target = self.targets.is_empty() || self.targets.iter().any(|name| name == subject.target);
        manual && target && subject.risk >= self.risk
    }
}

/// Why something may not run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// [`Why::Frozen`] or [`Why::OutsideWindow`].
    pub why: Why,
    /// The windows or the freeze, by name.
    pub names: Vec<String>,
    /// When it will be allowed, as far as the calendar tells.
    pub next: Option<Timestamp>,
    /// The same by the clock on the wall there.
    pub local: Option<String>,
}

impl Refusal {
    /// One line for a record.
    #[must_use]
    pub fn note(&self) -> String {
        let next = self.local.as_ref().map(|at| format!(" until {at}")).unwrap_or_default();
        match self.why {
            Why::Frozen => format!("freeze `{}`{next}", self.names.join("`, `")),
            _ => format!("window `{}` is closed{next}", self.names.join("`, `")),
        }
    }
}

impl Gates {
    /// Whether something may run now; answers when the last window it is in closes.
    ///
    /// # Errors
    /// The freeze it is in, or the windows that are closed.
    pub fn admit(&self, subject: &Subject<'_>, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
        for freeze in self.freezes.iter().filter(|freeze| freeze.scope.covers(subject)) {
            if let Some(frozen) = freeze.at(now) {
                return Err(freeze.refusal(&frozen));
            }
        }
        let windows: Vec<&Window> =
            self.windows.iter().filter(|window| window.scope.covers(subject)).collect();
        if windows.is_empty() {
            return Ok(None);
        }
        let closes = windows.iter().filter_map(|window| window.open_until(now)).max();
        closes.map(Some).ok_or_else(|| Window::refusal(&windows, now))
    }
}
