//! For tests of engines and host modules (feature `testing`); never in the product.
//!
//! - [`Bench`]: one module with its services, called without a script and without a journal
//! - [`PostgresServer`], [`SeaweedServer`] (S3): real ones
//! - [`Interposed`]: a store with somebody between it and the journal

mod bench;
pub mod postgres;
mod seaweed;
mod store;

pub use bench::Bench;
pub use postgres::PostgresServer;
pub use seaweed::SeaweedServer;
pub use store::Interposed;
