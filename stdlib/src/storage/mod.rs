//! `storage`: objects by URL, in S3 and in files.
//!
//! - `location.rs`: what a URL means
//! - `put.rs`, `get.rs`, `look.rs`, `delete.rs`, `copy.rs`, `presign.rs`: the functions
//! - `backend.rs`: what every kind of storage can do; `s3/` and `file/` are the kinds
//! - `client.rs`: the storage of a target, by kind

mod backend;
mod client;
mod copy;
mod delete;
mod file;
mod get;
mod location;
mod look;
mod presign;
mod put;
mod s3;

pub use client::Storage;

use aegis_engine::function::{Function, Module};

/// The module and its table.
#[must_use]
pub fn module() -> Module {
    Module {
        name: "storage",
        summary: "Stores, fetches, lists and removes objects by URL.",
        page: include_str!("page.md"),
        functions: vec![
            Function::new::<look::Exists>(),
            Function::new::<look::Head>(),
            Function::new::<look::List>(),
            Function::new::<get::Get>(),
            Function::new::<get::Download>(),
            Function::new::<put::Put>(),
            Function::new::<put::Upload>(),
            Function::new::<copy::Copy>(),
            Function::new::<delete::Delete>(),
            Function::new::<presign::Presign>(),
            Function::new::<presign::PresignUpload>(),
        ],
    }
}
