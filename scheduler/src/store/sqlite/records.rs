//! Instants and what became of them, and how far schedules have come.

use aegis_engine::journal::{StoreError, Verdict};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::{CHANGED, COLUMNS, SqliteRecords, record};
use crate::record::Record;
use crate::schedule::Definition;
use crate::store::stored::{Stored, given_of, instant, nanoseconds, word};
use crate::store::{Admission, Change, Each, Ended, Key, Limit, News, Pause, Progress, RecordStore};

const SCHEDULES: &str =
    "SELECT name, whens, zone, decided, pause, failures FROM standings JOIN progress USING (number)";

/// The number of a schedule, by its name.
const NUMBER: &str = "(SELECT number FROM standings WHERE name = ?1)";

impl SqliteRecords {
    fn each_schedule(&self, sql: &str, given: impl Params, each: Each<'_>) -> Result<(), StoreError> {
        let connection = self.database.connection();
        let read = || {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(given)?;
            while let Some(row) = rows.next()? {
                let pause: Option<String> = row.get(4)?;
                each(Progress {
                    schedule: row.get_ref(0)?.as_str()?,
                    definition: Definition {
                        when: row.get_ref(1)?.as_str()?,
                        zone: row.get_ref(2)?.as_str()?,
                    },
                    decided: instant(row.get(3)?),
                    pause: pause.and_then(|text| serde_json::from_str(&text).ok()),
                    failures: row.get(5)?,
                });
            }
            Ok(())
        };
        read().map_err(|error: rusqlite::Error| self.database.error(error))
    }
}

impl RecordStore for SqliteRecords {
    fn news(&self, since: Option<u64>, each: Each<'_>) -> Result<News, StoreError> {
        let cursor = self.version()?;
        if since == Some(cursor) {
            return Ok(News { cursor, ..News::default() });
        }
        self.progress(None, each)?;
        Ok(News { whole: true, records: self.open()?, cursor })
    }

    fn progress(&self, of: Option<&str>, each: Each<'_>) -> Result<(), StoreError> {
        match of {
            Some(name) => self.each_schedule(&format!("{SCHEDULES} WHERE name = ?1"), params![name], each),
            None => self.each_schedule(SCHEDULES, [], each),
        }
    }

    fn define(&self, schedules: &[(&str, Definition<'_>, Timestamp)]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut define = transaction.prepare_cached(
                "INSERT INTO standings (name, whens, zone) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET whens = ?2, zone = ?3",
            )?;
            let mut begin = transaction.prepare_cached(&format!(
                "INSERT INTO progress (number, decided) VALUES ({NUMBER}, ?2)
                 ON CONFLICT (number) DO UPDATE SET decided = max(decided, ?2)"
            ))?;
            for (name, definition, at) in schedules {
                define.execute(params![name, definition.when, definition.zone])?;
                begin.execute(params![name, nanoseconds(*at)])?;
            }
            Ok(())
        })
    }

    fn decided(&self, records: &[Record], until: &[(&str, Timestamp)]) -> Result<Vec<bool>, StoreError> {
        self.write(|transaction| {
            let new = records.iter().map(|record| insert(transaction, record)).collect::<Result<_, _>>()?;
            let mut advance = transaction.prepare_cached(&format!(
                "UPDATE progress SET decided = max(decided, ?2) WHERE number = {NUMBER}"
            ))?;
            for (name, at) in until {
                advance.execute(params![name, nanoseconds(*at)])?;
            }
            Ok(new)
        })
    }

    fn admit(&self, record: &Record, limit: Limit) -> Result<Admission, StoreError> {
        self.write(|transaction| {
            let started: u32 = transaction
                .prepare_cached(
                    "SELECT count(*) FROM records
                     WHERE schedule = ?1 AND outcome IN ('started', 'waiting') AND decided > ?2",
                )?
                .query_row(params![record.schedule, nanoseconds(limit.since)], |row| row.get(0))?;
            if started >= limit.most {
                return Ok(Admission::Full);
            }
            Ok(if insert(transaction, record)? { Admission::Kept } else { Admission::Known })
        })
    }

    fn settle(&self, changes: &[Change]) -> Result<Vec<bool>, StoreError> {
        self.write(|transaction| {
            let mut settle = transaction.prepare_cached(
                "UPDATE records SET outcome = ?5, run = ?6, verdict = ?7, why = ?8, note = ?9
                 WHERE schedule = ?1 AND instant = ?2 AND outcome = ?3 AND run IS ?4",
            )?;
            let settle = |Change { record, outcome, note }: &Change| {
                let (before, after) = (Stored::of(&record.outcome), Stored::of(outcome));
                let changed = settle.execute(params![
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
            };
            changes.iter().map(settle).collect()
        })
    }

    fn ended(&self, ended: &[Ended<'_>]) -> Result<Vec<Option<u32>>, StoreError> {
        self.write(|transaction| ended.iter().map(|ended| end(transaction, ended)).collect())
    }

    fn changed(&self) -> Result<(), StoreError> {
        self.write(|transaction| transaction.execute(CHANGED, [])).map(drop)
    }

    fn note(&self, (schedule, instant): Key<'_>, note: &str) -> Result<(), StoreError> {
        self.write(|transaction| {
            let said =
                "UPDATE records SET note = ?3 WHERE schedule = ?1 AND instant = ?2 AND outcome = 'started'";
            transaction.execute(said, params![schedule, nanoseconds(instant), note]).map(drop)
        })
    }

    fn set_pause(&self, schedule: &str, pause: Option<&Pause>) -> Result<(), StoreError> {
        let text = pause.map(|pause| serde_json::to_string(pause).unwrap_or_default());
        self.write(|transaction| {
            transaction
                .execute("UPDATE standings SET pause = ?2 WHERE name = ?1", params![schedule, text])?;
            transaction.execute(
                &format!("UPDATE progress SET failures = 0 WHERE number = {NUMBER}"),
                params![schedule],
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
        self.database.select(&sql, [], record)
    }

    fn history(&self, schedule: Option<&str>, most: usize) -> Result<Vec<Record>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        match schedule {
            Some(name) => {
                let sql = format!(
                    "SELECT {COLUMNS} FROM records WHERE schedule = ?1 ORDER BY instant DESC LIMIT ?2"
                );
                self.database.select(&sql, params![name, most], record)
            }
            None => {
                let sql = format!("SELECT {COLUMNS} FROM records ORDER BY instant DESC, schedule LIMIT ?1");
                self.database.select(&sql, params![most], record)
            }
        }
    }

    fn find(&self, schedule: &str, at: Timestamp) -> Result<Option<Record>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM records WHERE schedule = ?1 AND instant = ?2");
        self.database.find(&sql, params![schedule, nanoseconds(at)], record)
    }
}

/// Keeps a record unless its instant has one; answers whether it is new.
fn insert(transaction: &Connection, record: &Record) -> rusqlite::Result<bool> {
    const INSERT: &str = "INSERT OR IGNORE INTO records
        (schedule, instant, decided, outcome, run, verdict, why, note, given, person)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let stored = Stored::of(&record.outcome);
    let changed = transaction.prepare_cached(INSERT)?.execute(params![
        record.schedule,
        nanoseconds(record.instant),
        nanoseconds(record.decided),
        stored.outcome,
        stored.run,
        stored.verdict,
        stored.why,
        record.note,
        given_of(record),
        record.by
    ])?;
    Ok(changed == 1)
}

/// Notes an end. A schedule whose count stays as it is is not written: its page need not reach the disk.
fn end(transaction: &Connection, ended: &Ended<'_>) -> rusqlite::Result<Option<u32>> {
    let Ended { schedule, instant, verdict } = ended;
    let noted = transaction
        .prepare_cached(
            "UPDATE records SET verdict = ?3 WHERE schedule = ?1 AND instant = ?2 AND verdict IS NULL",
        )?
        .execute(params![schedule, nanoseconds(*instant), word(*verdict)])?;
    if noted == 0 {
        return Ok(None);
    }
    let counted = match verdict {
        Verdict::Succeeded => Some("failures = 0 WHERE failures > 0 AND"),
        Verdict::Failed => Some("failures = failures + 1 WHERE"),
        Verdict::Cancelled => None,
    };
    if let Some(counted) = counted {
        let sql = format!("UPDATE progress SET {counted} number = {NUMBER}");
        transaction.prepare_cached(&sql)?.execute(params![schedule])?;
    }
    let failures = transaction
        .prepare_cached(&format!("SELECT failures FROM progress WHERE number = {NUMBER}"))?
        .query_row(params![schedule], |row| row.get(0))
        .optional()?;
    Ok(Some(failures.unwrap_or_default()))
}
