//! Instants and what became of them, and how far schedules have come.

use std::collections::{BTreeMap, HashSet};

use aegis_engine::journal::postgres::sqlx::postgres::PgRow;
use aegis_engine::journal::postgres::sqlx::{self, Connection as _, Row as _};
use aegis_engine::journal::postgres::{Connection, Failed};
use aegis_engine::journal::{StoreError, Verdict};
use futures::{Stream, TryStreamExt};
use jiff::Timestamp;

use super::{PostgresRecords, record, select_records};
use crate::record::Record;
use crate::schedule::Definition;
use crate::store::stored::{Stored, given_of, instant, nanoseconds, word};
use crate::store::{Admission, Change, Each, Ended, Key, Limit, News, Pause, Progress, RecordStore};

const OPEN: &str = select_records!(
    "WHERE outcome = 'waiting' OR (outcome = 'started' AND verdict IS NULL) ORDER BY instant"
);

impl RecordStore for PostgresRecords {
    fn news(&self, since: Option<u64>, each: Each<'_>) -> Result<News, StoreError> {
        self.ask(async |connection, _| {
            // What is not committed yet has this number or a larger one.
            let cursor: i64 =
                sqlx::query_scalar("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
                    .fetch_one(&mut *connection)
                    .await?;
            let since = since.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
            let changed = "SELECT name, whens, zone, decided, pause, failures FROM schedules
                           WHERE changed >= $1::text::xid8";
            let rows = sqlx::query(changed).bind(since.unwrap_or_default()).fetch(&mut *connection);
            hand_out(rows, each).await?;
            let records = match since {
                Some(since) => {
                    sqlx::query(select_records!("WHERE changed >= $1::text::xid8 ORDER BY instant"))
                        .bind(since)
                        .fetch_all(connection)
                        .await?
                }
                None => sqlx::query(OPEN).fetch_all(connection).await?,
            };
            Ok(News {
                whole: since.is_none(),
                records: records.iter().map(record).collect::<Result<_, _>>()?,
                cursor: u64::try_from(cursor).unwrap_or_default(),
            })
        })
    }

    fn progress(&self, of: Option<&str>, each: Each<'_>) -> Result<(), StoreError> {
        const SCHEDULES: &str = "SELECT name, whens, zone, decided, pause, failures FROM schedules";
        const ONE: &str = "SELECT name, whens, zone, decided, pause, failures FROM schedules WHERE name = $1";
        self.ask(async |connection, _| match of {
            Some(name) => hand_out(sqlx::query(ONE).bind(name).fetch(connection), each).await,
            None => hand_out(sqlx::query(SCHEDULES).fetch(connection), each).await,
        })
    }

    fn define(&self, schedules: &[(&str, Definition<'_>, Timestamp)]) -> Result<(), StoreError> {
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
            .bind(schedules.iter().map(|(_, definition, _)| definition.when).collect::<Vec<_>>())
            .bind(schedules.iter().map(|(_, definition, _)| definition.zone).collect::<Vec<_>>())
            .bind(schedules.iter().map(|(.., at)| nanoseconds(*at)).collect::<Vec<_>>())
            .execute(connection)
            .await?;
            Ok(())
        })
    }

    fn decided(&self, records: &[Record], until: &[(&str, Timestamp)]) -> Result<Vec<bool>, StoreError> {
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
            let new = inserted(&mut transaction, records).await?;
            transaction.commit().await?;
            let is_new =
                |record: &Record| new.contains(&(record.schedule.clone(), nanoseconds(record.instant)));
            Ok(records.iter().map(is_new).collect())
        })
    }

    fn admit(&self, record: &Record, limit: Limit) -> Result<Admission, StoreError> {
        self.ask(async |connection, _| {
            let mut transaction = connection.begin().await?;
            // Whoever has the trigger's row decides; the others wait.
            sqlx::query("SELECT FROM schedules WHERE name = $1 FOR UPDATE")
                .bind(&record.schedule)
                .execute(&mut *transaction)
                .await?;
            let started: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM records
                 WHERE schedule = $1 AND outcome IN ('started', 'waiting') AND decided > $2",
            )
            .bind(&record.schedule)
            .bind(nanoseconds(limit.since))
            .fetch_one(&mut *transaction)
            .await?;
            if started >= i64::from(limit.most) {
                return Ok(Admission::Full);
            }
            let new = inserted(&mut transaction, std::slice::from_ref(record)).await?;
            transaction.commit().await?;
            Ok(if new.is_empty() { Admission::Known } else { Admission::Kept })
        })
    }

    fn settle(&self, changes: &[Change]) -> Result<Vec<bool>, StoreError> {
        self.ask(async |connection, _| {
            let mut transaction = connection.begin().await?;
            let mut settled = Vec::with_capacity(changes.len());
            for change in changes {
                settled.push(settle(&mut transaction, change).await?);
            }
            transaction.commit().await?;
            Ok(settled)
        })
    }

    fn ended(&self, ended: &[Ended<'_>]) -> Result<Vec<Option<u32>>, StoreError> {
        let names: Vec<&str> = ended.iter().map(|ended| ended.schedule).collect();
        self.ask(async |connection, _| {
            let mut transaction = connection.begin().await?;
            let rows: Vec<(String, i32)> = sqlx::query_as(
                "SELECT name, failures FROM schedules WHERE name = ANY($1) ORDER BY name FOR UPDATE",
            )
            .bind(&names)
            .fetch_all(&mut *transaction)
            .await?;
            let before: BTreeMap<&str, i32> =
                rows.iter().map(|(name, failures)| (name.as_str(), *failures)).collect();
            let noted = noted(&mut transaction, ended).await?;
            let mut after = before.clone();
            // Whoever notes an end counts it, so that engines that both saw it count it once.
            let count = |ended: &Ended<'_>| {
                noted.contains(&(ended.schedule.to_owned(), nanoseconds(ended.instant))).then(|| {
                    let Some(failures) = after.get_mut(ended.schedule) else { return 0 };
                    *failures = match ended.verdict {
                        Verdict::Succeeded => 0,
                        Verdict::Failed => *failures + 1,
                        Verdict::Cancelled => *failures,
                    };
                    u32::try_from(*failures).unwrap_or_default()
                })
            };
            let counts = ended.iter().map(count).collect();
            after.retain(|name, failures| before.get(name) != Some(failures));
            sqlx::query(
                "UPDATE schedules SET failures = counted.failures, changed = pg_current_xact_id()
                 FROM unnest($1::text[], $2::int[]) AS counted (of, failures) WHERE name = of",
            )
            .bind(after.keys().copied().collect::<Vec<_>>())
            .bind(after.values().copied().collect::<Vec<_>>())
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(counts)
        })
    }

    fn changed(&self) -> Result<(), StoreError> {
        // Every row says itself when it changed.
        Ok(())
    }

    fn note(&self, (schedule, instant): Key<'_>, note: &str) -> Result<(), StoreError> {
        self.ask(async |connection, _| {
            let said =
                "UPDATE records SET note = $3 WHERE schedule = $1 AND instant = $2 AND outcome = 'started'";
            sqlx::query(said)
                .bind(schedule)
                .bind(nanoseconds(instant))
                .bind(note)
                .execute(connection)
                .await?;
            Ok(())
        })
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
                select_records!(
                    "WHERE $1::text IS NULL OR schedule = $1 ORDER BY instant DESC, schedule COLLATE \"C\" LIMIT $2"
                ),
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
            let row = sqlx::query(select_records!("WHERE schedule = $1 AND instant = $2"))
                .bind(schedule)
                .bind(nanoseconds(at))
                .fetch_optional(connection)
                .await?;
            Ok(row.as_ref().map(record).transpose()?)
        })
    }
}

/// Hands out schedules as they come in.
async fn hand_out(
    mut rows: impl Stream<Item = Result<PgRow, sqlx::Error>> + Unpin,
    each: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<(), Failed> {
    while let Some(row) = rows.try_next().await? {
        each(progress(&row)?);
    }
    Ok(())
}

fn progress(row: &PgRow) -> Result<Progress<'_>, sqlx::Error> {
    let (decided, pause): (i64, Option<&str>) = (row.try_get(3)?, row.try_get(4)?);
    Ok(Progress {
        schedule: row.try_get(0)?,
        definition: Definition { when: row.try_get(1)?, zone: row.try_get(2)? },
        decided: instant(decided),
        pause: pause.and_then(|text| serde_json::from_str(text).ok()),
        failures: u32::try_from(row.try_get::<i32, _>(5)?).unwrap_or_default(),
    })
}

/// Keeps records whose instants have none; answers which.
async fn inserted(connection: &mut Connection, records: &[Record]) -> Result<HashSet<(String, i64)>, Failed> {
    let stored: Vec<Stored<'_>> = records.iter().map(|record| Stored::of(&record.outcome)).collect();
    let rows: Vec<(String, i64)> = sqlx::query_as(
                "INSERT INTO records (schedule, instant, decided, outcome, run, verdict, why, note, given, person)
                 SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[],
                   $7::text[], $8::text[], $9::text[], $10::text[])
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
            .bind(records.iter().map(|record| record.by.as_deref()).collect::<Vec<_>>())
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().collect())
}

async fn settle(
    connection: &mut Connection,
    Change { record, outcome, note }: &Change,
) -> Result<bool, Failed> {
    let (before, after) = (Stored::of(&record.outcome), Stored::of(outcome));
    let changed = sqlx::query(
        "UPDATE records SET outcome = $5, run = $6, verdict = $7, why = $8, note = $9, changed = pg_current_xact_id()
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
}

/// Notes ends; answers the records that had none.
async fn noted(connection: &mut Connection, ended: &[Ended<'_>]) -> Result<HashSet<(String, i64)>, Failed> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "WITH open AS (
           SELECT schedule, instant, said
           FROM records JOIN unnest($1::text[], $2::bigint[], $3::text[]) AS ended (of, at, said)
             ON schedule = of AND instant = at
           WHERE verdict IS NULL ORDER BY schedule, instant FOR UPDATE OF records)
         UPDATE records SET verdict = said, changed = pg_current_xact_id()
         FROM open WHERE records.schedule = open.schedule AND records.instant = open.instant
         RETURNING records.schedule, records.instant",
    )
    .bind(ended.iter().map(|ended| ended.schedule).collect::<Vec<_>>())
    .bind(ended.iter().map(|ended| nanoseconds(ended.instant)).collect::<Vec<_>>())
    .bind(ended.iter().map(|ended| word(ended.verdict)).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}
