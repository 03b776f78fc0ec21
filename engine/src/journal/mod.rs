//! The journal: what was asked, then what happened. Append-only, totally ordered and hash-chained per run.
//!
//! - [`entry`]: the few kinds of entries and the hash chain
//! - [`format`]: the version of the stored form
//! - [`store`]: where journals live, as a trait; [`sqlite`] is the default
//! - [`writer`]: prefix durability: entries ride along until one must be durable
//!
//! Events are journal entries: every screen reads them and nothing else.

pub mod entry;
pub mod format;
mod recovery;
pub mod sqlite;
pub mod store;
pub mod writer;

pub use entry::{Act, Body, Entry, Outcome, Person, Place, Scheduled, Started, Verdict, Wait};
pub use format::Format;
pub use recovery::{Broken, verify};
pub use sqlite::SqliteStore;
pub use store::{Claim, Halt, Lease, RunRecord, Status, Store, StoreError};
pub use writer::Journal;
