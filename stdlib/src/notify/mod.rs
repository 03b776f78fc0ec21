//! `notify`: tells people and systems.
//!
//! - `send.rs`: the functions
//! - `channels.rs`: which channel a name means
//! - `message.rs`: what is told, the same for all kinds
//! - `webhook.rs`, `slack.rs`, `email.rs`: the message in the words of each kind, without IO
//! - `client.rs`: delivery (the only file that does IO)

mod channels;
mod client;
mod email;
mod message;
mod send;
mod slack;
mod webhook;

pub use client::Notifier;

use aegis_engine::function::{Function, Module};

/// The module and its table.
#[must_use]
pub fn module() -> Module {
    Module {
        name: "notify",
        summary: "Sends notifications to the channels of the target.",
        page: include_str!("page.md"),
        functions: vec![Function::new::<send::Send>(), Function::new::<send::Test>()],
    }
}
