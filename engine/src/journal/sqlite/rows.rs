//! What tables hold, as the journal's own types, and the list of runs, which follows from their entries.

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use crate::journal::stored::StoredEntry;
use crate::journal::{Body, Lease, Person, RunRecord, Status};

/// Keeps the list of runs in step with the entries, in the same transaction.
pub(super) fn record(transaction: &Connection, run: &str, at: &str, body: &Body) -> rusqlite::Result<()> {
    if let Body::Started(started) = body {
        transaction.execute(
            "INSERT INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
            params![
                run,
                started.title,
                started.runbook,
                started.target,
                started.person.0,
                Status::Running.word(),
                at
            ],
        )?;
    } else if let Some(status) = Status::after(body) {
        transaction
            .prepare_cached("UPDATE runs SET status = ?2, updated = ?3 WHERE id = ?1")?
            .execute(params![run, status.word(), at])?;
    }
    if Status::is_news(body) {
        transaction
            .prepare_cached(
                "INSERT INTO run_changes VALUES (?1, (SELECT coalesce(max(version), 0) + 1 FROM run_changes))
                 ON CONFLICT (run) DO UPDATE SET version = excluded.version",
            )?
            .execute(params![run])?;
    }
    Ok(())
}

/// A text, whatever somebody wrote in its place: one row that is damaged makes no other unreadable, and its hash, or the
/// run's first record, tells that it is.
pub(super) fn words(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
    })
}

pub(super) fn run_record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    Ok(RunRecord {
        id: words(row, 0)?,
        title: words(row, 1)?,
        runbook: words(row, 2)?,
        target: words(row, 3)?,
        person: Person(words(row, 4)?),
        status: Status::of(&words(row, 5)?),
        started: words(row, 6)?.parse().unwrap_or_default(),
        updated: words(row, 7)?.parse().unwrap_or_default(),
    })
}

pub(super) fn lease(row: &Row<'_>) -> rusqlite::Result<Lease> {
    Ok(Lease { name: row.get(0)?, run: row.get(1)?, token: row.get(2)?, expires: timestamp(row, 3)? })
}

fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: jiff::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// `seq, at, body, hash`.
pub(super) fn stored_entry(row: &Row<'_>) -> rusqlite::Result<StoredEntry> {
    Ok(StoredEntry { seq: row.get(0)?, at: words(row, 1)?, body: words(row, 2)?, hash: words(row, 3)? })
}
