//! Defaults of a structural schema: absent fields, and nulls where null is no value.

use super::flag;
use serde_json::Value;

/// Fills in defaults below `value`.
pub(super) fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                let Some(default) = field.get("default") else { continue };
                let missing = match map.get(name) {
                    None => true,
                    Some(Value::Null) => !flag(field, "nullable"),
                    Some(_) => false,
                };
                if missing {
                    map.insert(name.clone(), default.clone());
                }
            }
            let values = schema.get("additionalProperties").filter(|values| values.is_object());
            for (name, below) in map.iter_mut() {
                if let Some(field) = schema["properties"].get(name).or(values) {
                    fill(field, below);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(&schema["items"], item)),
        _ => {}
    }
}
