//! What follows from a decision, for those who can do it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::record::Record;
use crate::schedule::Schedule;
use crate::store::{Key, Pause};

/// What is to be done. Its record is durable.
#[derive(Debug, Clone)]
pub enum Order {
    /// A run was promised to an instant, under its id: it is in the queue.
    Start(Launch),
    /// Cancel a run: a later one takes its place.
    Cancel {
        /// The run.
        run: String,
        /// Why.
        note: String,
    },
    /// Tell people: an instant has no run.
    NotStarted(Record),
    /// Tell people: a schedule was paused because it kept failing.
    Paused {
        /// The schedule.
        schedule: Arc<Schedule>,
        /// Why.
        pause: Pause,
    },
}

/// A run out of the queue.
#[derive(Debug, Clone)]
pub struct Promised {
    /// The run.
    pub launch: Launch,
    /// When it was promised.
    pub at: Timestamp,
}

/// A run to be started, or taken up again.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its schedule.
    pub schedule: Arc<Schedule>,
    /// The instant it is the run of.
    pub instant: Timestamp,
    /// Its id.
    pub run: String,
    /// Who wanted it, where a person did: it is started in that name.
    pub by: Option<Arc<str>>,
}

impl Launch {
    /// The run that was promised to a record; `None`: there is none.
    pub(super) fn of(schedule: &Arc<Schedule>, record: &Record) -> Option<Self> {
        let run = record.run()?.to_owned();
        let by = record.by.as_deref().map(Arc::from);
        Some(Self { schedule: Arc::clone(schedule), instant: record.instant, run, by })
    }

    /// The key of its record.
    #[must_use]
    pub fn key(&self) -> Key<'_> {
        (&self.schedule.name, self.instant)
    }
}
