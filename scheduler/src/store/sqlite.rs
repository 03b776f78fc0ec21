//! Records in the SQLite file of the state directory, beside the journals: tables of their own, every commit synced.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aegis_engine::journal::{StoreError, Verdict};
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::stored::{Stored, after, given, given_of, instant, nanoseconds, outcome_of, word};
use super::{BY_HAND, Choose, News, Pause, Progress, RecordStore, Rest};
use crate::record::{Outcome, Record};
use crate::schedule::Definition;

/// The journal's file: one thing to back up, and a claim and its record are never of different ages.
const FILE: &str = "journal.db";

/// Instants are nanoseconds since 1970: as texts they would not sort.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS schedules (
  name TEXT PRIMARY KEY, whens TEXT NOT NULL, zone TEXT NOT NULL, decided INTEGER NOT NULL, pause TEXT,
  failures INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
  schedule TEXT NOT NULL, instant INTEGER NOT NULL, decided INTEGER NOT NULL, outcome TEXT NOT NULL, run TEXT,
  verdict TEXT, why TEXT, note TEXT NOT NULL, given TEXT, PRIMARY KEY (schedule, instant)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS open_records ON records (instant)
  WHERE outcome = 'waiting' OR (outcome = 'started' AND verdict IS NULL);
CREATE INDEX IF NOT EXISTS records_by_instant ON records (instant);
CREATE TABLE IF NOT EXISTS schedule_changes (version INTEGER NOT NULL);
INSERT INTO schedule_changes SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM schedule_changes);
";

/// What later versions added to the table of records: the queue.
const QUEUE: &str = "
ALTER TABLE records ADD COLUMN holder TEXT;
ALTER TABLE records ADD COLUMN held_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE records ADD COLUMN parked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX queued_records ON records (instant) WHERE outcome = 'started' AND verdict IS NULL AND parked = 0;
";

/// How long an engine has what it took. One engine at a time uses a state directory, so the next one need not wait.
const HOLD: Duration = Duration::from_secs(30);

/// So many candidates are looked at in one turn.
const MOST_QUEUED: i64 = 5000;

const CHANGED: &str = "UPDATE schedule_changes SET version = version + 1";

const COLUMNS: &str = "schedule, instant, decided, outcome, run, verdict, why, note, given";

/// Files of before there were triggers.
const GIVEN: &str = "ALTER TABLE records ADD COLUMN given TEXT";

/// Records in one SQLite file.
pub struct SqliteRecords {
    directory: PathBuf,
    connection: Mutex<Connection>,
}

impl SqliteRecords {
    /// Opens or makes the records of a state directory, whose journal store has been opened before: that one has
    /// looked at the version of the file.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let unusable = |error: rusqlite::Error| StoreError::Unusable(directory.to_owned(), error.to_string());
        let connection = Connection::open(directory.join(FILE)).map_err(unusable)?;
        let store = Self { directory: directory.to_owned(), connection: Mutex::new(connection) };
        store.prepare()?;
        Ok(store)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        let connection = self.connection();
        connection.busy_timeout(Duration::from_secs(10)).map_err(|error| self.error(error))?;
        connection
            .execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
            .map_err(|error| self.error(error))?;
        let known: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_master WHERE name = 'schedule_changes'", [], |row| {
                row.get(0)
            })
            .map_err(|error| self.error(error))?;
        if known == 0 {
            connection
                .execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;"))
                .map_err(|error| self.error(error))?;
        }
        let given: i64 = connection
            .query_row("SELECT count(*) FROM pragma_table_info('records') WHERE name = 'given'", [], |row| {
                row.get(0)
            })
            .map_err(|error| self.error(error))?;
        // Another process may just have done it.
        if given == 0
            && let Err(error) = connection.execute_batch(GIVEN)
            && !error.to_string().contains("duplicate column")
        {
            return Err(self.error(error));
        }
        let queued: i64 = connection
            .query_row("SELECT count(*) FROM pragma_table_info('records') WHERE name = 'parked'", [], |row| {
                row.get(0)
            })
            .map_err(|error| self.error(error))?;
        if queued == 0 {
            connection
                .execute_batch(&format!("BEGIN IMMEDIATE; {QUEUE} COMMIT;"))
                .map_err(|error| self.error(error))?;
        }
        connection.set_prepared_statement_cache_capacity(32);
        Ok(())
    }

    fn version(&self) -> Result<u64, StoreError> {
        let rows = self.rows("SELECT version FROM schedule_changes", [], |row| row.get(0))?;
        Ok(rows.first().copied().unwrap_or_default())
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full(self.directory.clone()),
            Some(ErrorCode::SystemIoFailure) => {
                StoreError::Unwritable(self.directory.clone(), error.to_string())
            }
            _ => StoreError::Unusable(self.directory.clone(), error.to_string()),
        }
    }

    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| self.error(error))?;
        let value = work(&transaction).map_err(|error| self.error(error))?;
        transaction.commit().map_err(|error| self.error(error))?;
        Ok(value)
    }

    fn rows<T>(
        &self,
        sql: &str,
        given: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql).map_err(|error| self.error(error))?;
        let rows = statement.query_map(given, read).map_err(|error| self.error(error))?;
        rows.collect::<Result<_, _>>().map_err(|error| self.error(error))
    }
}

impl RecordStore for SqliteRecords {
    fn news(&self, since: Option<u64>) -> Result<News, StoreError> {
        let cursor = self.version()?;
        if since == Some(cursor) {
            return Ok(News { cursor, ..News::default() });
        }
        Ok(News { whole: true, progress: self.progress()?, records: self.open()?, cursor })
    }

    fn take(&self, engine: &str, now: Timestamp, choose: Choose<'_>) -> Result<Vec<Record>, StoreError> {
        self.write(|transaction| {
            // What an engine before this one took is free: it is gone.
            let waiting = transaction
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM records WHERE outcome = 'started' AND verdict IS NULL AND parked = 0
                     AND (holder IS NULL OR holder NOT IN ('', ?1) OR held_until <= ?2) ORDER BY instant LIMIT ?3"
                ))?
                .query_map(params![engine, nanoseconds(now), MOST_QUEUED], record)?
                .collect::<Result<Vec<_>, _>>()?;
            let under_way = transaction
                .prepare_cached(
                    "SELECT schedule FROM records WHERE outcome = 'started' AND verdict IS NULL AND parked = 0
                     AND holder IN ('', ?1) AND held_until > ?2",
                )?
                .query_map(params![engine, nanoseconds(now)], |row| row.get(0))?
                .collect::<Result<Vec<String>, _>>()?;
            let chosen = choose(&waiting, &under_way);
            let mut hold = transaction.prepare_cached(
                "UPDATE records SET holder = ?3, held_until = ?4 WHERE schedule = ?1 AND instant = ?2",
            )?;
            let mut taken = Vec::with_capacity(chosen.len());
            for record in chosen.into_iter().filter_map(|index| waiting.get(index)) {
                hold.execute(params![
                    record.schedule,
                    nanoseconds(record.instant),
                    engine,
                    after(now, HOLD)
                ])?;
                taken.push(record.clone());
            }
            Ok(taken)
        })
    }

    fn keep(&self, engine: &str, now: Timestamp, runs: &[&str]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut keep = transaction.prepare_cached(
                "UPDATE records SET held_until = ?3
                 WHERE run = ?1 AND holder = ?2 AND outcome = 'started' AND verdict IS NULL",
            )?;
            for run in runs {
                keep.execute(params![run, engine, after(now, HOLD)])?;
            }
            Ok(())
        })
    }

    fn put_back(&self, engine: &str, run: &str, now: Timestamp, rest: Rest) -> Result<(), StoreError> {
        let (parked, until) = match rest {
            Rest::Parked => (true, 0),
            Rest::After(length) => (false, after(now, length)),
        };
        self.write(|transaction| {
            transaction
                .prepare_cached(
                    "UPDATE records SET holder = '', held_until = ?3, parked = ?4
                     WHERE run = ?1 AND holder = ?2 AND outcome = 'started' AND verdict IS NULL",
                )?
                .execute(params![run, engine, until, parked])
        })
        .map(drop)
    }

    fn wake(&self, run: &str) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE records SET parked = 0
                 WHERE run = ?1 AND outcome = 'started' AND verdict IS NULL AND parked = 1",
                params![run],
            )
        })
        .map(drop)
    }

    fn promise(&self, record: &Record, before: Option<&Record>, now: Timestamp) -> Result<bool, StoreError> {
        let mine = match before {
            Some(before) => self.settle(before, &record.outcome, &record.note)?,
            None => self.decided(std::slice::from_ref(record), &[])?.contains(&true),
        };
        if mine {
            self.write(|transaction| {
                transaction.execute(
                    "UPDATE records SET holder = '', held_until = ?3 WHERE schedule = ?1 AND instant = ?2",
                    params![record.schedule, nanoseconds(record.instant), after(now, BY_HAND)],
                )?;
                transaction.execute(CHANGED, [])
            })?;
        }
        Ok(mine)
    }

    fn progress(&self) -> Result<Vec<Progress>, StoreError> {
        self.rows("SELECT name, whens, zone, decided, pause, failures FROM schedules", [], |row| {
            let pause: Option<String> = row.get(4)?;
            Ok(Progress {
                schedule: row.get(0)?,
                definition: Definition { when: row.get(1)?, zone: row.get(2)? },
                decided: instant(row.get(3)?),
                pause: pause.and_then(|text| serde_json::from_str(&text).ok()),
                failures: row.get(5)?,
            })
        })
    }

    fn define(&self, schedules: &[(&str, Definition, Timestamp)]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut define = transaction.prepare_cached(
                "INSERT INTO schedules (name, whens, zone, decided) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO UPDATE SET whens = ?2, zone = ?3, decided = max(decided, ?4)",
            )?;
            for (name, definition, at) in schedules {
                define.execute(params![name, definition.when, definition.zone, nanoseconds(*at)])?;
            }
            Ok(())
        })
    }

    fn decided(&self, records: &[Record], until: &[(&str, Timestamp)]) -> Result<Vec<bool>, StoreError> {
        self.write(|transaction| {
            let mut insert = transaction.prepare_cached(&format!(
                "INSERT OR IGNORE INTO records ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
            ))?;
            let mut new = Vec::with_capacity(records.len());
            for record in records {
                let stored = Stored::of(&record.outcome);
                let at = (nanoseconds(record.instant), nanoseconds(record.decided));
                let changed = insert.execute(params![
                    record.schedule,
                    at.0,
                    at.1,
                    stored.outcome,
                    stored.run,
                    stored.verdict,
                    stored.why,
                    record.note,
                    given_of(record)
                ])?;
                new.push(changed == 1);
            }
            let mut advance = transaction
                .prepare_cached("UPDATE schedules SET decided = max(decided, ?2) WHERE name = ?1")?;
            for (name, at) in until {
                advance.execute(params![name, nanoseconds(*at)])?;
            }
            Ok(new)
        })
    }

    fn settle(&self, record: &Record, now: &Outcome, note: &str) -> Result<bool, StoreError> {
        let (before, after) = (Stored::of(&record.outcome), Stored::of(now));
        self.write(|transaction| {
            let changed = transaction
                .prepare_cached(
                    "UPDATE records SET outcome = ?5, run = ?6, verdict = ?7, why = ?8, note = ?9
                     WHERE schedule = ?1 AND instant = ?2 AND outcome = ?3 AND run IS ?4",
                )?
                .execute(params![
                    record.schedule,
                    nanoseconds(record.instant),
                    before.outcome,
                    before.run,
                    after.outcome,
                    after.run,
                    after.verdict,
                    after.why,
                    note
                ])?;
            Ok(changed == 1)
        })
    }

    fn ended(&self, schedule: &str, instant: Timestamp, verdict: Verdict) -> Result<Option<u32>, StoreError> {
        self.write(|transaction| {
            let noted = transaction
                .prepare_cached(
                    "UPDATE records SET verdict = ?3 WHERE schedule = ?1 AND instant = ?2 AND verdict IS NULL",
                )?
                .execute(params![schedule, nanoseconds(instant), word(verdict)])?;
            if noted == 0 {
                return Ok(None);
            }
            let failures = match verdict {
                Verdict::Succeeded => "0",
                Verdict::Failed => "failures + 1",
                Verdict::Cancelled => "failures",
            };
            transaction.execute(
                &format!("UPDATE schedules SET failures = {failures} WHERE name = ?1"),
                params![schedule],
            )?;
            transaction
                .query_row("SELECT failures FROM schedules WHERE name = ?1", params![schedule], |row| row.get(0))
                .optional()
                .map(|failures| Some(failures.unwrap_or_default()))
        })
    }

    fn changed(&self) -> Result<(), StoreError> {
        self.write(|transaction| transaction.execute(CHANGED, [])).map(drop)
    }

    fn set_pause(&self, schedule: &str, pause: Option<&Pause>) -> Result<(), StoreError> {
        let text = pause.map(|pause| serde_json::to_string(pause).unwrap_or_default());
        self.write(|transaction| {
            transaction.execute(
                "UPDATE schedules SET pause = ?2, failures = 0 WHERE name = ?1",
                params![schedule, text],
            )?;
            transaction.execute(CHANGED, [])
        })
        .map(drop)
    }

    fn open(&self) -> Result<Vec<Record>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM records
             WHERE outcome = 'waiting' OR (outcome = 'started' AND verdict IS NULL) ORDER BY instant"
        );
        self.rows(&sql, [], record)
    }

    fn history(&self, schedule: Option<&str>, most: usize) -> Result<Vec<Record>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        match schedule {
            Some(name) => {
                let sql = format!(
                    "SELECT {COLUMNS} FROM records WHERE schedule = ?1 ORDER BY instant DESC LIMIT ?2"
                );
                self.rows(&sql, params![name, most], record)
            }
            None => {
                let sql = format!("SELECT {COLUMNS} FROM records ORDER BY instant DESC, schedule LIMIT ?1");
                self.rows(&sql, params![most], record)
            }
        }
    }

    fn find(&self, schedule: &str, at: Timestamp) -> Result<Option<Record>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM records WHERE schedule = ?1 AND instant = ?2");
        Ok(self.rows(&sql, params![schedule, nanoseconds(at)], record)?.pop())
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let (outcome, run): (String, Option<String>) = (row.get(3)?, row.get(4)?);
    let (verdict, why): (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
    Ok(Record {
        schedule: row.get(0)?,
        instant: instant(row.get(1)?),
        decided: instant(row.get(2)?),
        outcome: outcome_of(&outcome, run, verdict.as_deref(), why.as_deref()),
        given: given(row.get(8)?),
        note: row.get(7)?,
    })
}
