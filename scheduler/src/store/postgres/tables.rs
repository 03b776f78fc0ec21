//! The tables that engines share, and what later versions added to them.

use aegis_engine::journal::postgres::tables::Tables;

/// Instants are nanoseconds since 1970.
pub(super) const RECORDS: Tables = Tables {
    name: "schedules",
    steps: &["
CREATE TABLE schedules (
  name TEXT PRIMARY KEY, whens TEXT NOT NULL, zone TEXT NOT NULL, decided BIGINT NOT NULL, pause TEXT,
  failures INT NOT NULL DEFAULT 0, changed XID8 NOT NULL DEFAULT pg_current_xact_id());
CREATE INDEX schedules_by_change ON schedules (changed);
CREATE TABLE records (
  schedule TEXT NOT NULL, instant BIGINT NOT NULL, decided BIGINT NOT NULL, outcome TEXT NOT NULL, run TEXT,
  verdict TEXT, why TEXT, note TEXT NOT NULL, given TEXT, holder TEXT, held_until TIMESTAMPTZ, parked BOOLEAN NOT NULL DEFAULT false,
  changed XID8 NOT NULL DEFAULT pg_current_xact_id(), PRIMARY KEY (schedule, instant));
CREATE INDEX records_by_change ON records (changed);
CREATE INDEX queued_records ON records (instant) WHERE outcome = 'started' AND verdict IS NULL AND NOT parked;
CREATE INDEX open_records ON records (instant)
  WHERE outcome = 'waiting' OR (outcome = 'started' AND verdict IS NULL);
CREATE INDEX records_by_instant ON records (instant);
", "ALTER TABLE records ADD COLUMN person TEXT;"],
};
