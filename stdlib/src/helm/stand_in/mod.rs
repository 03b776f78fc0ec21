//! Stand-in releases: on the sandbox target, where helm or a chart cannot be had, the objects that a component
//! declares it provides, kept as a release that real helm can list, read and uninstall.
//!
//! - `declaration.rs`: what `provides` says, as objects (pure)
//! - `record.rs`: the release record around them (pure)
//! - `operations.rs`: install, rollback, uninstall and repair, by the cluster's API alone
//!
//! A stand-in says so wherever it shows: in its chart's annotations, on each of its objects, in every answer.

mod declaration;
mod operations;
mod record;

pub(super) use declaration::Provides;
pub(super) use operations::{Manner, install, repair, rollback, uninstall};
pub(super) use record::rendering;
