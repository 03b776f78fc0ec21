//! The default store: one SQLite file under the state directory, write-ahead log, every commit synced
//! (`synchronous=FULL`), so that what is acknowledged survives a power cut and not only a kill.
//!
//! - `database`: the file, its tables and their format, transactions, what SQLite's errors mean
//! - `claims`: the right to execute a run, as a lock on a file that ends with its process
//! - `rows`: what tables hold, as the journal's own types
//! - `store`: the journal's [`super::Store`]

mod claims;
mod database;
mod rows;
mod store;

pub use claims::is_claimed;
pub use store::SqliteStore;
