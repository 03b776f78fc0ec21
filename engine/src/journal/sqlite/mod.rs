//! The default store: one SQLite file under the state directory, write-ahead log, every commit synced
//! (`synchronous=FULL`), so that what is acknowledged survives a power cut and not only a kill.
//!
//! - [`Database`]: the file, transactions, what SQLite's errors mean; the scheduler keeps its records through it, too
//! - `tables`: the journal's tables and their format
//! - `claims`: the right to execute a run, as a lock on a file that ends with its process
//! - `rows`: what tables hold, as the journal's own types
//! - `store`: the journal's [`super::Store`]

mod claims;
mod database;
mod rows;
mod store;
mod tables;

pub use claims::is_claimed;
pub use database::Database;
pub use store::SqliteStore;
