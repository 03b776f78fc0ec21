//! The list half of strategic merge: matching elements, directives inside a list, and order.

use super::strategic::{merge_map, unknown_directive, without_directives};
use super::{PatchError, golang};
use crate::schema::{ListPatch, Schema};
use serde_json::Value;

const DIRECTIVE: &str = "$patch";

/// Merges the list `patch` into `original` by the list's strategy.
pub(super) fn merge_list(
    items: &Schema,
    strategy: &ListPatch,
    original: Vec<Value>,
    patch: Vec<Value>,
) -> Result<Vec<Value>, PatchError> {
    let merged = match strategy {
        ListPatch::Replace => return Ok(patch.into_iter().map(without_directives).collect()),
        ListPatch::MergeScalars => merge_scalars(&original, &patch),
        ListPatch::MergeBy(key) => {
            let (kept, patch) = special_elements(key, original.clone(), &patch)?;
            merge_objects(items, key, kept, patch)?
        }
    };
    Ok(set_order(strategy, merged, &patch, &original))
}

fn merge_scalars(original: &[Value], patch: &[Value]) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::new();
    for item in original.iter().chain(patch) {
        if !merged.contains(item) {
            merged.push(item.clone());
        }
    }
    merged
}

/// Carries out `$patch` elements: returns the original without what they remove, and the ordinary rest.
fn special_elements(
    key: &str,
    mut original: Vec<Value>,
    patch: &[Value],
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut ordinary = Vec::new();
    let mut replace = false;
    for item in patch {
        match item.get(DIRECTIVE).map(golang::print).as_deref() {
            None => ordinary.push(item.clone()),
            Some("replace") => replace = true,
            Some("delete") => {
                let gone = key_value(key, item)?;
                original.retain(|old| old.get(key) != Some(gone));
            }
            Some("merge") => {
                return Err(PatchError::Failed(
                    "merging lists cannot yet be specified in the patch".to_owned(),
                ));
            }
            Some(name) => {
                return Err(unknown_directive(name, &item.as_object().cloned().unwrap_or_default()));
            }
        }
    }
    Ok(if replace { (ordinary, Vec::new()) } else { (original, ordinary) })
}

fn key_value<'a>(key: &str, item: &'a Value) -> Result<&'a Value, PatchError> {
    item.get(key).ok_or_else(|| {
        PatchError::Failed(format!("map: {} does not contain declared merge key: {key}", golang::print(item)))
    })
}

fn merge_objects(
    items: &Schema,
    key: &str,
    mut merged: Vec<Value>,
    patch: Vec<Value>,
) -> Result<Vec<Value>, PatchError> {
    for item in patch {
        let id = key_value(key, &item)?;
        let place = merged.iter().position(|old| old.get(key) == Some(id));
        match (place, item) {
            (Some(at), Value::Object(new)) => {
                let old = merged[at].as_object().cloned().unwrap_or_default();
                merged[at] = Value::Object(merge_map(items, old, new)?);
            }
            (_, item) => merged.push(without_directives(item)),
        }
    }
    Ok(merged)
}

/// Position of `item` in `list`, matched the way `strategy` matches.
pub(super) fn order(strategy: &ListPatch, list: &[Value], item: &Value) -> Option<usize> {
    match strategy {
        ListPatch::MergeBy(key) => {
            let id = item.get(key)?;
            list.iter().position(|other| other.get(key) == Some(id))
        }
        _ => list.iter().position(|other| other == item),
    }
}

/// Orders `merged`: elements named in `wanted` follow it, the others keep their place in `server`.
pub(super) fn set_order(
    strategy: &ListPatch,
    merged: Vec<Value>,
    wanted: &[Value],
    server: &[Value],
) -> Vec<Value> {
    let (mut named, mut rest): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| order(strategy, wanted, item).is_some());
    named.sort_by_key(|item| order(strategy, wanted, item));
    rest.sort_by_key(|item| order(strategy, server, item));
    weave(strategy, rest, named, server)
}

/// Merges two ordered lists; an element of `rest` goes first only where the server had it in front.
fn weave(strategy: &ListPatch, rest: Vec<Value>, named: Vec<Value>, server: &[Value]) -> Vec<Value> {
    let mut out = Vec::with_capacity(rest.len() + named.len());
    let (mut rest, mut named) = (rest.into_iter().peekable(), named.into_iter().peekable());
    while let (Some(left), Some(right)) = (rest.peek(), named.peek()) {
        let places = (order(strategy, server, left), order(strategy, server, right));
        let rest_first = matches!(places, (Some(l), Some(r)) if l < r);
        out.extend(if rest_first { rest.next() } else { named.next() });
    }
    out.extend(rest);
    out.extend(named);
    out
}
