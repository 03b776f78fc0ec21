//! The tables in the state directory's file, and what later versions added to them.

use rusqlite::Connection;

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

/// Triggers came: what an event gives.
const GIVEN: &str = "ALTER TABLE records ADD COLUMN given TEXT";

/// The queue came.
const QUEUE: &str = "
ALTER TABLE records ADD COLUMN holder TEXT;
ALTER TABLE records ADD COLUMN held_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE records ADD COLUMN parked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX queued_records ON records (instant) WHERE outcome = 'started' AND verdict IS NULL AND parked = 0;
";

/// Who wanted a run came to stand by itself: it is started in that name.
const PERSON: &str = "ALTER TABLE records ADD COLUMN person TEXT";

/// How far schedules have come is written with every round, so it came to stand by itself: the numbers of a thousand
/// schedules fill a few pages, their names and expressions a thousand. An aegis of before finds no `schedules` and
/// leaves the file alone.
const PROGRESS: &str = "
CREATE TABLE standings (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, whens TEXT NOT NULL, zone TEXT NOT NULL, pause TEXT);
CREATE TABLE progress (number INTEGER PRIMARY KEY, decided INTEGER NOT NULL, failures INTEGER NOT NULL DEFAULT 0);
INSERT INTO standings (name, whens, zone, pause) SELECT name, whens, zone, pause FROM schedules ORDER BY name;
INSERT INTO progress SELECT number, decided, failures FROM standings JOIN schedules USING (name);
DROP TABLE schedules;
";

/// Makes what is missing, each step in one transaction.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA wal_autocheckpoint=0;")?;
    if !has(connection, "sqlite_master WHERE name = 'schedule_changes'")? {
        step(connection, SCHEMA)?;
    }
    if !has(connection, "pragma_table_info('records') WHERE name = 'given'")? {
        step(connection, GIVEN)?;
    }
    if !has(connection, "pragma_table_info('records') WHERE name = 'parked'")? {
        step(connection, QUEUE)?;
    }
    if !has(connection, "sqlite_master WHERE name = 'standings'")? {
        step(connection, PROGRESS)?;
    }
    if !has(connection, "pragma_table_info('records') WHERE name = 'person'")? {
        step(connection, PERSON)?;
    }
    Ok(())
}

fn has(connection: &Connection, what: &str) -> rusqlite::Result<bool> {
    connection.query_row(&format!("SELECT count(*) > 0 FROM {what}"), [], |row| row.get(0))
}

/// Another process may just have done it.
fn step(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    const DONE: [&str; 2] = ["duplicate column", "already exists"];
    match connection.execute_batch(&format!("BEGIN IMMEDIATE; {sql}; COMMIT;")) {
        Err(error) if DONE.iter().any(|done| error.to_string().contains(done)) => {
            connection.execute_batch("ROLLBACK")
        }
        done => done,
    }
}
