//! Runs as a person would see them: scripts in, what happened out. The outside is a counting world, so that
//! "never performed twice" is a number.

mod breaking;
mod errors;
mod people;
mod steps;
mod undoing;
mod world;
