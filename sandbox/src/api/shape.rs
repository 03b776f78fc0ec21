//! The schemas of all kinds as documents, for `kubectl explain` and for clients that validate.

use serde_json::{Value, json};

use crate::kinds::Kinds;

pub(super) fn openapi_v2(_kinds: &Kinds) -> Value {
    json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": {}, "definitions": {}})
}

pub(super) fn openapi_v3(kinds: &Kinds, group: &str, version: &str) -> Option<Value> {
    let is_served = kinds.all().iter().any(|kind| kind.group == group && kind.version == version);
    is_served.then(
        || json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": {}}),
    )
}

pub(super) fn openapi_hash(_kinds: &Kinds, group: &str, version: &str) -> String {
    hex::encode_upper(format!("{group}/{version}"))
}
