//! The product as a process: killed, resumed, planned through a counting server. Prints what it counted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![expect(clippy::print_stdout, reason = "the counts are for people to read")]

mod boundaries;
mod campaign;
mod cluster;
mod components;
mod documents;
mod outside;
mod plans;
mod process;
mod schedules;
mod server;
