//! One SQLite file as a store sees it: a connection, transactions, and what SQLite's errors mean. What is in it is the
//! business of whoever opens it: the journal has its tables there, and so has the scheduler.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, Row};

use crate::journal::StoreError;

/// Name of the file in the state directory: one thing to back up, and a claim and its record are never of different
/// ages.
const FILE: &str = "journal.db";

/// What SQLite calls a database that has no file.
const MEMORY: &str = ":memory:";

/// How long a question waits for the writer of another process.
const PATIENCE: Duration = Duration::from_secs(30);

/// Statements that are kept ready.
const STATEMENTS: usize = 32;

/// A connection to the file of a state directory, or to the memory of this process.
pub struct Database {
    directory: PathBuf,
    connection: Mutex<Connection>,
}

impl Database {
    /// Opens or makes the file of a state directory.
    ///
    /// # Errors
    /// When the directory cannot be used, or the disk is full.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::with(directory, Connection::open(directory.join(FILE)))
    }

    /// What lives as long as the process: nothing is written anywhere.
    ///
    /// # Errors
    /// When SQLite has no memory.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::with(Path::new(MEMORY), Connection::open_in_memory())
    }

    fn with(directory: &Path, opened: rusqlite::Result<Connection>) -> Result<Self, StoreError> {
        let ready = opened.and_then(|connection| prepare(&connection).map(|()| connection));
        let connection = ready.map_err(|error| told(directory, &error))?;
        Ok(Self { directory: directory.to_owned(), connection: Mutex::new(connection) })
    }

    /// The state directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file itself, for a connection beside this one.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// True when nothing of it is on a disk.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        self.directory.as_os_str() == MEMORY
    }

    /// The connection, for as long as it is held.
    pub fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an error of SQLite means for whoever needs this file.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
    pub fn error(&self, error: rusqlite::Error) -> StoreError {
        told(&self.directory, &error)
    }

    /// Does some work in a transaction of its own: all of it is durable when this returns, or nothing of it.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn write<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let connection = self.connection();
        let written = Transaction::begin(&connection).and_then(|transaction| {
            let value = work(&connection)?;
            transaction.commit()?;
            Ok(value)
        });
        written.map_err(|error| self.error(error))
    }

    /// Every row that a question finds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn select<T>(
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
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn find<T>(
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

/// Every commit is synced, so that what is acknowledged survives a power cut and not only a kill.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A plan never depends on what is given to it. Without this, SQLite plans a kept question anew whenever it is asked
    // for another run, which was a tenth of a durable call.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
}

fn told(directory: &Path, error: &rusqlite::Error) -> StoreError {
    let directory = directory.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(directory),
        // Of some files SQLite does not say that there was no room for them.
        Some(ErrorCode::SystemIoFailure) if is_full(&directory) => StoreError::Full(directory),
        Some(ErrorCode::SystemIoFailure) => StoreError::Unwritable(directory, error.to_string()),
        // SQLite only says that it cannot; the system says why.
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            match File::options().append(true).create(true).open(directory.join(FILE)) {
                Err(why) => StoreError::of_file(&directory, &why),
                Ok(_) if is_full(&directory) => StoreError::Full(directory),
                Ok(_) => StoreError::Unusable(directory, error.to_string()),
            }
        }
        _ => StoreError::Unusable(directory, error.to_string()),
    }
}

/// Whether a disk has no room for the least that SQLite needs beside its file: the 32 KiB that its processes share.
fn is_full(directory: &Path) -> bool {
    let path = directory.join(format!("room.{}", std::process::id()));
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&[0; 32 << 10])?;
        file.sync_all()
    });
    let _ = std::fs::remove_file(&path);
    written.is_err_and(|error| error.kind() == ErrorKind::StorageFull)
}

/// A transaction under way, which is rolled back unless it is committed. rusqlite's own reads the words `BEGIN` and
/// `COMMIT` anew each time, which a durable call notices.
struct Transaction<'a>(&'a Connection);

impl<'a> Transaction<'a> {
    fn begin(connection: &'a Connection) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Self(connection))
    }

    fn commit(self) -> rusqlite::Result<()> {
        self.0.prepare_cached("COMMIT")?.execute([]).map(drop)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // What fails here fails at the next `BEGIN` as well, which tells of it.
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}
