//! Dropping fields a structural schema does not declare.

use super::{flag, preserves_unknown};
use serde_json::{Map, Value};

/// Drops undeclared fields of an object and returns their paths.
pub(super) fn prune(schema: &Value, object: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    if let Value::Object(map) = object {
        fields(schema, map, true, "", &mut unknown);
    }
    unknown
}

fn value(schema: &Value, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let embedded = flag(schema, "x-kubernetes-embedded-resource");
            fields(schema, map, embedded, path, unknown);
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                self::value(&schema["items"], item, &format!("{path}[{at}]"), unknown);
            }
        }
        _ => {}
    }
}

fn fields(
    schema: &Value,
    map: &mut Map<String, Value>,
    identity: bool,
    path: &str,
    unknown: &mut Vec<String>,
) {
    let keep = preserves_unknown(schema) || flag(schema, "additionalProperties");
    let values = schema.get("additionalProperties").filter(|values| values.is_object());
    map.retain(|key, below| {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if identity && matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
            return true;
        }
        match schema["properties"].get(key).or(values) {
            Some(schema) => value(schema, below, &path, unknown),
            None if keep => {}
            None => {
                unknown.push(path);
                return false;
            }
        }
        true
    });
}
