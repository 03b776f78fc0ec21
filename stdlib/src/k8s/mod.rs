//! The `k8s` module: any kind of any cluster through the dynamic API, built-in or custom.
//!
//! | file | what |
//! |---|---|
//! | `client.rs`, `client/` | the connection: kubeconfig, retries, discovery, streams; the only IO |
//! | `request.rs` | a request as a value |
//! | `errors.rs` | what a failure becomes for people |
//! | `kinds.rs`, `target.rs` | the kinds served; `kind/name` |
//! | `world.rs` | the cluster as one call sees it, planned objects included |
//! | `object.rs`, `diff.rs`, `selector.rs`, `expression.rs`, `ready.rs`, `quantity.rs` | pure looks at objects |
//! | `manifest.rs`, `preview.rs`, `diagnose.rs`, `revision.rs` | what apply is given; what it would do; why a wait fails; what can be rolled back to |
//! | `bell.rs` | what wakes up a wait |
//! | `objects.rs` | the cluster for other host modules |
//! | `executor/` | runs as Jobs, for those who start runs |
//! | the rest | the functions, a family a file |

mod apply;
mod bell;
mod client;
mod cluster;
mod create;
mod delete;
mod diagnose;
pub(crate) mod diff;
mod drain;
mod election;
mod errors;
mod events;
mod evict;
mod exec;
mod executor;
mod expression;
mod image;
mod kinds;
mod logs;
mod manifest;
mod metadata;
mod nodes;
mod object;
pub(crate) mod objects;
mod patch;
mod preflight;
mod preview;
mod quantity;
mod read;
mod ready;
mod request;
mod restore;
mod revision;
mod rollout;
mod scale;
mod selector;
mod target;
mod wait;
mod world;

use aegis_engine::function::{Function, Module};

pub use client::{Cluster, Position};
pub use election::{Candidate, Election};
pub use executor::{Executor, JobBell, Seen, Work, job_name};

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
            Function::new::<rollout::RolloutStatus>(),
            Function::new::<rollout::RolloutHistory>(),
            Function::new::<rollout::RolloutRestart>(),
            Function::new::<rollout::RolloutUndo>(),
            Function::new::<image::SetImage>(),
            Function::new::<metadata::Label>(),
            Function::new::<metadata::Annotate>(),
            Function::new::<nodes::Nodes>(),
            Function::new::<nodes::Cordon>(),
            Function::new::<nodes::Uncordon>(),
            Function::new::<nodes::TaintNode>(),
            Function::new::<preflight::DrainPreflight>(),
            Function::new::<drain::Drain>(),
            Function::new::<evict::Evict>(),
            Function::new::<exec::Exec>(),
            Function::new::<logs::Logs>(),
            Function::new::<events::Events>(),
            Function::new::<cluster::Top>(),
            Function::new::<cluster::CanI>(),
            Function::new::<cluster::ApiResources>(),
            Function::new::<cluster::Version>(),
        ],
    }
}
