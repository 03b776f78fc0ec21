//! Records in the PostgreSQL database that several engines share, beside its journals.

use aegis_engine::journal::postgres::sqlx::postgres::PgRow;
use aegis_engine::journal::postgres::sqlx::{self, Connection as _, Row as _};
use aegis_engine::journal::postgres::tables::Tables;
use aegis_engine::journal::postgres::{Connection, Database, Failed, Patience};
use aegis_engine::journal::{StoreError, Verdict};
use jiff::Timestamp;

use super::stored::{Stored, given, given_of, instant, nanoseconds, outcome_of, word};
use super::{BY_HAND, Choose, News, Pause, Progress, RecordStore, Rest};
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
  verdict TEXT, why TEXT, note TEXT NOT NULL, given TEXT, holder TEXT, held_until TIMESTAMPTZ, parked BOOLEAN NOT NULL DEFAULT false,
  changed XID8 NOT NULL DEFAULT pg_current_xact_id(), PRIMARY KEY (schedule, instant));
CREATE INDEX records_by_change ON records (changed);
CREATE INDEX queued_records ON records (instant) WHERE outcome = 'started' AND verdict IS NULL AND NOT parked;
CREATE INDEX open_records ON records (instant)
  WHERE outcome = 'waiting' OR (outcome = 'started' AND verdict IS NULL);
CREATE INDEX records_by_instant ON records (instant);
"],
};

const OPEN: &str = "
SELECT schedule, instant, decided, outcome, run, verdict, why, note, given FROM records
WHERE outcome = 'waiting' OR (outcome = 'started' AND verdict IS NULL) ORDER BY instant";

/// Engines that take runs out of the queue take turns; any number that is always the same.
const TURN: i64 = 0x6165_6769_7301;

/// So many candidates are looked at in one turn.
const MOST_QUEUED: i64 = 5000;

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

    /// How long an engine has what it took, in seconds: as long as it has the claims of its runs.
    fn hold(&self) -> f64 {
        self.database.takeover_after().as_secs_f64()
    }

    fn ask<T: Send>(
        &self,
        work: impl AsyncFnMut(&mut Connection, bool) -> Result<T, Failed> + Send,
    ) -> Result<T, StoreError> {
        self.database.ask(&Patience::Short, work)
    }
}

impl RecordStore for PostgresRecords {
    fn news(&self, since: Option<u64>) -> Result<News, StoreError> {
        self.ask(async |connection, _| {
            // What is not committed yet has this number or a larger one.
            let cursor: i64 =
                sqlx::query_scalar("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
                    .fetch_one(&mut *connection)
                    .await?;
            let since = since.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
            let schedules = sqlx::query(
                "SELECT name, whens, zone, decided, pause, failures FROM schedules
                 WHERE changed >= coalesce($1, 0)::text::xid8",
            )
            .bind(since)
            .fetch_all(&mut *connection)
            .await?;
            let records = match since {
                Some(since) => sqlx::query(
                    "SELECT schedule, instant, decided, outcome, run, verdict, why, note, given FROM records
                         WHERE changed >= $1::text::xid8 ORDER BY instant",
                )
                .bind(since)
                .fetch_all(connection)
                .await?,
                None => sqlx::query(OPEN).fetch_all(connection).await?,
            };
            Ok(News {
                whole: since.is_none(),
                progress: schedules.iter().map(progress).collect::<Result<_, _>>()?,
                records: records.iter().map(record).collect::<Result<_, _>>()?,
                cursor: u64::try_from(cursor).unwrap_or_default(),
            })
        })
    }

    fn take(&self, engine: &str, _: Timestamp, choose: Choose<'_>) -> Result<Vec<Record>, StoreError> {
        let hold = self.hold();
        self.ask(async |connection, _| {
            let mut transaction = connection.begin().await?;
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(TURN).execute(&mut *transaction).await?;
            let rows = sqlx::query(
                "SELECT schedule, instant, decided, outcome, run, verdict, why, note, given FROM records
                 WHERE outcome = 'started' AND verdict IS NULL AND NOT parked
                   AND (holder IS NULL OR held_until <= clock_timestamp())
                   AND NOT EXISTS (SELECT FROM claims WHERE claims.run = records.run AND expires > clock_timestamp())
                 ORDER BY instant LIMIT $1 FOR UPDATE SKIP LOCKED",
            )
            .bind(MOST_QUEUED)
            .fetch_all(&mut *transaction)
            .await?;
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let waiting = rows.iter().map(record).collect::<Result<Vec<Record>, _>>()?;
            let under_way: Vec<String> = sqlx::query_scalar(
                "SELECT schedule FROM records
                 WHERE outcome = 'started' AND verdict IS NULL AND NOT parked
                   AND (held_until > clock_timestamp() OR
                     EXISTS (SELECT FROM claims WHERE claims.run = records.run AND expires > clock_timestamp()))",
            )
            .fetch_all(&mut *transaction)
            .await?;
            let chosen = choose(&waiting, &under_way);
            let taken: Vec<Record> =
                chosen.into_iter().filter_map(|index| waiting.get(index).cloned()).collect();
            sqlx::query(
                "UPDATE records SET holder = $3, held_until = clock_timestamp() + make_interval(secs => $4)
                 FROM unnest($1::text[], $2::bigint[]) AS taken (of, at)
                 WHERE schedule = taken.of AND instant = taken.at",
            )
            .bind(taken.iter().map(|record| record.schedule.as_str()).collect::<Vec<_>>())
            .bind(taken.iter().map(|record| nanoseconds(record.instant)).collect::<Vec<_>>())
            .bind(engine)
            .bind(hold)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(taken)
        })
    }

    fn keep(&self, engine: &str, _: Timestamp, runs: &[&str]) -> Result<(), StoreError> {
        let hold = self.hold();
        self.ask(async |connection, _| {
            sqlx::query(
                "UPDATE records SET held_until = clock_timestamp() + make_interval(secs => $3)
                 WHERE outcome = 'started' AND verdict IS NULL AND run = ANY($1) AND holder = $2",
            )
            .bind(runs)
            .bind(engine)
            .bind(hold)
            .execute(connection)
            .await?;
            Ok(())
        })
    }

    fn put_back(&self, engine: &str, run: &str, _: Timestamp, rest: Rest) -> Result<(), StoreError> {
        let (parked, length) = match rest {
            Rest::Parked => (true, 0.0),
            Rest::After(length) => (false, length.as_secs_f64()),
        };
        self.ask(async |connection, _| {
            sqlx::query(
                "UPDATE records SET holder = '', parked = $3,
                   held_until = clock_timestamp() + make_interval(secs => $4)
                 WHERE run = $1 AND holder = $2 AND outcome = 'started' AND verdict IS NULL",
            )
            .bind(run)
            .bind(engine)
            .bind(parked)
            .bind(length)
            .execute(connection)
            .await?;
            Ok(())
        })
    }

    fn wake(&self, run: &str) -> Result<(), StoreError> {
        self.ask(async |connection, _| {
            sqlx::query(
                "UPDATE records SET parked = false
                 WHERE run = $1 AND outcome = 'started' AND verdict IS NULL AND parked",
            )
            .bind(run)
            .execute(connection)
            .await?;
            Ok(())
        })
    }

    fn promise(&self, record: &Record, before: Option<&Record>, _: Timestamp) -> Result<bool, StoreError> {
        let former = before.map(|before| Stored::of(&before.outcome));
        let promised = Stored::of(&record.outcome);
        self.ask(async |connection, _| {
            let change = sqlx::query(
                "INSERT INTO records AS known (schedule, instant, decided, outcome, run, note, holder, held_until)
                 VALUES ($1, $2, $3, $4, $5, $6, '', clock_timestamp() + make_interval(secs => $7))
                 ON CONFLICT (schedule, instant) DO UPDATE SET outcome = excluded.outcome, run = excluded.run,
                   verdict = NULL, why = NULL, note = excluded.note, holder = '', held_until = excluded.held_until,
                   changed = pg_current_xact_id()
                 WHERE known.outcome = $8 AND known.run IS NOT DISTINCT FROM $9",
            )
            .bind(&record.schedule)
            .bind(nanoseconds(record.instant))
            .bind(nanoseconds(record.decided))
            .bind(promised.outcome)
            .bind(promised.run)
            .bind(&record.note)
            .bind(BY_HAND.as_secs_f64())
            .bind(former.as_ref().map(|former| former.outcome))
            .bind(former.as_ref().and_then(|former| former.run))
            .execute(connection)
            .await?;
            Ok(change.rows_affected() == 1)
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
                   decided = greatest(known.decided, excluded.decided), changed = pg_current_xact_id()",
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
                 UPDATE schedules SET decided = greatest(decided, until.at), changed = pg_current_xact_id()
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
                "UPDATE records SET outcome = $5, run = $6, verdict = $7, why = $8, note = $9,
                   changed = pg_current_xact_id()
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

    fn ended(&self, schedule: &str, at: Timestamp, verdict: Verdict) -> Result<Option<u32>, StoreError> {
        self.ask(async |connection, _| {
            // Whoever notes the end counts it, so that engines that both saw it count it once.
            let failures: Option<Option<i32>> = sqlx::query_scalar(
                "WITH ended AS (
                   UPDATE records SET verdict = $3, changed = pg_current_xact_id()
                   WHERE schedule = $1 AND instant = $2 AND verdict IS NULL RETURNING schedule),
                 counted AS (
                   UPDATE schedules SET changed = pg_current_xact_id(), failures = CASE $3
                     WHEN 'succeeded' THEN 0 WHEN 'failed' THEN failures + 1 ELSE failures END
                   WHERE name IN (SELECT schedule FROM ended) RETURNING name, failures)
                 SELECT counted.failures FROM ended LEFT JOIN counted ON counted.name = ended.schedule",
            )
            .bind(schedule)
            .bind(nanoseconds(at))
            .bind(word(verdict))
            .fetch_optional(connection)
            .await?;
            Ok(failures.map(|count| u32::try_from(count.unwrap_or_default()).unwrap_or_default()))
        })
    }

    fn changed(&self) -> Result<(), StoreError> {
        // Every row says itself when it changed.
        Ok(())
    }

    fn set_pause(&self, schedule: &str, pause: Option<&Pause>) -> Result<(), StoreError> {
        let text = pause.map(|pause| serde_json::to_string(pause).unwrap_or_default());
        self.ask(async |connection, _| {
            sqlx::query(
                "UPDATE schedules SET pause = $2, failures = 0, changed = pg_current_xact_id() WHERE name = $1",
            )
            .bind(schedule)
            .bind(&text)
            .execute(connection)
            .await?;
            Ok(())
        })
    }

    fn open(&self) -> Result<Vec<Record>, StoreError> {
        self.ask(async |connection, _| {
            let rows = sqlx::query(OPEN).fetch_all(connection).await?;
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
