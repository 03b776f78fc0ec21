//! Holds the sandbox against recordings of a real Kubernetes API server.
//!
//! ```text
//!   recording -> request -> sandbox -> answer -> compare -> report
//!    (lines)    (learnt values                  (learnt values
//!                put in)                         taken out)
//! ```
//!
//! | place | what it does |
//! |---|---|
//! | `recording` | the lines of a scenario, unpacked |
//! | `motion` | which recorded objects a controller was changing at the time |
//! | `learnt` | recorded values and what they are here: uids, versions, generated names |
//! | `request` | a recorded line as a request of today |
//! | `client` | the only file that talks to the sandbox |
//! | `server` | a sandbox as the recordings had their cluster |
//! | `nodes` | the nodes that the recordings' cluster had |
//! | `replay` | one scenario from its first line to its last |
//! | `compare` | two answers as a list of differences, and which differences mean nothing |
//! | `known` | differences that stay, with their reasons |
//! | `report` | what a person reads |
//!
//! What may differ is decided by the recordings' own rules, in `compare::rules`, and nowhere else.

mod client;
mod compare;
mod known;
mod learnt;
mod motion;
mod nodes;
mod recording;
mod replay;
mod report;
mod request;
mod server;

pub use compare::Difference;
pub use recording::{Recording, recordings};
pub use replay::{Outcome, Scenario, replay};
pub use report::{Shown, differences, page, table};
