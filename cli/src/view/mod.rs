//! What people see. Views read events and reports and nothing else.

pub(crate) mod failure;
pub(crate) mod live;
mod margin;
pub(crate) mod plain;
pub(crate) mod table;
pub(crate) mod tables;
pub(crate) mod tracing;
pub(crate) mod tree;

use std::io::Write;

/// Talk goes to stderr. A terminal that has gone away ends no run: the journal has everything.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
