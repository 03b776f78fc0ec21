//! Records in the SQLite file of the state directory, beside the journals: tables of their own, every commit synced.
//!
//! - `tables`: what is kept; `records`: instants and schedules; `queue`: who executes what
//! - `checkpoints`: keeps the log short, beside whoever writes

mod checkpoints;
mod queue;
mod records;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aegis_engine::journal::StoreError;
use rusqlite::{Connection, ErrorCode, Row, Transaction, TransactionBehavior};

use checkpoints::Checkpoints;

use super::stored::{given, instant, outcome_of};
use crate::record::Record;

/// The journal's file: one thing to back up, and a claim and its record are never of different ages.
const FILE: &str = "journal.db";

const CHANGED: &str = "UPDATE schedule_changes SET version = version + 1";

const COLUMNS: &str = "schedule, instant, decided, outcome, run, verdict, why, note, given";

/// Records in one SQLite file.
pub struct SqliteRecords {
    directory: PathBuf,
    connection: Mutex<Connection>,
    checkpoints: Checkpoints,
}

impl SqliteRecords {
    /// Opens or makes the records of a state directory, whose journal store has been opened before: that one has
    /// looked at the version of the file.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let unusable = |error: rusqlite::Error| StoreError::Unusable(directory.to_owned(), error.to_string());
        let connection = Connection::open(directory.join(FILE)).map_err(unusable)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(unusable)?;
        connection.set_prepared_statement_cache_capacity(32);
        let checkpoints = Checkpoints::start(directory.join(FILE));
        let store = Self { directory: directory.to_owned(), connection: Mutex::new(connection), checkpoints };
        tables::prepare(&store.connection()).map_err(|error| store.error(error))?;
        Ok(store)
    }

    fn version(&self) -> Result<u64, StoreError> {
        let rows = self.rows("SELECT version FROM schedule_changes", [], |row| row.get(0))?;
        Ok(rows.first().copied().unwrap_or_default())
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full(self.directory.clone()),
            Some(ErrorCode::SystemIoFailure) => {
                StoreError::Unwritable(self.directory.clone(), error.to_string())
            }
            _ => StoreError::Unusable(self.directory.clone(), error.to_string()),
        }
    }

    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| self.error(error))?;
        let value = work(&transaction).map_err(|error| self.error(error))?;
        transaction.commit().map_err(|error| self.error(error))?;
        self.checkpoints.committed();
        Ok(value)
    }

    fn rows<T>(
        &self,
        sql: &str,
        given: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql).map_err(|error| self.error(error))?;
        let rows = statement.query_map(given, read).map_err(|error| self.error(error))?;
        rows.collect::<Result<_, _>>().map_err(|error| self.error(error))
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
        given: given(row.get(8)?),
        note: row.get(7)?,
    })
}
