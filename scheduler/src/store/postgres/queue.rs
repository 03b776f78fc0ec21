//! The queue of all engines on the database.

use aegis_engine::journal::StoreError;
use aegis_engine::journal::postgres::sqlx::{self, Connection as _};
use jiff::Timestamp;

use super::{PostgresRecords, record, select_records};
use crate::record::Record;
use crate::store::queue::{MOST_QUEUED, under_way};
use crate::store::stored::{Stored, nanoseconds};
use crate::store::{BY_HAND, Choose, Key, Queue, Rest, Waiting};

/// Engines that take runs out of the queue take turns; any number that is always the same.
const TURN: i64 = 0x6165_6769_7301;

/// Runs that somebody has had, and that nobody executes: a pod that is merely watched has to be watched by somebody.
const BEGUN: &str = select_records!(
    "WHERE outcome = 'started' AND verdict IS NULL AND NOT parked
       AND holder IS NOT NULL AND held_until <= clock_timestamp()
       AND NOT EXISTS (SELECT FROM claims WHERE claims.run = records.run AND expires > clock_timestamp()
         AND claims.holder NOT LIKE 'watched:%')
     ORDER BY instant LIMIT $1 FOR UPDATE SKIP LOCKED"
);

/// Runs that nobody has had.
const FRESH: &str = select_records!(
    "WHERE outcome = 'started' AND verdict IS NULL AND NOT parked AND holder IS NULL
       AND NOT EXISTS (SELECT FROM claims WHERE claims.run = records.run AND expires > clock_timestamp()
         AND claims.holder NOT LIKE 'watched:%')
     ORDER BY instant LIMIT $1 FOR UPDATE SKIP LOCKED"
);

impl PostgresRecords {
    /// How long an engine has what it took, in seconds: as long as it has the claims of its runs.
    fn hold(&self) -> f64 {
        self.database.takeover_after().as_secs_f64()
    }
}

impl Queue for PostgresRecords {
    fn take(&self, engine: &str, _: Timestamp, choose: Choose<'_>) -> Result<Vec<Record>, StoreError> {
        let hold = self.hold();
        self.ask(async |connection, _| {
            let mut transaction = connection.begin().await?;
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(TURN).execute(&mut *transaction).await?;
            let mut found = [Vec::new(), Vec::new()];
            for (found, candidates) in found.iter_mut().zip([BEGUN, FRESH]) {
                let rows = sqlx::query(candidates).bind(MOST_QUEUED).fetch_all(&mut *transaction).await?;
                *found = rows.iter().map(record).collect::<Result<Vec<Record>, _>>()?;
            }
            let [begun, fresh] = found;
            let waiting = Waiting::all(begun, fresh);
            if waiting.is_empty() {
                return Ok(Vec::new());
            }
            let has_begun: Vec<(String, i64)> = sqlx::query_as(
                "SELECT schedule, instant FROM records
                 WHERE outcome = 'started' AND verdict IS NULL AND NOT parked
                   AND (holder IS NOT NULL OR
                     EXISTS (SELECT FROM claims WHERE claims.run = records.run AND expires > clock_timestamp()))",
            )
            .fetch_all(&mut *transaction)
            .await?;
            let chosen = choose(&waiting, &under_way(has_begun, &waiting));
            let taken: Vec<Record> =
                chosen.into_iter().filter_map(|index| Some(waiting.get(index)?.record.clone())).collect();
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

    fn keep(&self, engine: &str, _: Timestamp, runs: &[Key<'_>]) -> Result<(), StoreError> {
        let (hold, (schedules, instants)) = (self.hold(), columns(runs.iter().copied()));
        self.ask(async |connection, _| {
            sqlx::query(
                "WITH mine AS (
                   SELECT schedule, instant FROM records JOIN unnest($1::text[], $2::bigint[]) AS kept (of, at)
                     ON schedule = of AND instant = at
                   WHERE holder = $3 AND outcome = 'started' AND verdict IS NULL
                   ORDER BY schedule, instant FOR UPDATE OF records)
                 UPDATE records SET held_until = clock_timestamp() + make_interval(secs => $4)
                 FROM mine WHERE records.schedule = mine.schedule AND records.instant = mine.instant",
            )
            .bind(&schedules)
            .bind(&instants)
            .bind(engine)
            .bind(hold)
            .execute(connection)
            .await?;
            Ok(())
        })
    }

    fn put_back(&self, engine: &str, _: Timestamp, runs: &[(Key<'_>, Rest)]) -> Result<(), StoreError> {
        let (schedules, instants) = columns(runs.iter().map(|(key, _)| *key));
        let parked: Vec<bool> = runs.iter().map(|(_, rest)| *rest == Rest::Parked).collect();
        let lengths: Vec<f64> = runs.iter().map(|(_, rest)| seconds(*rest)).collect();
        self.ask(async |connection, _| {
            sqlx::query(
                "WITH mine AS (
                   SELECT schedule, instant, rests, length
                   FROM records JOIN unnest($1::text[], $2::bigint[], $4::boolean[], $5::float8[])
                     AS back (of, at, rests, length) ON schedule = of AND instant = at
                   WHERE holder = $3 AND outcome = 'started' AND verdict IS NULL
                   ORDER BY schedule, instant FOR UPDATE OF records)
                 UPDATE records SET holder = '', parked = rests,
                   held_until = clock_timestamp() + make_interval(secs => length)
                 FROM mine WHERE records.schedule = mine.schedule AND records.instant = mine.instant",
            )
            .bind(&schedules)
            .bind(&instants)
            .bind(engine)
            .bind(&parked)
            .bind(&lengths)
            .execute(connection)
            .await?;
            Ok(())
        })
    }

    fn wake(&self, runs: &[Key<'_>]) -> Result<(), StoreError> {
        let (schedules, instants) = columns(runs.iter().copied());
        self.ask(async |connection, _| {
            sqlx::query(
                "WITH parked AS (
                   SELECT schedule, instant FROM records JOIN unnest($1::text[], $2::bigint[]) AS woken (of, at)
                     ON schedule = of AND instant = at
                   WHERE outcome = 'started' AND verdict IS NULL AND parked
                   ORDER BY schedule, instant FOR UPDATE OF records)
                 UPDATE records SET parked = false
                 FROM parked WHERE records.schedule = parked.schedule AND records.instant = parked.instant",
            )
            .bind(&schedules)
            .bind(&instants)
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
                "INSERT INTO records AS known (schedule, instant, decided, outcome, run, note, person, holder, held_until)
                 VALUES ($1, $2, $3, $4, $5, $6, $10, '', clock_timestamp() + make_interval(secs => $7))
                 ON CONFLICT (schedule, instant) DO UPDATE SET outcome = excluded.outcome, run = excluded.run,
                   verdict = NULL, why = NULL, note = excluded.note, person = excluded.person, holder = '', held_until = excluded.held_until,
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
            .bind(&record.by)
            .execute(connection)
            .await?;
            Ok(change.rows_affected() == 1)
        })
    }
}

/// Keys as the columns that a statement is given.
fn columns<'a>(keys: impl Iterator<Item = Key<'a>>) -> (Vec<&'a str>, Vec<i64>) {
    keys.map(|(schedule, instant)| (schedule, nanoseconds(instant))).unzip()
}

fn seconds(rest: Rest) -> f64 {
    match rest {
        Rest::Parked => 0.0,
        Rest::After(length) => length.as_secs_f64(),
    }
}
