//! The journal: what was asked, then what happened. Append-only, totally ordered and hash-chained per run.
//!
//! - [`entry`]: the few kinds of entries and the hash chain
//! - [`format`]: the version of the stored form
//! - [`store`]: where journals live, as a trait; [`sqlite`] is the default, [`postgres`] is for several engines
//! - [`location`]: where a run executes that is in a Job
//! - [`fence`]: the right to write a run's journal, and how it is lost
//! - [`writer`]: prefix durability: entries ride along until one must be durable
//!
//! Events are journal entries: every screen reads them and nothing else.

pub mod entry;
pub mod fence;
pub mod format;
pub mod location;
pub mod postgres;
mod recovery;
pub mod sqlite;
pub mod store;
mod stored;
pub mod writer;

pub use entry::{Act, Body, Entry, Outcome, Person, Place, Scheduled, Started, Verdict, Wait};
pub use fence::{Claim, Fence};
pub use format::Format;
pub use location::{Location, Placement};
pub use postgres::PostgresStore;
pub use recovery::{Broken, Damage, Examined, Part, verify};
pub use sqlite::SqliteStore;
pub use store::{Halt, Lease, RunRecord, Standing, Status, Store, StoreError};
pub use writer::Journal;
