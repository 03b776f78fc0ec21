//! The embedded Kubernetes API: the default target of every runbook.
//!
//! | folder | what it holds |
//! |---|---|
//! | `ambient` | the clock and randomness, from outside |
//! | `controllers` | what keeps the cluster as its objects say: workloads, scheduler, kubelet, nodes |
//! | `kinds` | which kinds are served |
//! | `patch` | the four patch types and field ownership |
//! | `schema` | what objects look like: types, defaults, validation |
//! | `store` | objects, events, the log on disk |
//!
//! It stands alone: it knows nothing of runbooks, and everything talks to it over HTTP.

pub mod ambient;
pub mod controllers;
pub mod kinds;
pub mod patch;
pub mod schema;
pub mod store;
