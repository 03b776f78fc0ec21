//! The journal in PostgreSQL. A run's row carries the head of its chain, so that whoever appends locks one row, and
//! entries of a run are totally ordered whoever writes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::{Connection as _, Row as _};

use super::appending;
use super::claims::{Claims, certain, keep};
use super::database::{Connection, Database, Failed, Patience};
use super::rows::{entry, lease, number, position, run_record};
use super::tables::JOURNAL;
use crate::journal::recovery::{self, Examined};
use crate::journal::stored::{self, DECIDED, StoredEntry, WAITING, content_hash};
use crate::journal::{
    Body, Claim, Entry, Fence, Halt, Lease, RunRecord, Standing, Status, Store, StoreError,
};

/// Journals in a database that several engines share.
pub struct PostgresStore {
    database: Database,
    claims: Arc<Claims>,
}

impl PostgresStore {
    /// Opens the journals of a database, and makes their tables where there are none.
    ///
    /// # Errors
    /// When it cannot be reached, refuses, or a newer aegis made the tables.
    pub fn open(database: &Database) -> Result<Self, StoreError> {
        database.prepare(JOURNAL)?;
        Ok(Self { database: database.clone(), claims: Claims::new(database) })
    }

    fn read<T: Send>(
        &self,
        work: impl AsyncFnMut(&mut Connection, bool) -> Result<T, Failed> + Send,
    ) -> Result<T, StoreError> {
        self.database.ask(&Patience::Short, work)
    }

    /// Asks in a transaction that holds and renews the claim, where it is made under one; then it is asked again as long
    /// as the claim certainly holds.
    fn fenced<T: Send>(
        &self,
        run: &str,
        fence: Option<&Fence>,
        mut work: impl AsyncFnMut(&mut Connection, bool) -> Result<T, Failed> + Send,
    ) -> Result<T, StoreError> {
        let length = self.database.takeover_after();
        let patience = fence.map_or(Patience::Short, |fence| Patience::While(fence.clone()));
        let (value, until) = self.database.ask(&patience, async |connection, again| {
            let until = certain(length);
            let mut transaction = connection.begin().await?;
            if let Some(fence) = fence {
                keep(&mut transaction, run, fence, length).await?;
            }
            let value = work(&mut transaction, again).await?;
            transaction.commit().await?;
            Ok((value, until))
        })?;
        if let Some(fence) = fence {
            fence.renew(until);
        }
        Ok(value)
    }

    fn appended(
        &self,
        run: &str,
        bodies: &[(Timestamp, Body)],
        fence: Option<&Fence>,
    ) -> Result<Vec<Entry>, StoreError> {
        if bodies.is_empty() {
            return Ok(Vec::new());
        }
        let texts = stored::texts(bodies);
        let asks =
            |(_, body): &(Timestamp, Body)| matches!(body, Body::Asked { effect, .. } if effect.is_effect());
        let unsure = |fence: &Fence| bodies.iter().any(asks) && !fence.holds();
        let links = self.fenced(run, fence, async |connection, again| {
            let links = appending::append(connection, run, bodies, &texts, again).await?;
            // What the process would not begin any more is not asked; what came of something is kept.
            if fence.is_some_and(unsure) {
                return Err(StoreError::ClaimLost(run.to_owned()).into());
            }
            Ok(links)
        })?;
        Ok(stored::appended(bodies, links))
    }

    /// The entries of a run behind a position, and the hash there.
    fn stored(&self, run: &str, after: u64) -> Result<(Option<String>, Vec<StoredEntry>), StoreError> {
        self.read(async |connection, _| {
            let previous = match after {
                0 => Some(String::new()),
                _ => {
                    sqlx::query_scalar("SELECT hash FROM entries WHERE run = $1 AND seq = $2")
                        .bind(run)
                        .bind(number(after))
                        .fetch_optional(&mut *connection)
                        .await?
                }
            };
            let rows = sqlx::query(
                "SELECT seq, at, body, hash FROM entries WHERE run = $1 AND seq > $2 ORDER BY seq",
            )
            .bind(run)
            .bind(number(after))
            .fetch_all(connection)
            .await?;
            Ok((previous, rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?))
        })
    }
}

impl Store for PostgresStore {
    fn append(&self, run: &str, bodies: &[(Timestamp, Body)]) -> Result<Vec<Entry>, StoreError> {
        self.appended(run, bodies, None)
    }

    fn write(
        &self,
        run: &str,
        bodies: &[(Timestamp, Body)],
        fence: &Fence,
    ) -> Result<Vec<Entry>, StoreError> {
        self.appended(run, bodies, Some(fence))
    }

    fn entries(&self, run: &str, after: u64) -> Result<Vec<Entry>, StoreError> {
        let (previous, entries) = self.stored(run, after)?;
        stored::checked(run, after, previous, &entries)
    }

    fn unlisted(&self) -> Result<Vec<String>, StoreError> {
        self.read(async |connection, _| {
            let sql = "SELECT DISTINCT run FROM entries WHERE run NOT IN (SELECT id FROM runs)";
            Ok(sqlx::query_scalar(sql).fetch_all(connection).await?)
        })
    }

    fn examine(&self, run: &str) -> Result<Examined, StoreError> {
        recovery::examined(run, &self.stored(run, 0)?.1, |hash| self.text(hash))
    }

    fn decisions(&self, run: &str, after: u64) -> Result<(Vec<Entry>, u64), StoreError> {
        let (entries, last) = self.read(async |connection, _| {
            let last: Option<i64> = sqlx::query_scalar("SELECT last FROM runs WHERE id = $1")
                .bind(run)
                .fetch_optional(&mut *connection)
                .await?;
            let last = last.unwrap_or_default().max(number(after));
            let rows = sqlx::query(
                "SELECT seq, at, body, hash FROM entries
                 WHERE run = $1 AND seq > $2 AND seq <= $3 AND body LIKE $4 ORDER BY seq",
            )
            .bind(run)
            .bind(number(after))
            .bind(last)
            .bind(DECIDED)
            .fetch_all(connection)
            .await?;
            Ok((rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?, last))
        })?;
        let found = entries.iter().map(|entry| entry.parsed(run)).collect::<Result<_, _>>()?;
        Ok((found, u64::try_from(last).unwrap_or(after)))
    }

    fn standing(&self, run: &str) -> Result<Option<Standing>, StoreError> {
        let found = self.read(async |connection, _| {
            // One question: it is asked of thousands of runs, one after the other.
            let rows = sqlx::query(
                "SELECT seq, at, body, hash, status,
                   EXISTS (SELECT FROM claims WHERE run = id AND expires > clock_timestamp())
                 FROM runs LEFT JOIN entries ON entries.run = id AND status = $3 AND seq >=
                   (SELECT seq FROM entries WHERE run = $1 AND body LIKE $2 ORDER BY seq DESC LIMIT 1)
                 WHERE id = $1 ORDER BY seq",
            )
            .bind(run)
            .bind(WAITING)
            .bind(Status::Waiting.word())
            .fetch_all(connection)
            .await?;
            let Some(first) = rows.first() else { return Ok(None) };
            let (status, executed) = (Status::of(first.try_get(4)?), first.try_get::<bool, _>(5)?);
            let since = rows.iter().filter(|row| row.try_get::<i64, _>(0).is_ok());
            Ok(Some((status, executed, since.map(entry).collect::<Result<Vec<_>, _>>()?)))
        })?;
        found.map(|(status, executed, since)| stored::standing(run, status, executed, &since)).transpose()
    }

    fn runs(&self) -> Result<Vec<RunRecord>, StoreError> {
        self.read(async |connection, _| {
            let rows = sqlx::query(
                "SELECT id, title, runbook, target, person, status, started, updated,
                   EXISTS (SELECT FROM claims WHERE run = id AND expires > clock_timestamp())
                 FROM runs ORDER BY started COLLATE \"C\" DESC, id COLLATE \"C\" DESC",
            )
            .fetch_all(connection)
            .await?;
            Ok(rows.iter().map(run_record).collect::<Result<Vec<_>, _>>()?)
        })
    }

    fn changed(&self, since: Option<u64>) -> Result<(Vec<String>, u64), StoreError> {
        self.read(async |connection, _| {
            // What is not committed yet has this number or a larger one.
            let cursor: i64 =
                sqlx::query_scalar("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
                    .fetch_one(&mut *connection)
                    .await?;
            let runs = match since {
                Some(since) => {
                    sqlx::query_scalar("SELECT id FROM runs WHERE changed >= $1::text::xid8")
                        .bind(number(since))
                        .fetch_all(connection)
                        .await?
                }
                None => Vec::new(),
            };
            Ok((runs, position(cursor)))
        })
    }

    fn keep_texts(&self, texts: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, StoreError> {
        let hashed: BTreeMap<String, String> =
            texts.iter().map(|(name, text)| (name.clone(), content_hash(text))).collect();
        // In one order for everybody: two engines that keep the same texts do not wait for each other in a circle.
        let kept: BTreeMap<&str, &str> =
            hashed.iter().map(|(name, hash)| (hash.as_str(), texts[name].as_str())).collect();
        self.read(async |connection, _| {
            sqlx::query(
                "INSERT INTO texts SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
            )
            .bind(kept.keys().copied().collect::<Vec<_>>())
            .bind(kept.values().copied().collect::<Vec<_>>())
            .execute(connection)
            .await?;
            Ok(())
        })?;
        Ok(hashed)
    }

    fn text(&self, hash: &str) -> Result<String, StoreError> {
        let text: Option<String> = self.read(async |connection, _| {
            let text = sqlx::query_scalar("SELECT text FROM texts WHERE hash = $1");
            Ok(text.bind(hash).fetch_optional(connection).await?)
        })?;
        stored::text(hash, text)
    }

    fn claim(&self, run: &str) -> Result<Option<Box<dyn Claim>>, StoreError> {
        self.claims.take(run)
    }

    fn executed(&self, run: &str) -> Result<bool, StoreError> {
        self.read(async |connection, _| {
            let executed = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM claims WHERE run = $1 AND expires > clock_timestamp())",
            );
            Ok(executed.bind(run).fetch_one(connection).await?)
        })
    }

    fn halt(&self) -> Result<Option<Halt>, StoreError> {
        let text: Option<String> = self.read(async |connection, _| {
            let text = sqlx::query_scalar("SELECT value FROM switches WHERE key = 'halt'");
            Ok(text.fetch_optional(connection).await?)
        })?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn set_halt(&self, halt: Option<&Halt>) -> Result<(), StoreError> {
        let text = halt.map(|halt| serde_json::to_string(halt).unwrap_or_default());
        self.read(async |connection, _| {
            let change = match &text {
                Some(text) => sqlx::query(
                    "INSERT INTO switches VALUES ('halt', $1) ON CONFLICT (key) DO UPDATE SET value = $1",
                )
                .bind(text),
                None => sqlx::query("DELETE FROM switches WHERE key = 'halt'"),
            };
            change.execute(connection).await?;
            Ok(())
        })
    }

    fn acquire(
        &self,
        name: &str,
        run: &str,
        _: Timestamp,
        time_to_live: Duration,
        fence: Option<&Fence>,
    ) -> Result<Result<Lease, Lease>, StoreError> {
        self.fenced(run, fence, async |connection, _| {
            let mine = sqlx::query(
                "INSERT INTO leases AS lease VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
                 ON CONFLICT (name) DO UPDATE SET run = excluded.run, expires = excluded.expires,
                   token = CASE WHEN lease.run = excluded.run THEN lease.token ELSE lease.token + 1 END
                 WHERE lease.run = excluded.run OR lease.expires <= clock_timestamp()
                 RETURNING name, run, token, (extract(epoch FROM expires) * 1000000)::bigint",
            )
            .bind(name)
            .bind(run)
            .bind(time_to_live.as_secs_f64())
            .fetch_optional(&mut *connection)
            .await?;
            if let Some(row) = mine {
                return Ok(Ok(lease(&row)?));
            }
            let held = sqlx::query(
                "SELECT name, run, token, (extract(epoch FROM greatest(expires, 'epoch')) * 1000000)::bigint FROM leases WHERE name = $1",
            )
            .bind(name)
            .fetch_one(connection)
            .await?;
            Ok(Err(lease(&held)?))
        })
    }

    fn release(&self, name: &str, run: &str, fence: Option<&Fence>) -> Result<(), StoreError> {
        // The row stays, expired, so that the token never goes back.
        self.fenced(run, fence, async |connection, _| {
            sqlx::query("UPDATE leases SET expires = '-infinity' WHERE name = $1 AND run = $2")
                .bind(name)
                .bind(run)
                .execute(connection)
                .await?;
            Ok(())
        })
    }
}
