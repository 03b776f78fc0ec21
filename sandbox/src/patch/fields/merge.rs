//! Bringing an applied configuration into the live object, and taking given-up fields out of it.

use super::set::{FieldSet, field_edge};
use super::walk::{Keys, Walk, array, elements, walk};
use crate::schema::{ListShape, Schema};
use serde_json::{Map, Value};

/// `live` with everything `config` says.
pub(super) fn merge(schema: &Schema, live: Option<&Value>, config: Option<&Value>) -> Value {
    match (live, config) {
        (None, None) => Value::Null,
        (Some(live), None) => live.clone(),
        (None, Some(config)) => config.clone(),
        (Some(live), Some(config)) => match walk(schema, if config.is_null() { live } else { config }) {
            Walk::Map(keys) if config.is_object() && live.is_object() => merge_maps(&keys, live, config),
            Walk::Map(_) | Walk::List(_) if config.is_null() => live.clone(),
            Walk::List(list) if live.is_array() => merge_lists(list, array(Some(live)), array(Some(config))),
            _ => config.clone(),
        },
    }
}

fn merge_maps(keys: &Keys<'_>, live: &Value, config: &Value) -> Value {
    let mut merged: Map<String, Value> = live.as_object().cloned().unwrap_or_default();
    for (key, value) in config.as_object().into_iter().flatten() {
        let (schema, _) = keys.field(key);
        let value = merge(&schema, merged.get(key), Some(value));
        merged.insert(key.clone(), value);
    }
    Value::Object(merged)
}

/// Merges two granular lists: live-only elements keep their place, the others follow the configuration.
fn merge_lists(list: &ListShape, live: &[Value], config: &[Value]) -> Value {
    let live = elements(list, live);
    let config = elements(list, config);
    let in_config = |edge: &str| config.iter().any(|(other, _)| other == edge);
    let of_live = |edge: &str| live.iter().find(|(other, _)| other == edge).map(|(_, item)| *item);
    let merged = |(edge, item): &(String, &Value)| merge(&list.items, of_live(edge), Some(item));

    let shared: Vec<&String> =
        config.iter().map(|(edge, _)| edge).filter(|edge| of_live(edge).is_some()).collect();
    let (mut next_shared, mut right, mut out) = (0, 0, Vec::new());
    for (edge, item) in &live {
        if !in_config(edge) {
            out.push((*item).clone());
            continue;
        }
        // A shared element: everything of the configuration up to the next shared one goes here.
        let Some(target) = shared.get(next_shared) else { continue };
        while let Some(entry) = config.get(right) {
            out.push(merged(entry));
            right += 1;
            if entry.0 == **target {
                break;
            }
        }
        next_shared += 1;
    }
    out.extend(config.iter().skip(right).map(merged));
    Value::Array(out)
}

/// `value` without the fields in `gone`; `None` when nothing is left of an object or list that had content.
pub(super) fn remove(schema: &Schema, value: &Value, gone: &FieldSet) -> Option<Value> {
    match walk(schema, value) {
        Walk::Map(keys) => {
            let kept = value.as_object().into_iter().flatten().filter_map(|(key, below)| {
                let (schema, _) = keys.field(key);
                remove_one(&schema, &field_edge(key), below, gone).map(|below| (key.clone(), below))
            });
            let kept: Map<String, Value> = kept.collect();
            let emptied = kept.is_empty() && value.as_object().is_some_and(|map| !map.is_empty());
            (!emptied).then_some(Value::Object(kept))
        }
        Walk::List(list) => {
            let items = array(Some(value));
            let kept: Vec<Value> = elements(list, items)
                .into_iter()
                .filter_map(|(edge, item)| remove_one(&list.items, &edge, item, gone))
                .collect();
            (items.is_empty() || !kept.is_empty()).then_some(Value::Array(kept))
        }
        Walk::Leaf => Some(value.clone()),
    }
}

fn remove_one(schema: &Schema, edge: &str, value: &Value, gone: &FieldSet) -> Option<Value> {
    if gone.has(edge) {
        return None;
    }
    match gone.below(edge) {
        Some(below) => remove(schema, value, below),
        None => Some(value.clone()),
    }
}

/// `set` with every declared field on the way to one of its paths added as a member.
pub(super) fn with_named_parents(schema: &Schema, set: &FieldSet) -> FieldSet {
    let mut result = FieldSet::default();
    for (edge, child) in set.children() {
        let (below, declared) = step(schema, edge);
        let mut deeper = with_named_parents(&below, child);
        if set.has(edge) || (declared && !child.is_empty()) {
            deeper.set_member();
        }
        result.attach(edge.clone(), deeper);
    }
    result
}

fn step(schema: &Schema, edge: &str) -> (Schema, bool) {
    match (edge.strip_prefix("f:"), schema.list()) {
        (Some(name), _) => {
            let declared = schema.object().is_some_and(|object| object.fields.contains_key(name));
            (schema.field(name).unwrap_or_else(Schema::any), declared)
        }
        (None, Some(list)) => (list.items.clone(), false),
        _ => (Schema::any(), false),
    }
}
