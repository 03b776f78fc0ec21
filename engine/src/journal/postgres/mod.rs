//! The store that several engines share: PostgreSQL, 13 or newer.
//!
//! - [`database`]: connections, questions that are asked again when the server is away, and what its errors mean
//! - [`tables`]: the tables and their versions
//! - `claims`: the right to execute a run, as a lease that is renewed in the background
//! - `store`: the journal's [`super::Store`]; `appending`, what it writes; `rows`, what it reads
//!
//! Everything is in the schema `aegis` of the database. Whatever depends on the time goes by the server's clock.

mod appending;
mod claims;
pub mod database;
mod rows;
mod store;
pub mod tables;

pub use database::{Connection, Database, Failed, Options, Patience};
pub use sqlx;
pub use store::PostgresStore;
