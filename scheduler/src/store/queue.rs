//! The queue: runs that were promised and have not ended. Whoever has room takes some, keeps them while it executes
//! them, and gives them back. [`crate::queue`] says whose turn it is; a store chooses and marks in one transaction.

use std::collections::HashSet;
use std::time::Duration;

use aegis_engine::journal::StoreError;
use jiff::Timestamp;

use crate::record::Record;
use crate::store::stored::nanoseconds;

/// What becomes of a run that an engine does not execute any more, and that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It waits for people, and for [`Queue::wake`].
    Parked,
    /// Any engine may take it after this long.
    After(Duration),
}

/// A person who starts a run by hand begins within this time, or an engine takes the run.
pub const BY_HAND: Duration = Duration::from_secs(10);

/// So many candidates are looked at in one turn, of those that had begun and of the others.
pub(super) const MOST_QUEUED: i64 = 5000;

/// A run that waits for an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its record.
    pub record: Record,
    /// Somebody has had it before, and is gone or has given it back: it may be half done.
    pub begun: bool,
}

impl Waiting {
    /// What had begun, and what nobody has had yet.
    pub(super) fn all(begun: Vec<Record>, fresh: Vec<Record>) -> Vec<Self> {
        let begun = begun.into_iter().map(|record| Self { record, begun: true });
        begun.chain(fresh.into_iter().map(|record| Self { record, begun: false })).collect()
    }
}

/// Schedules of the runs that are under way: what has begun, without what waits to be taken over.
pub(super) fn under_way(begun: Vec<(String, i64)>, waiting: &[Waiting]) -> Vec<String> {
    let key = |waits: &Waiting| (waits.record.schedule.clone(), nanoseconds(waits.record.instant));
    let waiting: HashSet<(String, i64)> = waiting.iter().filter(|waits| waits.begun).map(key).collect();
    begun.into_iter().filter(|run| !waiting.contains(run)).map(|(schedule, _)| schedule).collect()
}

/// Chooses from what waits for an engine, given the schedules of what is under way; answers positions.
pub type Choose<'a> = &'a mut (dyn FnMut(&[Waiting], &[String]) -> Vec<usize> + Send);

/// The schedule and the instant that a run was promised to: the key of its record.
pub type Key<'a> = (&'a str, Timestamp);

/// Who executes what. What concerns several runs is one transaction: a thousand of them wait for the disk once.
pub trait Queue: Send + Sync + 'static {
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
    fn keep(&self, engine: &str, now: Timestamp, runs: &[Key<'_>]) -> Result<(), StoreError>;

    /// Gives back what an engine has taken, as far as it still has it.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn put_back(&self, engine: &str, now: Timestamp, runs: &[(Key<'_>, Rest)]) -> Result<(), StoreError>;

    /// Parked runs can go on.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn wake(&self, runs: &[Key<'_>]) -> Result<(), StoreError>;

    /// Promises the run of an instant to a person, in place of the record that said there is none; answers whether
    /// nobody else was quicker.
    ///
    /// # Errors
    /// When it could not be made durable.
    fn promise(&self, record: &Record, before: Option<&Record>, now: Timestamp) -> Result<bool, StoreError>;
}
