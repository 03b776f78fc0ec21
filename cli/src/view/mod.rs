//! What people see. Views read events and reports and nothing else.

pub(crate) mod failure;
pub(crate) mod live;
pub(crate) mod plain;
pub(crate) mod table;
pub(crate) mod tables;
pub(crate) mod tracing;
pub(crate) mod tree;
