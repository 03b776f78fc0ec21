//! Where records and standings live. Two traits; SQLite stands behind them for one engine, PostgreSQL for several, and
//! the same tests hold for both.
//!
//! - [`RecordStore`]: what became of each instant, and how far each schedule has come
//! - [`Queue`]: who executes the runs that were promised
//!
//! The rules a store keeps: `(schedule, instant)` is unique; what [`RecordStore::decided`] answered is durable; an
//! outcome changes only by [`RecordStore::settle`], which compares before it sets, so that two processes cannot both
//! believe that they start a run. Every call is one transaction: all of it is kept, or nothing.

mod postgres;
mod queue;
mod sqlite;
mod stored;

use aegis_engine::journal::{Person, StoreError, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use postgres::PostgresRecords;
pub use queue::{BY_HAND, Choose, Key, Queue, Rest, Waiting};
pub use sqlite::SqliteRecords;

use crate::record::{Outcome, Record};
use crate::schedule::Definition;

/// How far a schedule has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The schedule.
    pub schedule: &'a str,
    /// What its instants followed from.
    pub definition: Definition<'a>,
    /// Every instant up to here has its record.
    pub decided: Timestamp,
    /// Why it is paused.
    pub pause: Option<Pause>,
    /// Runs that failed in a row.
    pub failures: u32,
}

/// Hears of one schedule after the other: of 100,000 no list is made. One may be told of twice.
pub type Each<'a> = &'a mut (dyn FnMut(Progress<'_>) + Send);

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
    /// Records; those that are at their end are among them only when they changed.
    pub records: Vec<Record>,
    /// What to ask with the next time.
    pub cursor: u64,
}

/// A record that gets another outcome.
#[derive(Debug, Clone)]
pub struct Change {
    /// As it is known.
    pub record: Record,
    /// The outcome it gets.
    pub outcome: Outcome,
    /// The note it gets.
    pub note: String,
}

/// The end of a run.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// The schedule.
    pub schedule: &'a str,
    /// The instant it is the run of.
    pub instant: Timestamp,
    /// How it ended.
    pub verdict: Verdict,
}

/// How many runs a trigger may have started since a time, whichever engine started them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// This many.
    pub most: u32,
    /// Decided after this.
    pub since: Timestamp,
}

/// What became of the record of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is kept.
    Kept,
    /// Its instant has one already.
    Known,
    /// It is not kept: its trigger has started as many runs as it may.
    Full,
}

/// Records and standings. Where a time is handed in, a store that several machines share goes by its own clock instead.
pub trait RecordStore: Queue {
    /// What changed since the last time, or everything that is open: schedules one by one, records in the answer.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn news(&self, since: Option<u64>, each: Each<'_>) -> Result<News, StoreError>;

    /// How far schedules have come that were ever seen: the one of a name, or all.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn progress(&self, of: Option<&str>, each: Each<'_>) -> Result<(), StoreError>;

    /// Takes schedules in, or gives known ones another definition; all instants up to the given one are past.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn define(&self, schedules: &[(&str, Definition<'_>, Timestamp)]) -> Result<(), StoreError>;

    /// Keeps new records, and how far each schedule has come by them. Answers for each record whether it is new: an
    /// instant that has one keeps it.
    ///
    /// # Errors
    /// When it could not be made durable; then nothing of it was stored.
    fn decided(&self, records: &[Record], until: &[(&str, Timestamp)]) -> Result<Vec<bool>, StoreError>;

    /// Keeps the record of an event that starts a run, if its trigger may start another. Engines decide on the events
    /// of a trigger one after the other.
    ///
    /// # Errors
    /// When it could not be made durable; then it was not stored.
    fn admit(&self, record: &Record, limit: Limit) -> Result<Admission, StoreError>;

    /// Changes the outcomes of records that still have the expected ones; answers for each whether it had.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn settle(&self, changes: &[Change]) -> Result<Vec<bool>, StoreError>;

    /// Runs have ended; answers for each how many of its schedule have failed in a row. `None`: somebody noted it
    /// already.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn ended(&self, ended: &[Ended<'_>]) -> Result<Vec<Option<u32>>, StoreError>;

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

    /// Says more for people about the run of an instant.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn note(&self, run: Key<'_>, note: &str) -> Result<(), StoreError>;

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

impl dyn RecordStore {
    /// Whether a schedule was ever seen.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn knows(&self, schedule: &str) -> Result<bool, StoreError> {
        let mut known = false;
        self.progress(Some(schedule), &mut |_| known = true)?;
        Ok(known)
    }
}
