//! `s3://`: AWS, or anything that speaks its API.
//!
//! - `credentials.rs`: where credentials and the region are looked for
//! - `client.rs`: requests of one bucket
//! - `upload.rs`: uploads in parts
//! - `errors.rs`: what S3's error codes mean here

mod client;
mod credentials;
mod errors;
mod upload;

pub(super) use client::S3;
