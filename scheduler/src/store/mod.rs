//! Where records and standings live. One trait; SQLite stands behind it for one engine, PostgreSQL for several, and the
//! same tests hold for both.
//!
//! The rules a store keeps: `(schedule, instant)` is unique; what [`RecordStore::decided`] answered is durable; an
//! outcome changes only by [`RecordStore::settle`], which compares before it sets, so that two processes cannot both
//! believe that they start a run.

mod postgres;
mod sqlite;
mod stored;

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

/// Records and standings.
pub trait RecordStore: Send + Sync + 'static {
    /// Grows when somebody else changed something a keeper has to know: a pause, a run that was started by hand.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn version(&self) -> Result<u64, StoreError>;

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

    /// A run has ended; answers how many have failed in a row.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn ended(&self, schedule: &str, instant: Timestamp, verdict: Verdict) -> Result<u32, StoreError>;

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

    /// Records that are not at their end: waiting, or started and not ended. Oldest first.
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
