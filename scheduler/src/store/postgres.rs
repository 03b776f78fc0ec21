//! Records in the PostgreSQL database that several engines share, beside its journals.

use aegis_engine::journal::postgres::sqlx::postgres::PgRow;
use aegis_engine::journal::postgres::sqlx::{self, Connection as _, Row as _};
use aegis_engine::journal::postgres::tables::Tables;
use aegis_engine::journal::postgres::{Connection, Database, Failed, Patience};
use aegis_engine::journal::{StoreError, Verdict};
use jiff::Timestamp;

use super::stored::{Stored, given, given_of, instant, nanoseconds, outcome_of, word};
use super::{Pause, Progress, RecordStore};
use crate::record::{Outcome, Record};
use crate::schedule::Definition;

/// Instants are nanoseconds since 1970.
const RECORDS: Tables = Tables {
    name: "schedules",
    steps: &["
CREATE TABLE schedules (
  name TEXT PRIMARY KEY, whens TEXT NOT NULL, zone TEXT NOT NULL, decided BIGINT NOT NULL, pause TEXT,
  failures INT NOT NULL DEFAULT 0, changed XID8 NOT NULL DEFAULT pg_current_xact_id());
CREATE INDEX schedules_by_change ON schedules (changed);
CREATE TABLE records (
  schedule TEXT NOT NULL, instant BIGINT NOT NULL, decided BIGINT NOT NULL, outcome TEXT NOT NULL, run TEXT,
  verdict TEXT, why TEXT, note TEXT NOT NULL, holder TEXT, held_until TIMESTAMPTZ, parked BOOLEAN NOT NULL DEFAULT false,
  changed XID8 NOT NULL DEFAULT pg_current_xact_id(), PRIMARY KEY (schedule, instant));
CREATE INDEX records_by_change ON records (changed);
CREATE INDEX queued_records ON records (instant) WHERE outcome = 'started' AND verdict IS NULL AND NOT parked;
CREATE INDEX open_records ON records (instant)
  WHERE outcome = 'waiting' OR (outcome = 'started' AND verdict IS NULL);
CREATE INDEX records_by_instant ON records (instant);
CREATE TABLE schedule_changes (version BIGINT NOT NULL);
INSERT INTO schedule_changes VALUES (0);
", "ALTER TABLE records ADD COLUMN given TEXT;"],
};

const CHANGED: &str = "UPDATE schedule_changes SET version = version + 1";

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
        database.prepare(RECORDS)?;
        Ok(Self { database: database.clone() })
    }

    fn ask<T: Send>(
        &self,
        work: impl AsyncFnMut(&mut Connection, bool) -> Result<T, Failed> + Send,
    ) -> Result<T, StoreError> {
        self.database.ask(&Patience::Short, work)
    }
}

impl RecordStore for PostgresRecords {
    fn version(&self) -> Result<u64, StoreError> {
        self.ask(async |connection, _| {
            let version: i64 =
                sqlx::query_scalar("SELECT version FROM schedule_changes").fetch_one(connection).await?;
            Ok(u64::try_from(version).unwrap_or_default())
        })
    }

    fn progress(&self) -> Result<Vec<Progress>, StoreError> {
        self.ask(async |connection, _| {
            let rows = sqlx::query("SELECT name, whens, zone, decided, pause, failures FROM schedules")
                .fetch_all(connection)
                .await?;
            Ok(rows.iter().map(progress).collect::<Result<_, _>>()?)
        })
    }

    fn define(&self, schedules: &[(&str, Definition, Timestamp)]) -> Result<(), StoreError> {
        let mut schedules: Vec<_> = schedules.iter().collect();
        // In one order for everybody: no two engines wait for each other in a circle.
        schedules.sort_by_key(|(name, ..)| *name);
        self.ask(async |connection, _| {
            sqlx::query(
                "INSERT INTO schedules AS known (name, whens, zone, decided)
                 SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
                 ON CONFLICT (name) DO UPDATE SET whens = excluded.whens, zone = excluded.zone,
                   decided = greatest(known.decided, excluded.decided)",
            )
            .bind(schedules.iter().map(|(name, ..)| *name).collect::<Vec<_>>())
            .bind(schedules.iter().map(|(_, definition, _)| definition.when.as_str()).collect::<Vec<_>>())
            .bind(schedules.iter().map(|(_, definition, _)| definition.zone.as_str()).collect::<Vec<_>>())
            .bind(schedules.iter().map(|(.., at)| nanoseconds(*at)).collect::<Vec<_>>())
            .execute(connection)
            .await?;
            Ok(())
        })
    }

    fn decided(&self, records: &[Record], until: &[(&str, Timestamp)]) -> Result<Vec<bool>, StoreError> {
        let stored: Vec<Stored<'_>> = records.iter().map(|record| Stored::of(&record.outcome)).collect();
        let mut until = until.to_vec();
        until.sort_unstable();
        self.ask(async |connection, _| {
            let mut transaction = connection.begin().await?;
            // Schedules first and in one order, so that engines that decide on the same ones take turns.
            sqlx::query(
                "WITH locked AS (SELECT name FROM schedules WHERE name = ANY($1) ORDER BY name FOR UPDATE)
                 UPDATE schedules SET decided = greatest(decided, until.at)
                 FROM unnest($1::text[], $2::bigint[]) AS until (of, at), locked
                 WHERE schedules.name = until.of AND locked.name = schedules.name",
            )
            .bind(until.iter().map(|(name, _)| *name).collect::<Vec<_>>())
            .bind(until.iter().map(|(_, at)| nanoseconds(*at)).collect::<Vec<_>>())
            .execute(&mut *transaction)
            .await?;
            let rows: Vec<(String, i64)> = sqlx::query_as(
                "INSERT INTO records (schedule, instant, decided, outcome, run, verdict, why, note, given)
                 SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[],
                   $7::text[], $8::text[], $9::text[])
                 ON CONFLICT DO NOTHING RETURNING schedule, instant",
            )
            .bind(records.iter().map(|record| record.schedule.as_str()).collect::<Vec<_>>())
            .bind(records.iter().map(|record| nanoseconds(record.instant)).collect::<Vec<_>>())
            .bind(records.iter().map(|record| nanoseconds(record.decided)).collect::<Vec<_>>())
            .bind(stored.iter().map(|stored| stored.outcome).collect::<Vec<_>>())
            .bind(stored.iter().map(|stored| stored.run).collect::<Vec<_>>())
            .bind(stored.iter().map(|stored| stored.verdict).collect::<Vec<_>>())
            .bind(stored.iter().map(|stored| stored.why).collect::<Vec<_>>())
            .bind(records.iter().map(|record| record.note.as_str()).collect::<Vec<_>>())
            .bind(records.iter().map(given_of).collect::<Vec<_>>())
            .fetch_all(&mut *transaction)
            .await?;
            transaction.commit().await?;
            let new: std::collections::HashSet<(String, i64)> = rows.into_iter().collect();
            let is_new = |record: &Record| new.contains(&(record.schedule.clone(), nanoseconds(record.instant)));
            Ok(records.iter().map(is_new).collect())
        })
    }

    fn settle(&self, record: &Record, now: &Outcome, note: &str) -> Result<bool, StoreError> {
        let (before, after) = (Stored::of(&record.outcome), Stored::of(now));
        self.ask(async |connection, _| {
            let changed = sqlx::query(
                "UPDATE records SET outcome = $5, run = $6, verdict = $7, why = $8, note = $9
                 WHERE schedule = $1 AND instant = $2 AND outcome = $3 AND run IS NOT DISTINCT FROM $4",
            )
            .bind(&record.schedule)
            .bind(nanoseconds(record.instant))
            .bind(before.outcome)
            .bind(before.run)
            .bind(after.outcome)
            .bind(after.run)
            .bind(after.verdict)
            .bind(after.why)
            .bind(note)
            .execute(connection)
            .await?;
            Ok(changed.rows_affected() == 1)
        })
    }

    fn ended(&self, schedule: &str, at: Timestamp, verdict: Verdict) -> Result<u32, StoreError> {
        self.ask(async |connection, _| {
            // Whoever notes the end counts it, so that engines that both saw it count it once.
            let failures: Option<i32> = sqlx::query_scalar(
                "WITH ended AS (
                   UPDATE records SET verdict = $3 WHERE schedule = $1 AND instant = $2 AND verdict IS NULL
                   RETURNING 1)
                 UPDATE schedules SET failures = CASE $3 WHEN 'succeeded' THEN 0 WHEN 'failed' THEN failures + 1
                   ELSE failures END
                 WHERE name = $1 AND EXISTS (SELECT FROM ended) RETURNING failures",
            )
            .bind(schedule)
            .bind(nanoseconds(at))
            .bind(word(verdict))
            .fetch_optional(connection)
            .await?;
            Ok(failures.and_then(|count| u32::try_from(count).ok()).unwrap_or_default())
        })
    }

    fn changed(&self) -> Result<(), StoreError> {
        self.ask(async |connection, _| {
            sqlx::query(CHANGED).execute(connection).await?;
            Ok(())
        })
    }

    fn set_pause(&self, schedule: &str, pause: Option<&Pause>) -> Result<(), StoreError> {
        let text = pause.map(|pause| serde_json::to_string(pause).unwrap_or_default());
        self.ask(async |connection, _| {
            let mut transaction = connection.begin().await?;
            sqlx::query("UPDATE schedules SET pause = $2, failures = 0 WHERE name = $1")
                .bind(schedule)
                .bind(&text)
                .execute(&mut *transaction)
                .await?;
            sqlx::query(CHANGED).execute(&mut *transaction).await?;
            Ok(transaction.commit().await?)
        })
    }

    fn open(&self) -> Result<Vec<Record>, StoreError> {
        self.ask(async |connection, _| {
            let rows = sqlx::query(
                "SELECT schedule, instant, decided, outcome, run, verdict, why, note, given FROM records
                 WHERE outcome = 'waiting' OR (outcome = 'started' AND verdict IS NULL) ORDER BY instant",
            )
            .fetch_all(connection)
            .await?;
            Ok(rows.iter().map(record).collect::<Result<_, _>>()?)
        })
    }

    fn history(&self, schedule: Option<&str>, most: usize) -> Result<Vec<Record>, StoreError> {
        self.ask(async |connection, _| {
            let rows = sqlx::query(
                "SELECT schedule, instant, decided, outcome, run, verdict, why, note, given FROM records
                 WHERE $1::text IS NULL OR schedule = $1 ORDER BY instant DESC, schedule COLLATE \"C\" LIMIT $2",
            )
            .bind(schedule)
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await?;
            Ok(rows.iter().map(record).collect::<Result<_, _>>()?)
        })
    }

    fn find(&self, schedule: &str, at: Timestamp) -> Result<Option<Record>, StoreError> {
        self.ask(async |connection, _| {
            let row = sqlx::query(
                "SELECT schedule, instant, decided, outcome, run, verdict, why, note, given FROM records
                 WHERE schedule = $1 AND instant = $2",
            )
            .bind(schedule)
            .bind(nanoseconds(at))
            .fetch_optional(connection)
            .await?;
            Ok(row.as_ref().map(record).transpose()?)
        })
    }
}

fn progress(row: &PgRow) -> Result<Progress, sqlx::Error> {
    let (decided, pause): (i64, Option<&str>) = (row.try_get(3)?, row.try_get(4)?);
    Ok(Progress {
        schedule: row.try_get(0)?,
        definition: Definition { when: row.try_get(1)?, zone: row.try_get(2)? },
        decided: instant(decided),
        pause: pause.and_then(|text| serde_json::from_str(text).ok()),
        failures: u32::try_from(row.try_get::<i32, _>(5)?).unwrap_or_default(),
    })
}

fn record(row: &PgRow) -> Result<Record, sqlx::Error> {
    let (outcome, run): (&str, Option<String>) = (row.try_get(3)?, row.try_get(4)?);
    Ok(Record {
        schedule: row.try_get(0)?,
        instant: instant(row.try_get(1)?),
        decided: instant(row.try_get(2)?),
        outcome: outcome_of(outcome, run, row.try_get(5)?, row.try_get(6)?),
        given: given(row.try_get(8)?),
        note: row.try_get(7)?,
    })
}
