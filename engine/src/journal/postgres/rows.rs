//! What tables hold, as the journal's own types.

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::journal::stored::StoredEntry;
use crate::journal::{Lease, Person, RunRecord, Status};

/// `seq, at, body, hash`.
pub(super) fn entry(row: &PgRow) -> Result<StoredEntry, sqlx::Error> {
    let (at, body, hash) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    Ok(StoredEntry { seq: position(row.try_get(0)?), at, body, hash })
}

pub(super) fn run_record(row: &PgRow) -> Result<RunRecord, sqlx::Error> {
    let status = Status::of(row.try_get(5)?);
    let claimed: bool = row.try_get(8)?;
    Ok(RunRecord {
        id: row.try_get(0)?,
        title: row.try_get(1)?,
        runbook: row.try_get(2)?,
        target: row.try_get(3)?,
        person: Person(row.try_get(4)?),
        status: if status == Status::Running && !claimed { Status::Interrupted } else { status },
        started: timestamp(row, 6)?,
        updated: timestamp(row, 7)?,
    })
}

fn timestamp(row: &PgRow, column: usize) -> Result<Timestamp, sqlx::Error> {
    row.try_get::<&str, _>(column)?.parse().map_err(|error: jiff::Error| sqlx::Error::Decode(error.into()))
}

pub(super) fn lease(row: &PgRow) -> Result<Lease, sqlx::Error> {
    let expires = Timestamp::from_microsecond(row.try_get(3)?).unwrap_or(Timestamp::MAX);
    Ok(Lease { name: row.try_get(0)?, run: row.try_get(1)?, token: row.try_get(2)?, expires })
}

/// Positions are never negative, and no run has 2^63 entries.
pub(super) fn position(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or_default()
}

pub(super) fn number(position: impl TryInto<i64>) -> i64 {
    position.try_into().unwrap_or(i64::MAX)
}
