//! The journal's store on that file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::claims::{self, Unclaimed, is_claimed};
use super::database::Database;
use super::rows::{lease, record, run_record, stored_entry, words};
use super::tables;
use crate::journal::recovery::{self, Examined};
use crate::journal::store::{Halt, Lease, RunRecord, Standing, Status, Store, StoreError};
use crate::journal::stored::{self, DECIDED, StoredEntry, WAITING, content_hash};
use crate::journal::{Body, Claim, Entry, Fence};

/// Journals in one SQLite file.
pub struct SqliteStore {
    database: Database,
}

impl SqliteStore {
    /// Opens or makes the store of a state directory.
    ///
    /// # Errors
    /// When the directory cannot be used, the disk is full, or a newer aegis wrote it.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        claims::prepare(directory)?;
        Self::on(Database::open(directory)?)
    }

    /// A store that lives as long as the process, for plans and replays: nothing is written anywhere.
    ///
    /// # Errors
    /// When SQLite has no memory.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::on(Database::in_memory()?)
    }

    fn on(database: Database) -> Result<Self, StoreError> {
        tables::prepare(&database)?;
        Ok(Self { database })
    }

    fn is_claimed(&self, run: &str) -> bool {
        is_claimed(self.database.directory(), run)
    }

    fn head(&self, run: &str, at: u64) -> Result<Option<String>, StoreError> {
        let sql = "SELECT hash FROM entries WHERE run = ?1 AND seq = ?2";
        self.database.find(sql, params![run, at], |row| row.get(0))
    }

    fn stored(&self, run: &str, after: u64) -> Result<Vec<StoredEntry>, StoreError> {
        let sql = "SELECT seq, at, body, hash FROM entries WHERE run = ?1 AND seq > ?2 ORDER BY seq";
        self.database.select(sql, params![run, after], stored_entry)
    }
}

impl Store for SqliteStore {
    fn append(&self, run: &str, bodies: &[(Timestamp, Body)]) -> Result<Vec<Entry>, StoreError> {
        let texts = stored::texts(bodies);
        let links = self.database.write(|transaction| {
            let (seq, head) = transaction
                .prepare_cached("SELECT seq, hash FROM entries WHERE run = ?1 ORDER BY seq DESC LIMIT 1")?
                .query_row(params![run], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?)))
                .optional()?
                .unwrap_or_default();
            if let Err(refused) = stored::begins_once(run, seq, bodies) {
                return Ok(Err(refused));
            }
            let mut insert = transaction.prepare_cached(
                "INSERT INTO entries (run, seq, at, body, hash) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let mut links = Vec::with_capacity(bodies.len());
            for ((_, body), entry) in bodies.iter().zip(stored::linked(seq, head, &texts)) {
                insert.execute(params![run, entry.seq, entry.at, entry.body, entry.hash])?;
                record(transaction, run, &entry.at, body)?;
                links.push((entry.seq, entry.hash));
            }
            Ok(Ok(links))
        })??;
        Ok(stored::appended(bodies, links))
    }

    fn entries(&self, run: &str, after: u64) -> Result<Vec<Entry>, StoreError> {
        let previous = if after == 0 { Some(String::new()) } else { self.head(run, after)? };
        stored::checked(run, after, previous, &self.stored(run, after)?)
    }

    fn examine(&self, run: &str) -> Result<Examined, StoreError> {
        recovery::examined(run, &self.stored(run, 0)?, |hash| self.text(hash))
    }

    fn unlisted(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT run FROM entries WHERE run NOT IN (SELECT id FROM runs)";
        self.database.select(sql, [], |row| words(row, 0))
    }

    fn decisions(&self, run: &str, after: u64) -> Result<(Vec<Entry>, u64), StoreError> {
        let sql = "SELECT seq FROM entries WHERE run = ?1 ORDER BY seq DESC LIMIT 1";
        let last = self.database.find(sql, params![run], |row| row.get(0))?.unwrap_or(after).max(after);
        if last == after {
            return Ok((Vec::new(), last));
        }
        let sql = format!(
            "SELECT seq, at, body, hash FROM entries
             WHERE run = ?1 AND seq > ?2 AND seq <= ?3 AND body LIKE '{DECIDED}' ORDER BY seq"
        );
        let found = self.database.select(&sql, params![run, after, last], stored_entry)?;
        Ok((found.iter().map(|entry| entry.parsed(run)).collect::<Result<_, _>>()?, last))
    }

    fn standing(&self, run: &str) -> Result<Option<Standing>, StoreError> {
        let sql = "SELECT status FROM runs WHERE id = ?1";
        let status = self.database.find(sql, params![run], |row| row.get::<_, String>(0))?;
        let Some(status) = status.map(|word| Status::of(&word)) else { return Ok(None) };
        let sql = format!(
            "SELECT seq, at, body, hash FROM entries WHERE run = ?1 AND seq >=
               (SELECT seq FROM entries WHERE run = ?1 AND body LIKE '{WAITING}' ORDER BY seq DESC LIMIT 1)
             ORDER BY seq"
        );
        let waits = status == Status::Waiting;
        let since = if waits { self.database.select(&sql, params![run], stored_entry)? } else { Vec::new() };
        stored::standing(run, status, self.is_claimed(run), &since).map(Some)
    }

    fn runs(&self) -> Result<Vec<RunRecord>, StoreError> {
        let sql = "SELECT id, title, runbook, target, person, status, started, updated FROM runs
                   ORDER BY started DESC, id DESC";
        let mut runs = self.database.select(sql, [], run_record)?;
        for run in runs.iter_mut().filter(|run| run.status == Status::Running && !self.is_claimed(&run.id)) {
            run.status = Status::Interrupted;
        }
        Ok(runs)
    }

    fn changed(&self, since: Option<u64>) -> Result<(Vec<String>, u64), StoreError> {
        let sql = "SELECT coalesce(max(version), 0) FROM run_changes";
        let newest = self.database.find(sql, [], |row| row.get(0))?.unwrap_or_default();
        let sql = "SELECT run FROM run_changes WHERE version > ?1 AND version <= ?2";
        let since = since.unwrap_or(newest);
        Ok((self.database.select(sql, params![since, newest], |row| row.get(0))?, newest))
    }

    fn keep_texts(&self, texts: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, StoreError> {
        let hashed: BTreeMap<String, String> =
            texts.iter().map(|(name, text)| (name.clone(), content_hash(text))).collect();
        self.database.write(|transaction| {
            let mut insert =
                transaction.prepare_cached("INSERT OR IGNORE INTO texts (hash, text) VALUES (?1, ?2)")?;
            for (name, hash) in &hashed {
                insert.execute(params![hash, texts[name]])?;
            }
            Ok(())
        })?;
        Ok(hashed)
    }

    fn text(&self, hash: &str) -> Result<String, StoreError> {
        let sql = "SELECT text FROM texts WHERE hash = ?1";
        let text = self.database.find(sql, params![hash], |row| words(row, 0))?;
        stored::text(hash, text)
    }

    fn claim(&self, run: &str) -> Result<Option<Box<dyn Claim>>, StoreError> {
        if self.database.is_memory() {
            return Ok(Some(Box::new(Unclaimed)));
        }
        claims::claim(self.database.directory(), run)
    }

    fn executed(&self, run: &str) -> Result<bool, StoreError> {
        Ok(self.is_claimed(run))
    }

    fn halt(&self) -> Result<Option<Halt>, StoreError> {
        let sql = "SELECT value FROM meta WHERE key = 'halt'";
        let text = self.database.find(sql, [], |row| row.get::<_, String>(0))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn set_halt(&self, halt: Option<&Halt>) -> Result<(), StoreError> {
        self.database.write(|transaction| {
            transaction.execute("DELETE FROM meta WHERE key = 'halt'", [])?;
            if let Some(halt) = halt {
                let text = serde_json::to_string(halt).unwrap_or_default();
                transaction.execute("INSERT INTO meta VALUES ('halt', ?1)", params![text])?;
            }
            Ok(())
        })
    }

    fn acquire(
        &self,
        name: &str,
        run: &str,
        now: Timestamp,
        time_to_live: Duration,
        _: Option<&Fence>,
    ) -> Result<Result<Lease, Lease>, StoreError> {
        let expires = now.checked_add(time_to_live).unwrap_or(Timestamp::MAX);
        self.database.write(|transaction| {
            let held: Option<Lease> = transaction
                .query_row(
                    "SELECT name, run, token, expires FROM leases WHERE name = ?1",
                    params![name],
                    lease,
                )
                .optional()?;
            let token = match held {
                Some(held) if held.run != run && held.expires > now => return Ok(Err(held)),
                // It ran out, and nobody else had it since: what it protects has seen no other holder.
                Some(held) if held.run == run => held.token,
                Some(held) => held.token + 1,
                None => 1,
            };
            transaction.execute(
                "INSERT OR REPLACE INTO leases VALUES (?1, ?2, ?3, ?4)",
                params![name, run, token, expires.to_string()],
            )?;
            Ok(Ok(Lease { name: name.to_owned(), run: run.to_owned(), token, expires }))
        })
    }

    fn release(&self, name: &str, run: &str, _: Option<&Fence>) -> Result<(), StoreError> {
        // The row stays, expired, so that the token never goes back.
        self.database
            .write(|transaction| {
                transaction.execute(
                    "UPDATE leases SET expires = ?3 WHERE name = ?1 AND run = ?2",
                    params![name, run, Timestamp::UNIX_EPOCH.to_string()],
                )
            })
            .map(drop)
    }
}
