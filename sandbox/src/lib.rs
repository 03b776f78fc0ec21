//! The embedded Kubernetes API: the default target of every runbook.
//!
//! | folder | what it holds |
//! |---|---|
//! | `admission` | what the cluster makes of a write before it is stored |
//! | `ambient` | the clock and randomness, from outside |
//! | `api` | HTTP requests: routing, reading, watching, writing, refusing |
//! | `client` | asking a server over HTTPS: the cluster itself, and webhooks |
//! | `controllers` | what keeps the cluster as its objects say: workloads, scheduler, kubelet, nodes |
//! | `faults` | what goes wrong on purpose |
//! | `kinds` | which kinds are served |
//! | `patch` | the four patch types and field ownership |
//! | `schema` | what objects look like: types, defaults, validation |
//! | `scenario` | what is done to a cluster and when, played the same way every time |
//! | `serve` | a state directory as a running cluster, and taking over |
//! | `picture`, `reach` | questions people ask: how does it look, who reaches whom |
//! | `players` | what operators would do for the kinds of the platform |
//! | `processes` | containers that really run, as processes of this machine |
//! | `store` | objects, events, the log on disk |
//! | `table` | the columns and cells kubectl shows |
//!
//! It stands alone: it knows nothing of runbooks, and everything talks to it over HTTP.

pub mod admission;
pub mod ambient;
pub mod api;
mod client;
pub mod controllers;
pub mod faults;
pub mod kinds;
pub mod patch;
pub mod picture;
pub mod players;
pub mod processes;
mod protobuf;
pub mod reach;
pub mod scenario;
pub mod schema;
pub mod serve;
pub mod store;
pub mod table;

pub use serve::{Options, Sandbox};
