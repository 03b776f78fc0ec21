//! `http`: requests to anything that speaks HTTP.
//!
//! - `read.rs`, `send.rs`: the functions
//! - `options.rs`: what their options mean
//! - `exchange.rs`: repeats and redirects, as decisions over requests and answers
//! - `answer.rs`: what the script is given
//! - `client.rs`: one request, one answer (the only file that does IO); `notify` sends through it too
//! - `errors.rs`: failures told apart

mod answer;
pub(crate) mod client;
pub(crate) mod errors;
pub(crate) mod exchange;
pub(crate) mod options;
mod read;
mod send;

pub use client::HttpClient;

use aegis_engine::function::{Function, Module};

/// The module and its table.
#[must_use]
pub fn module() -> Module {
    Module {
        name: "http",
        summary: "Sends HTTP requests.",
        page: include_str!("page.md"),
        functions: vec![
            Function::new::<read::Get>(),
            Function::new::<read::Head>(),
            Function::new::<send::Send>(),
        ],
    }
}
