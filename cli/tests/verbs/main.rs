//! The binary as a person uses it: a project in a folder of its own, command lines in, transcripts and exit
//! codes out. Nothing outside of loopback is touched.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod api;
mod authors;
mod deploy;
mod listener;
mod monitoring;
mod operators;
mod project;
mod refusals;
mod sandbox;
mod schedules;
mod serving;
mod shared;
mod terminal;
mod traces;
mod triggers;
