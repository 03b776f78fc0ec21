//! The scheduler in simulated time: every change of every clock, outages, jumps, overlaps, calendars, files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![expect(clippy::print_stdout, reason = "the counts are for people to read")]

mod calendars;
mod files;
mod ics;
mod interrupted;
mod oracle;
mod outages;
mod queueing;
mod serving;
mod standing;
mod stores;
mod transitions;
mod world;
