//! Filling in what a client left out, kind by kind as the real server does.
//!
//! `table` holds everything that is just a value; `rules` the few defaults that look at their neighbours.
//! A default is filled in wherever its type stands, so a pod template in a Deployment and a Pod share them.
//! What depends on other objects (service accounts, addresses, classes) is admission, not defaulting.

mod rules;
mod table;

use super::facts::short_name;
use super::shape::{Schema, Shape};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::LazyLock;

type Fields = Vec<(&'static str, Value)>;

static BY_TYPE: LazyLock<HashMap<&'static str, Fields>> = LazyLock::new(|| group(table::ROWS));
static BY_KIND: LazyLock<HashMap<&'static str, Fields>> = LazyLock::new(|| group(table::KIND_ROWS));

fn group(rows: &[table::Row]) -> HashMap<&'static str, Fields> {
    let mut groups: HashMap<&'static str, Fields> = HashMap::new();
    for (name, field, text) in rows {
        let value = serde_json::from_str(text).unwrap_or_default();
        groups.entry(name).or_default().push((field, value));
    }
    groups
}

/// Fills in the defaults of a decoded built-in object of `kind`.
pub fn fill_defaults(schema: &Schema, kind: &str, object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    fill(map, BY_KIND.get(kind));
    rules::kind(kind, map);
    walk(schema, object);
    rules::after(kind, object);
}

fn fill(map: &mut Map<String, Value>, defaults: Option<&Fields>) {
    for (field, value) in defaults.into_iter().flatten() {
        if !map.contains_key(*field) {
            map.insert((*field).to_owned(), value.clone());
        }
    }
}

/// Fills in an object's own type, then everything below it.
fn walk(schema: &Schema, value: &mut Value) {
    match (schema.shape(), value) {
        (Shape::Object(object), Value::Object(map)) => {
            let name = short_name(&object.name);
            fill(map, BY_TYPE.get(name));
            rules::typed(name, map);
            for (key, below) in map.iter_mut() {
                if let Some(schema) = object.field(key) {
                    walk(&schema, below);
                }
            }
        }
        (Shape::List(list), Value::Array(items)) => items.iter_mut().for_each(|item| walk(&list.items, item)),
        _ => {}
    }
}

/// The status a new object of `kind` has before any controller looked at it; `None` leaves it alone.
#[must_use]
pub fn first_status(kind: &str) -> Option<Value> {
    let row = table::FIRST_STATUS.iter().find(|row| row.0 == kind)?;
    serde_json::from_str(row.1).ok()
}

#[cfg(test)]
mod tests;
