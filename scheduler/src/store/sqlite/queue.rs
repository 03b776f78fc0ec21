//! The queue of one engine after the other on the same state directory.

use std::time::Duration;

use aegis_engine::journal::StoreError;
use jiff::Timestamp;
use rusqlite::params;

use super::{CHANGED, COLUMNS, SqliteRecords, record};
use crate::record::Record;
use crate::store::queue::{MOST_QUEUED, under_way};
use crate::store::stored::{after, nanoseconds};
use crate::store::{BY_HAND, Change, Choose, Key, Queue, RecordStore, Rest, Waiting};

/// How long an engine has what it took. One engine at a time uses a state directory, so the next one need not wait.
const HOLD: Duration = Duration::from_secs(30);

impl Queue for SqliteRecords {
    fn take(&self, engine: &str, now: Timestamp, choose: Choose<'_>) -> Result<Vec<Record>, StoreError> {
        self.write(|transaction| {
            let candidates = |of: &str| {
                transaction
                    .prepare_cached(&format!(
                        "SELECT {COLUMNS} FROM records WHERE outcome = 'started' AND verdict IS NULL AND parked = 0
                         AND {of} ORDER BY instant LIMIT ?3"
                    ))?
                    .query_map(params![engine, nanoseconds(now), MOST_QUEUED], record)?
                    .collect::<Result<Vec<_>, _>>()
            };
            // What an engine before this one took is free: it is gone.
            let begun = candidates("holder IS NOT NULL AND (holder NOT IN ('', ?1) OR held_until <= ?2)")?;
            let waiting = Waiting::all(begun, candidates("holder IS NULL")?);
            if waiting.is_empty() {
                return Ok(Vec::new());
            }
            let has_begun = transaction
                .prepare_cached(
                    "SELECT schedule, instant FROM records
                     WHERE outcome = 'started' AND verdict IS NULL AND parked = 0 AND holder IS NOT NULL",
                )?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<Vec<(String, i64)>, _>>()?;
            let under_way = under_way(has_begun, &waiting);
            let mut hold = transaction.prepare_cached(
                "UPDATE records SET holder = ?3, held_until = ?4 WHERE schedule = ?1 AND instant = ?2",
            )?;
            let until = after(now, HOLD);
            let mut taken = Vec::new();
            let chosen = choose(&waiting, &under_way);
            for Waiting { record, .. } in chosen.into_iter().filter_map(|index| waiting.get(index)) {
                hold.execute(params![record.schedule, nanoseconds(record.instant), engine, until])?;
                taken.push(record.clone());
            }
            Ok(taken)
        })
    }

    fn keep(&self, engine: &str, now: Timestamp, runs: &[Key<'_>]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut keep = transaction.prepare_cached(
                "UPDATE records SET held_until = ?4 WHERE schedule = ?1 AND instant = ?2 AND holder = ?3
                 AND outcome = 'started' AND verdict IS NULL",
            )?;
            let until = after(now, HOLD);
            let mut keep = |(schedule, instant): &Key<'_>| {
                keep.execute(params![schedule, nanoseconds(*instant), engine, until]).map(drop)
            };
            runs.iter().try_for_each(&mut keep)
        })
    }

    fn put_back(&self, engine: &str, now: Timestamp, runs: &[(Key<'_>, Rest)]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut back = transaction.prepare_cached(
                "UPDATE records SET holder = '', held_until = ?4, parked = ?5
                 WHERE schedule = ?1 AND instant = ?2 AND holder = ?3 AND outcome = 'started' AND verdict IS NULL",
            )?;
            for ((schedule, instant), rest) in runs {
                let (parked, until) = match rest {
                    Rest::Parked => (true, 0),
                    Rest::After(length) => (false, after(now, *length)),
                };
                back.execute(params![schedule, nanoseconds(*instant), engine, until, parked])?;
            }
            Ok(())
        })
    }

    fn wake(&self, runs: &[Key<'_>]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut wake = transaction.prepare_cached(
                "UPDATE records SET parked = 0
                 WHERE schedule = ?1 AND instant = ?2 AND outcome = 'started' AND verdict IS NULL AND parked = 1",
            )?;
            let mut wake = |(schedule, instant): &Key<'_>| {
                wake.execute(params![schedule, nanoseconds(*instant)]).map(drop)
            };
            runs.iter().try_for_each(&mut wake)
        })
    }

    fn promise(&self, record: &Record, before: Option<&Record>, now: Timestamp) -> Result<bool, StoreError> {
        let mine = match before {
            Some(before) => {
                let (outcome, note) = (record.outcome.clone(), record.note.clone());
                self.settle(&[Change { record: before.clone(), outcome, note }])?
            }
            None => self.decided(std::slice::from_ref(record), &[])?,
        };
        let mine = mine.contains(&true);
        if mine {
            self.write(|transaction| {
                transaction.execute(
                    "UPDATE records SET holder = '', held_until = ?3, person = ?4 WHERE schedule = ?1 AND instant = ?2",
                    params![record.schedule, nanoseconds(record.instant), after(now, BY_HAND), record.by],
                )?;
                transaction.execute(CHANGED, [])
            })?;
        }
        Ok(mine)
    }
}
