//! Whether an applied configuration fits its schema well enough to be merged.
//!
//! Looser than validation: only what would make ownership ambiguous is refused, in the words of the typed
//! conversion (`.data.a: expected string, got ...`).

use super::set::{edge_text, field_edge};
use super::walk::{array, element_edge};
use crate::schema::{ListKind, ListShape, ObjectShape, Scalar, Schema, Shape};
use serde_json::{Map, Value};

/// Every misfit of `value`, each with its path.
pub(super) fn misfits(schema: &Schema, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found
}

fn check(schema: &Schema, value: &Value, path: &str, found: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    match (schema.shape(), value) {
        (Shape::Object(object), Value::Object(map)) => check_map(object, map, path, found),
        (Shape::Object(_), other) => found.push(format!("{path}: expected map, got {}", got(other))),
        (Shape::List(list), Value::Array(_)) => check_list(list, value, path, found),
        (Shape::List(_), other) => found.push(format!("{path}: expected list, got {}", got(other))),
        (Shape::Scalar(scalar), other) => {
            found.extend(scalar_misfit(*scalar, other).map(|why| format!("{path}: {why}")))
        }
        (Shape::Any, _) => {}
    }
}

fn check_map(object: &ObjectShape, map: &Map<String, Value>, path: &str, found: &mut Vec<String>) {
    for (key, below) in map {
        let path = format!("{path}{}", edge_text(&field_edge(key)));
        match object.field(key) {
            Some(schema) => check(&schema, below, &path, found),
            None => found.push(format!("{path}: field not declared in schema")),
        }
    }
}

fn check_list(list: &ListShape, value: &Value, path: &str, found: &mut Vec<String>) {
    let mut seen = Vec::new();
    for (at, item) in array(Some(value)).iter().enumerate() {
        let edge = element_edge(list, item);
        if edge.is_none() && list.kind != ListKind::Atomic {
            found.push(format!("{path}: element {at}: {}", missing_keys(list)));
        }
        if let Some(edge) = &edge {
            if seen.contains(edge) {
                found.push(format!("{path}: duplicate entries for key {}", edge_text(edge)));
            }
            seen.push(edge.clone());
        }
        let step = edge.map_or_else(|| format!("[{at}]"), |edge| edge_text(&edge));
        check(&list.items, item, &format!("{path}{step}"), found);
    }
}

fn missing_keys(list: &ListShape) -> String {
    match &list.kind {
        ListKind::Map(keys) => {
            let names: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
            format!(
                "associative list with keys has an element that omits key field {} (and doesn't have default value)",
                names.join(", ")
            )
        }
        _ => "associative list without keys has an element that's a map type".to_owned(),
    }
}

fn scalar_misfit(scalar: Scalar, value: &Value) -> Option<String> {
    let fits = match scalar {
        Scalar::String | Scalar::Bytes | Scalar::Time | Scalar::MicroTime => value.is_string(),
        Scalar::Int32 | Scalar::Int64 | Scalar::Number => value.is_number(),
        Scalar::Boolean => value.is_boolean(),
        Scalar::IntOrString | Scalar::Quantity => {
            value.is_string() || value.is_number() || value.is_boolean()
        }
    };
    let expected = match scalar {
        Scalar::Int32 | Scalar::Int64 | Scalar::Number => "numeric (int or float)",
        Scalar::Boolean => "boolean",
        _ => "string",
    };
    let numeric = matches!(scalar, Scalar::Int32 | Scalar::Int64 | Scalar::Number);
    (!fits).then(|| match value {
        Value::String(_) if numeric => format!("expected {expected}, got string"),
        other => format!("expected {expected}, got {}", got(other)),
    })
}

fn got(value: &Value) -> String {
    format!("&value.valueUnstructured{{Value:{}}}", literal(value))
}

/// Go's `%#v` of a JSON value.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Array(items) => {
            format!("[]interface {{}}{{{}}}", items.iter().map(literal).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(key, v)| format!("{key:?}:{}", literal(v))).collect();
            format!("map[string]interface {{}}{{{}}}", entries.join(", "))
        }
        scalar => scalar.to_string(),
    }
}
