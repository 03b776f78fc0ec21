//! The four ways to change an object: pure functions from a value and a body to a new value.
//!
//! | content type                             | function                   |
//! |------------------------------------------|----------------------------|
//! | `application/json-patch+json`            | [`json_patch`]             |
//! | `application/merge-patch+json`           | [`merge_patch`]            |
//! | `application/strategic-merge-patch+json` | [`strategic_merge_patch`]  |
//! | `application/apply-patch+yaml`           | [`apply`]                  |
//!
//! `yaml_to_json` reads an apply body. After any write that is not an apply, [`track_update`] keeps
//! `managedFields`; compare objects with [`same_but_for_times`] to find writes that change nothing.
//! What a value looks like comes in as a [`crate::schema::Schema`]; storage, HTTP, defaulting and
//! validation are the callers'.

mod elements;
mod error;
mod fields;
pub(crate) mod golang;
mod json;
mod merge;
mod strategic;
mod yaml;
mod yaml_problem;

pub use error::{Conflict, PatchError};
pub use fields::{Apply, FieldSet, Manager, Operation, apply, track_update, untouched_fields};
pub use json::json_patch;
pub use merge::merge_patch;
pub use strategic::strategic_merge_patch;
pub use yaml::yaml_to_json;

use serde_json::Value;

/// Whether two objects are equal apart from `resourceVersion` and the times in `managedFields`.
#[must_use]
pub fn same_but_for_times(a: &Value, b: &Value) -> bool {
    timeless(a) == timeless(b)
}

fn timeless(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        let entries = metadata.get_mut("managedFields").and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
            entry.remove("time");
        }
    }
    object
}
