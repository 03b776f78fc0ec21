//! Several engines on one PostgreSQL, interrupted: killed, stopped and continued, cut off from the database. No instant
//! is run twice, none is lost, and no lock is held by two runs.
//!
//! - `proxy`: the way to the database, which can be cut
//! - `server`: counts what runs do, and looks at the tokens of their locks
//! - `engines`: `aegis serve` as processes
//! - `jobs`: runs that execute as Jobs of a management cluster
//! - `story`: the interruptions, and what has to hold at the end; `outage`: the database itself goes away

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![expect(clippy::print_stdout, reason = "the counts are for people to read")]

mod engines;
mod jobs;
mod outage;
mod proxy;
mod server;
mod story;
