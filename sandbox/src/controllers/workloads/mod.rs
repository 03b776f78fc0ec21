//! Workloads: controllers that make pods, or make those that do.

pub mod cron_job;
pub mod daemon_set;
pub mod deployment;
pub mod job;
pub mod job_ttl;
pub mod replica_set;
mod revisions;
pub mod stateful_set;

use super::fields::{Fields, Object};

/// Up to this many pods a workload looks at each step of each of them, as the real controllers mostly do; beyond, that
/// would cost the square of their number.
const SMALL: i64 = 64;

/// Whether a workload is small; one that is gone is.
fn is_small(workload: Option<&Object>) -> bool {
    workload.is_none_or(|workload| {
        workload.count("/spec/replicas").max(workload.count("/status/replicas")) <= SMALL
    })
}
