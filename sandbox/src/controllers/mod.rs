//! The controllers: everything that keeps a cluster as its objects say it should be.
//!
//! [`ALL`] is the list; each entry is one file (or folder) of the same shape, see `controller`. The
//! [`Manager`] runs them in one task over the cluster's own clock, so that a test can step them and a
//! rehearsal can run them faster.
//!
//! | file | what |
//! |---|---|
//! | `controller` | the shape: `wakes` and `reconcile`, plans and writes |
//! | `manager`, `queue` | running them |
//! | `cache` | the picture of the cluster they look at |
//! | `api`, `bare` | the door they write through |
//! | `events`, `correlator` | notes that people read, and not too many of them |
//! | `settings` | delays and rules of one cluster |
//! | `fields`, `conditions`, `selector`, `quantity`, `usage`, `names`, `pods` | shared words |
//!
//! Custom kinds are played by `players`.

pub mod api;
pub mod bare;
pub mod cache;
pub mod cluster;
pub mod conditions;
pub mod controller;
pub mod correlator;
pub mod events;
pub mod fields;
pub mod kubelet;
pub mod manager;
pub mod metrics;
pub mod names;
pub mod network;
pub mod nodes;
pub mod pods;
pub mod policy;
pub mod quantity;
pub mod queue;
pub mod scheduler;
pub mod selector;
pub mod settings;
pub mod storage;
pub mod usage;
pub mod workloads;

#[cfg(test)]
mod tests;

pub use self::manager::Manager;
pub use self::nodes::topology::Topology;
pub use self::settings::Settings;

use self::controller::Controller;
use crate::{faults, players};

/// Every controller, in the order in which they are asked when several have work.
pub const ALL: &[Controller] = &[
    faults::pods::CONTROLLER,
    faults::nodes::CONTROLLER,
    faults::certificates::CONTROLLER,
    nodes::heartbeat::CONTROLLER,
    nodes::static_pods::CONTROLLER,
    nodes::lifecycle::CONTROLLER,
    nodes::eviction::CONTROLLER,
    nodes::garbage::CONTROLLER,
    cluster::namespace::CONTROLLER,
    cluster::service_account::CONTROLLER,
    cluster::token_secrets::CONTROLLER,
    cluster::root_ca::CONTROLLER,
    cluster::role_aggregation::CONTROLLER,
    cluster::garbage::CONTROLLER,
    storage::binder::CONTROLLER,
    storage::provisioner::CONTROLLER,
    storage::protection::CONTROLLER,
    scheduler::CONTROLLER,
    // Before the kubelet: small workloads and endpoints follow pod by pod.
    workloads::replica_set::PROMPT,
    workloads::deployment::PROMPT,
    network::endpoint_slices::CONTROLLER,
    network::endpoints::CONTROLLER,
    kubelet::CONTROLLER,
    // After those that move single pods: these look at their pods once, not at each step of each.
    workloads::cron_job::CONTROLLER,
    // What a hook Job makes is there before the Job is complete.
    players::hooks::CONTROLLER,
    workloads::job::CONTROLLER,
    workloads::job_ttl::CONTROLLER,
    // Before the Deployments that size them: a set takes its surplus before another grows.
    workloads::replica_set::CONTROLLER,
    workloads::deployment::CONTROLLER,
    workloads::stateful_set::CONTROLLER,
    workloads::daemon_set::CONTROLLER,
    network::load_balancer::CONTROLLER,
    policy::disruption::CONTROLLER,
    policy::quota::ADMISSION,
    policy::quota::CONTROLLER,
    policy::autoscaler::CONTROLLER,
    policy::admission_status::CONTROLLER,
    cluster::api_service::CONTROLLER,
    cluster::event_expiry::CONTROLLER,
    players::custom::CONTROLLER,
    players::webhooks::CONTROLLER,
    players::seal::CONTROLLER,
];
