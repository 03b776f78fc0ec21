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
//! | `events` | notes that people read |
//! | `settings` | delays and rules of one cluster |
//! | `fields`, `conditions`, `selector`, `quantity`, `usage`, `names`, `pods` | shared words |
//!
//! Custom kinds are played by `players`.

pub mod api;
pub mod bare;
pub mod cache;
pub mod conditions;
pub mod controller;
pub mod events;
pub mod fields;
pub mod kubelet;
pub mod manager;
pub mod names;
pub mod nodes;
pub mod pods;
pub mod quantity;
pub mod queue;
pub mod scheduler;
pub mod selector;
pub mod settings;
pub mod usage;
pub mod workloads;

#[cfg(test)]
mod tests;

pub use self::manager::Manager;
pub use self::nodes::topology::Topology;
pub use self::settings::Settings;

use self::controller::Controller;

/// Every controller, in the order in which they are asked when several have work.
pub const ALL: &[Controller] = &[
    nodes::heartbeat::CONTROLLER,
    nodes::lifecycle::CONTROLLER,
    nodes::eviction::CONTROLLER,
    nodes::garbage::CONTROLLER,
    workloads::deployment::CONTROLLER,
    workloads::replica_set::CONTROLLER,
    scheduler::CONTROLLER,
    kubelet::CONTROLLER,
];
