//! The binary as a person uses it: a project in a folder of its own, command lines in, transcripts and exit
//! codes out. Nothing outside of loopback is touched.

mod authors;
mod operators;
mod project;
