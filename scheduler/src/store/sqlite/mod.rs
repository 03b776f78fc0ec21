//! Records in the SQLite file of the state directory, beside the journals: tables of their own, every commit synced.
//!
//! - `tables`: what is kept; `records`: instants and schedules; `queue`: who executes what
//! - `checkpoints`: keeps the log short, beside whoever writes

mod checkpoints;
mod queue;
mod records;
mod tables;

use std::path::Path;

use aegis_engine::journal::StoreError;
use aegis_engine::journal::sqlite::Database;
use rusqlite::{Connection, Row};

use checkpoints::Checkpoints;

use super::stored::{given, instant, outcome_of};
use crate::record::Record;

const CHANGED: &str = "UPDATE schedule_changes SET version = version + 1";

const COLUMNS: &str = "schedule, instant, decided, outcome, run, verdict, why, note, given, person";

/// Records in one SQLite file.
pub struct SqliteRecords {
    database: Database,
    checkpoints: Checkpoints,
}

impl SqliteRecords {
    /// Opens or makes the records of a state directory, whose journal store has been opened before: that one has
    /// looked at the version of the file.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let database = Database::open(directory)?;
        tables::prepare(&database.connection()).map_err(|error| database.error(error))?;
        let checkpoints = Checkpoints::start(database.file());
        Ok(Self { database, checkpoints })
    }

    fn version(&self) -> Result<u64, StoreError> {
        let found = self.database.find("SELECT version FROM schedule_changes", [], |row| row.get(0))?;
        Ok(found.unwrap_or_default())
    }

    fn write<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let value = self.database.write(work)?;
        self.checkpoints.committed();
        Ok(value)
    }
}

/// A row of [`COLUMNS`].
fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let (outcome, run): (String, Option<String>) = (row.get(3)?, row.get(4)?);
    let (verdict, why): (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
    Ok(Record {
        schedule: row.get(0)?,
        instant: instant(row.get(1)?),
        decided: instant(row.get(2)?),
        outcome: outcome_of(&outcome, run, verdict.as_deref(), why.as_deref()),
        by: row.get(9)?,
        given: given(row.get(8)?),
        note: row.get(7)?,
    })
}
