//! Workloads: controllers that make pods, or make those that do.

pub mod deployment;
pub mod replica_set;
