//! Controllers over a bare store and a pinned clock: steps are counted, nothing sleeps.

mod bench;
mod cluster;
mod deployments;
mod faults;
mod nodes;
mod players;
mod pods;
mod refused;
mod storage;
mod upkeep;
mod workloads;
