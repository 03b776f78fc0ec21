//! Workloads: controllers that make pods, or make those that do.

pub mod cron_job;
pub mod daemon_set;
pub mod deployment;
pub mod job;
pub mod job_ttl;
pub mod replica_set;
mod revisions;
pub mod stateful_set;
