//! Runs as a person would see them: scripts in, what happened out. The outside is a counting world, so that
//! "never performed twice" is a number.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![expect(clippy::print_stdout, reason = "the counts are for people to read")]

mod breaking;
mod errors;
mod logs;
mod people;
mod steps;
mod undoing;
mod world;
