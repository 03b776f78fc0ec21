//! The journal's tables in the file, and the format they say they have.

use rusqlite::{Connection, OptionalExtension};

use super::Database;
use crate::journal::{Format, StoreError};

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

/// When something last happened to a run that others want to know of, in the order of commits. It came later: without
/// it nobody is told of what changed.
const CHANGES: &str = "
CREATE TABLE IF NOT EXISTS run_changes (run TEXT PRIMARY KEY, version INTEGER NOT NULL UNIQUE) WITHOUT ROWID;
";

/// Pages of the write-ahead log after which it is moved into the file: one commit in a thousand waits for that.
const CHECKPOINT: u32 = 1000;

/// Makes what is missing.
///
/// # Errors
/// When the file cannot be used, or a newer aegis wrote it.
pub(super) fn prepare(database: &Database) -> Result<(), StoreError> {
    let found = {
        let connection = database.connection();
        made(&connection).and_then(|()| format(&connection)).map_err(|error| database.error(error))?
    };
    found
        .check_readable_by(Format::CURRENT)
        .map_err(|newer| StoreError::Newer(database.directory().to_owned(), newer))
}

fn made(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("PRAGMA cache_size=-8000; PRAGMA wal_autocheckpoint={CHECKPOINT};"))?;
    if !has(connection, "meta")? {
        // In one transaction: a process killed in between leaves an empty file, not half a schema.
        let format = Format::CURRENT.0;
        let first = format!("INSERT OR IGNORE INTO meta VALUES ('format', '{format}');");
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} {first} COMMIT;"))?;
    }
    if !has(connection, "run_changes")? {
        connection.execute_batch(CHANGES)?;
    }
    Ok(())
}

fn has(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) > 0 FROM sqlite_master WHERE name = ?1", [table], |row| row.get(0))
}

fn format(connection: &Connection) -> rusqlite::Result<Format> {
    let found: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE key = 'format'", [], |row| row.get(0))
        .optional()?;
    Ok(Format(found.and_then(|text| text.parse().ok()).unwrap_or(Format::CURRENT.0)))
}
