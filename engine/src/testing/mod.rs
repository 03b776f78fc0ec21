//! For tests of engines and host modules (feature `testing`); never in the product.
//!
//! - [`Bench`]: one module with its services, called without a script and without a journal
//! - [`Interposed`]: a store with somebody between it and the journal

mod bench;
mod store;

pub use bench::Bench;
pub use store::Interposed;
