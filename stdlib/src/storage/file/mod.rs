//! `file://`: objects are files below one root. They have no versions.

mod client;

pub(super) use client::Files;
