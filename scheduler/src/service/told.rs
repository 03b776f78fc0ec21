//! What the service tells whoever listens: screens, notifications, metrics.

use std::sync::Arc;

use aegis_engine::journal::Verdict;
use aegis_engine::runbook::AtWindowEnd;
use jiff::{SignedDuration, Timestamp};

use crate::keeper::Launch;
use crate::record::Record;
use crate::schedule::Schedule;
use crate::store::Pause;

/// What the service tells.
#[derive(Debug, Clone)]
pub enum Told {
    /// It began: schedules, and what is due next.
    Serving {
        /// How many.
        schedules: usize,
        /// When the first is due.
        next: Option<Timestamp>,
        /// Whether windows or freezes have mistakes that let nothing start.
        shut: bool,
    },
    /// A run is promised to an instant or event, and starts when its turn comes.
    Due(Launch),
    /// A run was started or taken up.
    Started(Launch),
    /// A run has ended.
    Ended(Launch, Verdict),
    /// A run waits for people.
    Waiting(Launch),
    /// An instant has no run; its schedule, unless the project has none of that name any more.
    NotStarted(Record, Option<Arc<Schedule>>),
    /// A schedule was paused because it kept failing.
    Paused(Arc<Schedule>, Pause),
    /// Windows and freezes have mistakes, and nobody has ever read them right: nothing of these schedules starts by
    /// itself until they are mended.
    Shut(Vec<Arc<Schedule>>),
    /// They have been mended.
    Opened,
    /// Another engine decides on instants from now on, or nobody else does and this one decides.
    Leads(Option<String>),
    /// The clock on the wall went this far ahead of elapsed time, or back.
    Jumped(SignedDuration),
    /// A run's window closes at this time.
    Closing(Launch, Timestamp, AtWindowEnd),
    /// Something could not be written or read; it is tried again. Told each time.
    Trouble(String),
    /// Journals and records can be written and read again.
    Mended,
    /// One round of the loop is over: it lives.
    Alive(Pulse),
    /// No new runs: it waits for those under way.
    Draining(usize),
}

/// How the service stands after a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// When.
    pub at: Timestamp,
    /// Schedules.
    pub schedules: usize,
    /// Runs that execute here.
    pub executing: usize,
    /// Runs that have not ended and execute nowhere here: they wait for people or for their turn.
    pub parked: usize,
    /// Instants that wait for the run before them.
    pub waiting: usize,
    /// When something is due next.
    pub next: Option<Timestamp>,
    /// It decides on instants.
    pub leads: bool,
}

/// Told of everything, on the service's thread.
pub type Listener = Arc<dyn Fn(&Told) + Send + Sync>;
