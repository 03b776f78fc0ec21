//! The `k8s` module: any kind of any cluster through the dynamic API, built-in or custom.
//!
//! | file | what |
//! |---|---|
//! | `client.rs` | the connection: kubeconfig, retries, discovery; the only IO |
//! | `request.rs` | a request as a value |
//! | `errors.rs` | what a failure becomes for people |
//! | `kinds.rs`, `target.rs` | the kinds served; `kind/name` |
//! | `world.rs` | the cluster as one call sees it, planned objects included |
//! | `object.rs`, `diff.rs`, `selector.rs`, `expression.rs`, `ready.rs` | pure looks at objects |
//! | `manifest.rs`, `preview.rs`, `diagnose.rs` | what apply is given; what it would do; why a wait fails |
//! | the rest | the functions, a family a file |

mod apply;
mod client;
mod create;
mod delete;
mod diagnose;
mod diff;
mod errors;
mod events;
mod expression;
mod kinds;
mod manifest;
mod object;
mod patch;
mod preview;
mod read;
mod ready;
mod request;
mod restore;
mod scale;
mod selector;
mod target;
mod wait;
mod world;

use aegis_engine::function::{Function, Module};

pub use client::Cluster;

/// The module and its table of functions.
#[must_use]
pub fn module() -> Module {
    Module {
        name: "k8s",
        summary: "Kubernetes: any kind of any cluster.",
        page: include_str!("page.md"),
        functions: vec![
            Function::new::<read::Get>(),
            Function::new::<read::List>(),
            Function::new::<read::Exists>(),
            Function::new::<read::ReadSecret>(),
            Function::new::<apply::Apply>(),
            Function::new::<apply::Diff>(),
            Function::new::<create::Create>(),
            Function::new::<patch::Patch>(),
            Function::new::<delete::Delete>(),
            Function::new::<restore::Restore>(),
            Function::new::<wait::Wait>(),
            Function::new::<scale::Scale>(),
            Function::new::<events::Events>(),
        ],
    }
}
