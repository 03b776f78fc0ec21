//! The default store: one SQLite file under the state directory, write-ahead log, every commit synced
//! (`synchronous=FULL`), so that what is acknowledged survives a power cut and not only a kill.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, Transaction, TransactionBehavior, params};

use super::fence::{Claim, Fence};
use super::store::{Halt, Lease, RunRecord, Standing, Status, Store, StoreError};
use super::stored::{self, DECIDED, StoredEntry, WAITING, content_hash};
use super::{Body, Entry, Format, Person};

/// Name of the file in the state directory.
const FILE: &str = "journal.db";

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
  id TEXT PRIMARY KEY, title TEXT NOT NULL, runbook TEXT NOT NULL, target TEXT NOT NULL, person TEXT NOT NULL,
  status TEXT NOT NULL, started TEXT NOT NULL, updated TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
  run TEXT NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL,
  PRIMARY KEY (run, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS texts (hash TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
  name TEXT PRIMARY KEY, run TEXT NOT NULL, token INTEGER NOT NULL, expires TEXT NOT NULL) WITHOUT ROWID;
";

/// When something last happened to a run that others want to know of, in the order of commits.
const CHANGES: &str = "
CREATE TABLE IF NOT EXISTS run_changes (run TEXT PRIMARY KEY, version INTEGER NOT NULL UNIQUE) WITHOUT ROWID;
";

/// A list of runs holds a claim for a moment while it looks whether somebody has it, so a claim is tried for
/// a few moments.
const LOOKS: u32 = 5;
const A_LOOK: Duration = Duration::from_millis(10);

/// Pages of the write-ahead log after which it is moved into the file: one commit in a thousand waits for that.
const CHECKPOINT: u32 = 1000;

/// Journals in one SQLite file.
pub struct SqliteStore {
    directory: PathBuf,
    connection: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens or makes the store of a state directory.
    ///
    /// # Errors
    /// When the directory cannot be used, the disk is full, or a newer aegis wrote it.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let unusable =
            |error: &dyn std::fmt::Display| StoreError::Unusable(directory.to_owned(), error.to_string());
        std::fs::create_dir_all(directory.join("claims")).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => StoreError::Full(directory.to_owned()),
            _ => unusable(&error),
        })?;
        let connection = Connection::open(directory.join(FILE)).map_err(|error| unusable(&error))?;
        let store = Self { directory: directory.to_owned(), connection: Mutex::new(connection) };
        store.prepare()?;
        Ok(store)
    }

    /// A store that lives as long as the process, for plans and replays: nothing is written anywhere.
    ///
    /// # Errors
    /// When SQLite has no memory.
    pub fn in_memory() -> Result<Self, StoreError> {
        let directory = PathBuf::from(":memory:");
        let connection = Connection::open_in_memory()
            .map_err(|error| StoreError::Unusable(directory.clone(), error.to_string()))?;
        let store = Self { directory, connection: Mutex::new(connection) };
        store.prepare()?;
        Ok(store)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        let connection = self.connection();
        connection.busy_timeout(Duration::from_secs(10)).map_err(|error| self.error(error))?;
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000;
                 PRAGMA wal_autocheckpoint={CHECKPOINT};"
            ))
            .map_err(|error| self.error(error))?;
        connection.set_prepared_statement_cache_capacity(32);
        self.check_format(&connection)
    }

    fn check_format(&self, connection: &Connection) -> Result<(), StoreError> {
        let known = connection
            .query_row("SELECT count(*) FROM sqlite_master WHERE name = 'meta'", [], |row| {
                row.get::<_, i64>(0)
            })
            .map_err(|error| self.error(error))?;
        if known == 0 {
            // In one transaction: a process killed in between leaves an empty file, not half a schema.
            let format = Format::CURRENT.0;
            let first = format!("INSERT OR IGNORE INTO meta VALUES ('format', '{format}');");
            connection
                .execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} {first} COMMIT;"))
                .map_err(|error| self.error(error))?;
        }
        self.check_changes(connection)?;
        let found: Option<String> = connection
            .query_row("SELECT value FROM meta WHERE key = 'format'", [], |row| row.get(0))
            .optional()
            .map_err(|error| self.error(error))?;
        let found = Format(found.and_then(|text| text.parse().ok()).unwrap_or(Format::CURRENT.0));
        found
            .check_readable_by(Format::CURRENT)
            .map_err(|newer| StoreError::Newer(self.directory.clone(), newer))
    }

    /// A table that came later: without it nobody is told of what changed.
    fn check_changes(&self, connection: &Connection) -> Result<(), StoreError> {
        let known = connection
            .query_row("SELECT count(*) FROM sqlite_master WHERE name = 'run_changes'", [], |row| {
                row.get::<_, i64>(0)
            })
            .map_err(|error| self.error(error))?;
        if known == 0 {
            connection.execute_batch(CHANGES).map_err(|error| self.error(error))?;
        }
        Ok(())
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

    fn is_claimed(&self, run: &str) -> bool {
        is_claimed(&self.directory, run)
    }

    fn head(&self, run: &str, at: u64) -> Result<Option<String>, StoreError> {
        self.connection()
            .prepare_cached("SELECT hash FROM entries WHERE run = ?1 AND seq = ?2")
            .and_then(|mut statement| statement.query_row(params![run, at], |row| row.get(0)).optional())
            .map_err(|error| self.error(error))
    }

    fn stored(&self, run: &str, after: u64) -> Result<Vec<StoredEntry>, StoreError> {
        let sql = "SELECT seq, at, body, hash FROM entries WHERE run = ?1 AND seq > ?2 ORDER BY seq";
        self.select(sql, params![run, after])
    }

    fn select(&self, sql: &str, given: impl Params) -> Result<Vec<StoredEntry>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql).map_err(|error| self.error(error))?;
        let rows = statement
            .query_map(given, |row| {
                Ok(StoredEntry { seq: row.get(0)?, at: row.get(1)?, body: row.get(2)?, hash: row.get(3)? })
            })
            .map_err(|error| self.error(error))?;
        rows.collect::<Result<_, _>>().map_err(|error| self.error(error))
    }
}

impl Store for SqliteStore {
    fn append(&self, run: &str, bodies: &[(Timestamp, Body)]) -> Result<Vec<Entry>, StoreError> {
        let texts = stored::texts(bodies);
        let links = self.write(|transaction| {
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

    fn decisions(&self, run: &str, after: u64) -> Result<(Vec<Entry>, u64), StoreError> {
        let last: Option<u64> = self
            .connection()
            .prepare_cached("SELECT max(seq) FROM entries WHERE run = ?1")
            .and_then(|mut statement| statement.query_row(params![run], |row| row.get(0)))
            .map_err(|error| self.error(error))?;
        let last = last.unwrap_or_default().max(after);
        let sql = format!(
            "SELECT seq, at, body, hash FROM entries
             WHERE run = ?1 AND seq > ?2 AND seq <= ?3 AND body LIKE '{DECIDED}' ORDER BY seq"
        );
        let found = if last > after { self.select(&sql, params![run, after, last])? } else { Vec::new() };
        Ok((found.iter().map(|entry| entry.parsed(run)).collect::<Result<_, _>>()?, last))
    }

    fn standing(&self, run: &str) -> Result<Option<Standing>, StoreError> {
        let status: Option<String> = self
            .connection()
            .prepare_cached("SELECT status FROM runs WHERE id = ?1")
            .and_then(|mut statement| statement.query_row(params![run], |row| row.get(0)).optional())
            .map_err(|error| self.error(error))?;
        let Some(status) = status.map(|word| Status::of(&word)) else { return Ok(None) };
        let sql = format!(
            "SELECT seq, at, body, hash FROM entries WHERE run = ?1 AND seq > ?2 AND seq >=
               (SELECT seq FROM entries WHERE run = ?1 AND body LIKE '{WAITING}' ORDER BY seq DESC LIMIT 1)
             ORDER BY seq"
        );
        let since = if status == Status::Waiting { self.select(&sql, params![run, 0])? } else { Vec::new() };
        stored::standing(run, status, self.is_claimed(run), &since).map(Some)
    }

    fn runs(&self) -> Result<Vec<RunRecord>, StoreError> {
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached(
                "SELECT id, title, runbook, target, person, status, started, updated FROM runs
                 ORDER BY started DESC, id DESC",
            )
            .map_err(|error| self.error(error))?;
        let rows = statement.query_map([], run_record).map_err(|error| self.error(error))?;
        let mut runs = rows.collect::<Result<Vec<_>, _>>().map_err(|error| self.error(error))?;
        for run in runs.iter_mut().filter(|run| run.status == Status::Running && !self.is_claimed(&run.id)) {
            run.status = Status::Interrupted;
        }
        Ok(runs)
    }

    fn changed(&self, since: Option<u64>) -> Result<(Vec<String>, u64), StoreError> {
        let connection = self.connection();
        let newest: Option<u64> = connection
            .query_row("SELECT max(version) FROM run_changes", [], |row| row.get(0))
            .map_err(|error| self.error(error))?;
        let newest = newest.unwrap_or_default();
        let since = since.unwrap_or(newest);
        let mut statement = connection
            .prepare_cached("SELECT run FROM run_changes WHERE version > ?1 AND version <= ?2")
            .map_err(|error| self.error(error))?;
        let rows = statement
            .query_map(params![since, newest], |row| row.get(0))
            .map_err(|error| self.error(error))?;
        Ok((rows.collect::<Result<_, _>>().map_err(|error| self.error(error))?, newest))
    }

    fn keep_texts(&self, texts: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, StoreError> {
        let hashed: BTreeMap<String, String> =
            texts.iter().map(|(name, text)| (name.clone(), content_hash(text))).collect();
        self.write(|transaction| {
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
        let text: Option<String> = self
            .connection()
            .query_row("SELECT text FROM texts WHERE hash = ?1", params![hash], |row| row.get(0))
            .optional()
            .map_err(|error| self.error(error))?;
        text.filter(|text| content_hash(text) == hash).ok_or_else(|| StoreError::NoText(hash.to_owned()))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a claim is taken before a run has anything to be cancelled"
    )]
    fn claim(&self, run: &str) -> Result<Option<Box<dyn Claim>>, StoreError> {
        if self.directory.as_os_str() == ":memory:" {
            return Ok(Some(Box::new(Unclaimed)));
        }
        let path = self.directory.join("claims").join(run);
        let unusable = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::StorageFull => StoreError::Full(self.directory.clone()),
            _ => StoreError::Unusable(self.directory.clone(), error.to_string()),
        };
        let file = File::options().create(true).append(true).open(path).map_err(unusable)?;
        for _ in 0..LOOKS {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Box::new(FileClaim(file)))),
                Err(TryLockError::WouldBlock) => std::thread::sleep(A_LOOK),
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
        }
        Ok(None)
    }

    fn executed(&self, run: &str) -> Result<bool, StoreError> {
        Ok(self.is_claimed(run))
    }

    fn halt(&self) -> Result<Option<Halt>, StoreError> {
        let text: Option<String> = self
            .connection()
            .prepare_cached("SELECT value FROM meta WHERE key = 'halt'")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)).optional())
            .map_err(|error| self.error(error))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn set_halt(&self, halt: Option<&Halt>) -> Result<(), StoreError> {
        self.write(|transaction| {
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
        self.write(|transaction| {
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
        self.write(|transaction| {
            transaction.execute(
                "UPDATE leases SET expires = ?3 WHERE name = ?1 AND run = ?2",
                params![name, run, Timestamp::UNIX_EPOCH.to_string()],
            )
        })
        .map(drop)
    }
}

/// Whether a process has the claim of a run in a state directory: nobody else can share its lock.
#[must_use]
pub fn is_claimed(directory: &Path, run: &str) -> bool {
    let claim = File::open(directory.join("claims").join(run));
    claim.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

struct Unclaimed;

impl Claim for Unclaimed {
    fn fence(&self) -> Fence {
        Fence::for_good()
    }
}

#[expect(dead_code, reason = "the open file is the lock; closing it gives it back")]
struct FileClaim(File);

impl Claim for FileClaim {
    fn fence(&self) -> Fence {
        Fence::for_good()
    }
}

/// Keeps the list of runs in step with the entries, in the same transaction.
fn record(transaction: &Transaction<'_>, run: &str, at: &str, body: &Body) -> rusqlite::Result<()> {
    if let Body::Started(started) = body {
        transaction.execute(
            "INSERT INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
            params![
                run,
                started.title,
                started.runbook,
                started.target,
                started.person.0,
                Status::Running.word(),
                at
            ],
        )?;
    } else if let Some(status) = Status::after(body) {
        transaction
            .prepare_cached("UPDATE runs SET status = ?2, updated = ?3 WHERE id = ?1")?
            .execute(params![run, status.word(), at])?;
    }
    if Status::is_news(body) {
        transaction
            .prepare_cached(
                "INSERT INTO run_changes VALUES (?1, (SELECT coalesce(max(version), 0) + 1 FROM run_changes))
                 ON CONFLICT (run) DO UPDATE SET version = excluded.version",
            )?
            .execute(params![run])?;
    }
    Ok(())
}

fn run_record(row: &rusqlite::Row<'_>) -> rusqlite::Result<RunRecord> {
    Ok(RunRecord {
        id: row.get(0)?,
        title: row.get(1)?,
        runbook: row.get(2)?,
        target: row.get(3)?,
        person: Person(row.get(4)?),
        status: Status::of(&row.get::<_, String>(5)?),
        started: timestamp(row, 6)?,
        updated: timestamp(row, 7)?,
    })
}

fn lease(row: &rusqlite::Row<'_>) -> rusqlite::Result<Lease> {
    Ok(Lease { name: row.get(0)?, run: row.get(1)?, token: row.get(2)?, expires: timestamp(row, 3)? })
}

fn timestamp(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: jiff::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}
