//! The file: opened, brought to its format, written in transactions.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, Row, Transaction, TransactionBehavior};

use crate::journal::{Format, StoreError};

/// Name of the file in the state directory.
const FILE: &str = "journal.db";

/// What SQLite calls a database that has no file.
const MEMORY: &str = ":memory:";

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
  id TEXT PRIMARY KEY, title TEXT NOT NULL, runbook TEXT NOT NULL, target TEXT NOT NULL, person TEXT NOT NULL,
  status TEXT NOT NULL, started TEXT NOT NULL, updated TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
  run TEXT NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL,
  PRIMARY KEY (run, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS texts (hash TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
  name TEXT PRIMARY KEY, run TEXT NOT NULL, token INTEGER NOT NULL, expires TEXT NOT NULL) WITHOUT ROWID;
";

/// When something last happened to a run that others want to know of, in the order of commits.
const CHANGES: &str = "
CREATE TABLE IF NOT EXISTS run_changes (run TEXT PRIMARY KEY, version INTEGER NOT NULL UNIQUE) WITHOUT ROWID;
";

/// Pages of the write-ahead log after which it is moved into the file: one commit in a thousand waits for that.
const CHECKPOINT: u32 = 1000;

/// One SQLite file, or the memory of this process.
pub(super) struct Database {
    pub(super) directory: PathBuf,
    connection: Mutex<Connection>,
}

impl Database {
    /// Opens or makes the store of a state directory.
    ///
    /// # Errors
    /// When the directory cannot be used, the disk is full, or a newer aegis wrote it.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        let unusable =
            |error: &dyn std::fmt::Display| StoreError::Unusable(directory.to_owned(), error.to_string());
        std::fs::create_dir_all(directory.join("claims")).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => StoreError::Full(directory.to_owned()),
            _ => unusable(&error),
        })?;
        let connection = Connection::open(directory.join(FILE)).map_err(|error| unusable(&error))?;
        let store = Self { directory: directory.to_owned(), connection: Mutex::new(connection) };
        store.prepare()?;
        Ok(store)
    }

    /// A store that lives as long as the process, for plans and replays: nothing is written anywhere.
    ///
    /// # Errors
    /// When SQLite has no memory.
    pub(super) fn in_memory() -> Result<Self, StoreError> {
        let directory = PathBuf::from(MEMORY);
        let connection = Connection::open_in_memory()
            .map_err(|error| StoreError::Unusable(directory.clone(), error.to_string()))?;
        let store = Self { directory, connection: Mutex::new(connection) };
        store.prepare()?;
        Ok(store)
    }

    /// True when nothing of it is on a disk.
    pub(super) fn is_memory(&self) -> bool {
        self.directory.as_os_str() == MEMORY
    }

    fn prepare(&self) -> Result<(), StoreError> {
        let connection = self.connection();
        connection.busy_timeout(Duration::from_secs(10)).map_err(|error| self.error(error))?;
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000;
                 PRAGMA wal_autocheckpoint={CHECKPOINT};"
            ))
            .map_err(|error| self.error(error))?;
        connection.set_prepared_statement_cache_capacity(32);
        self.check_format(&connection)
    }

    fn check_format(&self, connection: &Connection) -> Result<(), StoreError> {
        let known = connection
            .query_row("SELECT count(*) FROM sqlite_master WHERE name = 'meta'", [], |row| {
                row.get::<_, i64>(0)
            })
            .map_err(|error| self.error(error))?;
        if known == 0 {
            // In one transaction: a process killed in between leaves an empty file, not half a schema.
            let format = Format::CURRENT.0;
            let first = format!("INSERT OR IGNORE INTO meta VALUES ('format', '{format}');");
            connection
                .execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} {first} COMMIT;"))
                .map_err(|error| self.error(error))?;
        }
        self.check_changes(connection)?;
        let found: Option<String> = connection
            .query_row("SELECT value FROM meta WHERE key = 'format'", [], |row| row.get(0))
            .optional()
            .map_err(|error| self.error(error))?;
        let found = Format(found.and_then(|text| text.parse().ok()).unwrap_or(Format::CURRENT.0));
        found
            .check_readable_by(Format::CURRENT)
            .map_err(|newer| StoreError::Newer(self.directory.clone(), newer))
    }

    /// A table that came later: without it nobody is told of what changed.
    fn check_changes(&self, connection: &Connection) -> Result<(), StoreError> {
        let known = connection
            .query_row("SELECT count(*) FROM sqlite_master WHERE name = 'run_changes'", [], |row| {
                row.get::<_, i64>(0)
            })
            .map_err(|error| self.error(error))?;
        if known == 0 {
            connection.execute_batch(CHANGES).map_err(|error| self.error(error))?;
        }
        Ok(())
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn error(&self, error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full(self.directory.clone()),
            Some(ErrorCode::SystemIoFailure) => {
                StoreError::Unwritable(self.directory.clone(), error.to_string())
            }
            _ => StoreError::Unusable(self.directory.clone(), error.to_string()),
        }
    }

    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| self.error(error))?;
        let value = work(&transaction).map_err(|error| self.error(error))?;
        transaction.commit().map_err(|error| self.error(error))?;
        Ok(value)
    }

    /// Every row that a question finds.
    pub(super) fn select<T>(
        &self,
        sql: &str,
        given: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql).map_err(|error| self.error(error))?;
        let rows = statement.query_map(given, read).map_err(|error| self.error(error))?;
        rows.collect::<Result<_, _>>().map_err(|error| self.error(error))
    }

    /// The one row that a question finds, if it finds one.
    pub(super) fn find<T>(
        &self,
        sql: &str,
        given: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        self.connection()
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(given, read).optional())
            .map_err(|error| self.error(error))
    }
}
