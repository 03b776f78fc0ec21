//! Records in the PostgreSQL database that several engines share, beside its journals.
//!
//! - `tables`: what is kept; `records`: instants and schedules; `queue`: who executes what
//!
//! Whoever holds several rows takes schedules before records and each in the order of its key, so that no two engines
//! wait for each other in a circle.

mod queue;
mod records;
mod tables;

use aegis_engine::journal::StoreError;
use aegis_engine::journal::postgres::sqlx::postgres::PgRow;
use aegis_engine::journal::postgres::sqlx::{self, Row as _};
use aegis_engine::journal::postgres::{Connection, Database, Failed, Patience};

use super::stored::{given, instant, outcome_of};
use crate::record::Record;

/// A record's columns, in the order in which [`record`] reads them.
macro_rules! select_records {
    ($rest:literal) => {
        concat!(
            "SELECT schedule, instant, decided, outcome, run, verdict, why, note, given, person FROM records ",
            $rest
        )
    };
}
use select_records;

/// Records in a database that several engines share.
pub struct PostgresRecords {
    database: Database,
}

impl PostgresRecords {
    /// Opens the records of a database, and makes their tables where there are none.
    ///
    /// # Errors
    /// When it cannot be reached, refuses, or a newer aegis made the tables.
    pub fn open(database: &Database) -> Result<Self, StoreError> {
        database.prepare(tables::RECORDS)?;
        Ok(Self { database: database.clone() })
    }

    fn ask<T: Send>(
        &self,
        work: impl AsyncFnMut(&mut Connection, bool) -> Result<T, Failed> + Send,
    ) -> Result<T, StoreError> {
        self.database.ask(&Patience::Short, work)
    }
}

fn record(row: &PgRow) -> Result<Record, sqlx::Error> {
    let (outcome, run): (&str, Option<String>) = (row.try_get(3)?, row.try_get(4)?);
    Ok(Record {
        schedule: row.try_get(0)?,
        instant: instant(row.try_get(1)?),
        decided: instant(row.try_get(2)?),
        outcome: outcome_of(outcome, run, row.try_get(5)?, row.try_get(6)?),
        by: row.try_get(9)?,
        given: given(row.try_get(8)?),
        note: row.try_get(7)?,
    })
}
