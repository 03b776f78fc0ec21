//! Where records and standings live. One trait; SQLite stands behind it for one engine, PostgreSQL for several, and the
//! same tests hold for both.
//!
//! The rules a store keeps: `(schedule, instant)` is unique; what [`RecordStore::decided`] answered is durable; an
//! outcome changes only by [`RecordStore::settle`], which compares before it sets, so that two processes cannot both
//! believe that they start a run.

mod postgres;
mod sqlite;
mod stored;

use std::time::Duration;

use aegis_engine::journal::{Person, StoreError, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use postgres::PostgresRecords;
pub use sqlite::SqliteRecords;

use crate::record::{Outcome, Record};
use crate::schedule::Definition;

/// How far a schedule has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The schedule.
    pub schedule: String,
    /// What its instants followed from.
    pub definition: Definition,
    /// Every instant up to here has its record.
    pub decided: Timestamp,
    /// Why it is paused.
    pub pause: Option<Pause>,
    /// Runs that failed in a row.
    pub failures: u32,
}

/// Why a schedule starts nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who.
    pub person: Person,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// What a keeper has to know that others did.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// True when this is everything there is, and not only what changed.
    pub whole: bool,
    /// How far schedules have come.
    pub progress: Vec<Progress>,
    /// Records; those that are at their end are among them only when they changed.
    pub records: Vec<Record>,
    /// What to ask with the next time.
    pub cursor: u64,
}

/// What becomes of a run that an engine does not execute any more, and that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It waits for people, and for [`RecordStore::wake`].
    Parked,
    /// Any engine may take it after this long.
    After(Duration),
}

/// A person who starts a run by hand begins within this time, or an engine takes the run.
pub const BY_HAND: Duration = Duration::from_secs(10);

/// Chooses from what waits for an engine, given the schedules of what is under way; answers positions.
pub type Choose<'a> = &'a mut (dyn FnMut(&[Record], &[String]) -> Vec<usize> + Send);

/// Records and standings. Where a time is handed in, a store that several machines share goes by its own clock instead.
pub trait RecordStore: Send + Sync + 'static {
    /// What changed since the last time, or everything that is open.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn news(&self, since: Option<u64>) -> Result<News, StoreError>;

    /// Takes runs that were promised and that nobody executes, for one engine, which has them as long as it keeps
    /// them. All engines choose one after the other, so that what limits them all is kept.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn take(&self, engine: &str, now: Timestamp, choose: Choose<'_>) -> Result<Vec<Record>, StoreError>;

    /// Keeps what an engine has taken for another while.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn keep(&self, engine: &str, now: Timestamp, runs: &[&str]) -> Result<(), StoreError>;

    /// Gives back what an engine has taken, if it still has it.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn put_back(&self, engine: &str, run: &str, now: Timestamp, rest: Rest) -> Result<(), StoreError>;

    /// A parked run can go on.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn wake(&self, run: &str) -> Result<(), StoreError>;

    /// Promises the run of an instant to a person, in place of the record that said there is none; answers whether
    /// nobody else was quicker.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn promise(&self, record: &Record, before: Option<&Record>, now: Timestamp) -> Result<bool, StoreError>;

    /// How far every schedule has come that was ever seen.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn progress(&self) -> Result<Vec<Progress>, StoreError>;

    /// Takes schedules in, or gives known ones another definition; all instants up to the given one are past.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn define(&self, schedules: &[(&str, Definition, Timestamp)]) -> Result<(), StoreError>;

    /// Keeps new records, and how far each schedule has come by them. Answers for each record whether it is new: an
    /// instant that has one keeps it.
    ///
    /// # Errors
    /// When it could not be made durable; then nothing of it was stored.
    fn decided(&self, records: &[Record], until: &[(&str, Timestamp)]) -> Result<Vec<bool>, StoreError>;

    /// Changes the outcome of a record that still has the expected one; answers whether it had.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn settle(&self, record: &Record, now: &Outcome, note: &str) -> Result<bool, StoreError>;

    /// A run has ended; answers how many have failed in a row. `None`: somebody noted it already.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn ended(&self, schedule: &str, instant: Timestamp, verdict: Verdict) -> Result<Option<u32>, StoreError>;

    /// Lets keepers in other processes look at what this one did.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn changed(&self) -> Result<(), StoreError>;

    /// Pauses a schedule, or lets it go on.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn set_pause(&self, schedule: &str, pause: Option<&Pause>) -> Result<(), StoreError>;

    /// Every record that is not at its end: waiting, or started and not ended. Oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn open(&self) -> Result<Vec<Record>, StoreError>;

    /// Records of one schedule, or of all, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn history(&self, schedule: Option<&str>, most: usize) -> Result<Vec<Record>, StoreError>;

    /// The record of an instant.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn find(&self, schedule: &str, instant: Timestamp) -> Result<Option<Record>, StoreError>;
}
