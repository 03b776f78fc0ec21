//! The tables and their versions. Each part of aegis brings the steps that make its tables, oldest first; a step that
//! was released is never changed. A database is brought forward by the first newer aegis that opens it, in one
//! transaction; an older aegis then leaves it alone.

use sqlx::{Connection as _, Executor as _};

use super::database::{Connection, Database, Failed, Patience};
use crate::journal::StoreError;

/// Engines that open the same database at the same time take turns; any number that is always the same.
const TURN: i64 = 0x6165_6769_7300;

/// The tables of one part of aegis.
#[derive(Debug, Clone, Copy)]
pub struct Tables {
    /// Whose.
    pub name: &'static str,
    /// What makes version 1, 2, ...
    pub steps: &'static [&'static str],
}

/// What the journal is kept in. Texts are kept as they were written: hashes are over them.
pub(super) const JOURNAL: Tables = Tables {
    name: "journal",
    steps: &["
CREATE TABLE switches (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE runs (
  id TEXT PRIMARY KEY, title TEXT NOT NULL, runbook TEXT NOT NULL, target TEXT NOT NULL, person TEXT NOT NULL,
  status TEXT NOT NULL, started TEXT NOT NULL, updated TEXT NOT NULL, last BIGINT NOT NULL, head TEXT NOT NULL,
  changed XID8 NOT NULL DEFAULT pg_current_xact_id());
CREATE INDEX runs_by_change ON runs (changed);
CREATE TABLE entries (
  run TEXT NOT NULL, seq BIGINT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL,
  PRIMARY KEY (run, seq));
CREATE TABLE texts (hash TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE claims (
  run TEXT PRIMARY KEY, token BIGINT NOT NULL, holder TEXT NOT NULL, expires TIMESTAMPTZ NOT NULL);
CREATE TABLE leases (
  name TEXT PRIMARY KEY, run TEXT NOT NULL, token BIGINT NOT NULL, expires TIMESTAMPTZ NOT NULL);
"],
};

impl Database {
    /// Looks at the version of some tables, and makes or brings them forward where that is due.
    ///
    /// # Errors
    /// When a newer aegis made them, or they cannot be made.
    pub fn prepare(&self, tables: Tables) -> Result<(), StoreError> {
        let known = i32::try_from(tables.steps.len()).unwrap_or(i32::MAX);
        let newer = |found| StoreError::NewerTables {
            server: self.name().to_owned(),
            tables: tables.name,
            found,
            known,
        };
        self.ask(&Patience::Short, async |connection, _| {
            let found = version(connection, tables.name).await?;
            if found == known {
                return Ok(());
            }
            let mut transaction = connection.begin().await?;
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(TURN).execute(&mut *transaction).await?;
            transaction
                .execute(
                    "CREATE SCHEMA IF NOT EXISTS aegis;
                     CREATE TABLE IF NOT EXISTS aegis.versions (tables TEXT PRIMARY KEY, version INT NOT NULL);",
                )
                .await?;
            let found = version(&mut transaction, tables.name).await?;
            if found > known {
                return Err(newer(found).into());
            }
            for step in tables.steps.iter().skip(usize::try_from(found).unwrap_or(0)) {
                transaction.execute(*step).await?;
            }
            sqlx::query(
                "INSERT INTO versions VALUES ($1, $2) ON CONFLICT (tables) DO UPDATE SET version = $2",
            )
            .bind(tables.name)
            .bind(known)
            .execute(&mut *transaction)
            .await?;
            Ok(transaction.commit().await?)
        })
    }
}

/// 0: there are none.
async fn version(connection: &mut Connection, tables: &str) -> Result<i32, Failed> {
    let made: bool = sqlx::query_scalar("SELECT to_regclass('aegis.versions') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !made {
        return Ok(0);
    }
    let version = sqlx::query_scalar("SELECT version FROM aegis.versions WHERE tables = $1")
        .bind(tables)
        .fetch_optional(connection)
        .await?;
    Ok(version.unwrap_or(0))
}
