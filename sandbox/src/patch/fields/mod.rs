//! Field ownership: server-side apply, and the bookkeeping every other write owes it.
//!
//! `set` is the set of paths, `walk` and `merge` the typed walks, `typed` the check before a merge,
//! `managed` the `managedFields` list; `apply` and `update` below are the two operations on them.
//! Nothing here knows HTTP, storage or time.

mod apply;
mod managed;
mod merge;
mod set;
mod typed;
mod update;
mod walk;

pub use apply::{Apply, apply};
pub use managed::{Manager, Operation};
pub use set::FieldSet;
pub use update::track_update;

use serde_json::Value;
use std::sync::LazyLock;

/// Fields no manager owns: identity and what the server sets.
static NEVER_OWNED: LazyLock<FieldSet> = LazyLock::new(|| {
    FieldSet::of_fields(&[
        "apiVersion",
        "kind",
        "metadata",
        "metadata.name",
        "metadata.namespace",
        "metadata.creationTimestamp",
        "metadata.selfLink",
        "metadata.uid",
        "metadata.clusterName",
        "metadata.generation",
        "metadata.managedFields",
        "metadata.resourceVersion",
    ])
});

/// The object without its `managedFields`, which are no field of their own.
fn without_managers(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// The part of an object a write through `subresource` cannot touch, for the ownership bookkeeping.
///
/// A write to the object itself does not own `status` when the kind has that subresource; a write to
/// `status` owns nothing else, but for what of `metadata` is written with it.
#[must_use]
pub fn untouched_fields(subresource: &str, has_status: bool, kept: &[&str]) -> FieldSet {
    match (subresource, has_status) {
        ("", true) => FieldSet::of_fields(&["status"]),
        ("status", _) => FieldSet::of_fields(&[&["spec"], kept].concat()),
        _ => FieldSet::default(),
    }
}

#[cfg(test)]
mod tests;
