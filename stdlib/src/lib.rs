//! What runbooks can use: the host modules, a folder each, all alike, in one visible list; and the Rhai
//! libraries and platform components embedded from `stdlib/lib/` and `stdlib/platform/`.
//!
//! A module folder has `mod.rs` (author's page and function table), option structs and plans beside each
//! function, `client.rs` (the only file that does IO) and `errors.rs`.

pub mod exec;
pub mod helm;
pub mod http;
pub mod k8s;
mod libraries;
pub mod notify;
pub mod sandbox;
pub mod storage;
pub mod target;
pub mod text;
pub mod time;
pub mod tls;
pub mod yaml;

use aegis_engine::function::{Module, Services};

pub use libraries::libraries;
use target::{Surroundings, Target};

/// Every host module that talks to the outside, in the order a reader should meet them.
#[must_use]
pub fn modules() -> Vec<Module> {
    vec![
        k8s::module(),
        sandbox::module(),
        helm::module(),
        exec::module(),
        http::module(),
        notify::module(),
        storage::module(),
        text::module(),
        time::module(),
        // one line a module
    ]
}

/// The clients of a target. Opens no connection: each client connects at its first call.
#[must_use]
pub fn services(target: &Target, surroundings: &Surroundings) -> Services {
    Services::default()
        .with(k8s::Cluster::of(target, surroundings))
        .with(sandbox::Rehearsal(target.sandbox))
        .with(helm::Helm::of(target, surroundings))
        .with(exec::Exec::new(surroundings))
        .with(http::HttpClient::new(surroundings))
        .with(notify::Notifier::new(target, surroundings))
        .with(storage::Storage::new(target, surroundings))
    // one line a module
}
