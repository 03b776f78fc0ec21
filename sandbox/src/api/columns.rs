//! The columns of tables.

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::store::Object;

pub(super) fn columns(_kind: &Kind) -> Value {
    json!([
        {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0},
        {"name": "Created At", "type": "date", "format": "", "description": "", "priority": 0},
    ])
}

pub(super) fn cells(_kind: &Kind, object: &Object) -> Value {
    json!([object["metadata"]["name"], object["metadata"]["creationTimestamp"]])
}
