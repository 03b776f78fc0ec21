//! Small looks into an object as JSON: its name, its noise, its secrets. Pure.

use aegis_engine::secret::MASK;
use serde_json::{Map, Value};

/// A text inside an object, by JSON pointer.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A whole number inside an object; 0 when absent.
pub(super) fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// An array inside an object; empty when absent.
pub(super) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(super) fn namespace(object: &Value) -> Option<&str> {
    object.pointer("/metadata/namespace").and_then(Value::as_str)
}

/// `deployment/web`, for people.
pub(super) fn title(object: &Value) -> String {
    let name = match name(object) {
        "" => format!("{}*", text(object, "/metadata/generateName")),
        name => name.to_owned(),
    };
    format!("{}/{name}", text(object, "/kind").to_lowercase())
}

/// The condition of a type.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    items(object, "/status/conditions").iter().find(|condition| condition["type"] == kind)
}

/// True when the condition of a type has status `True`.
pub(super) fn holds(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

/// The kind of the controlling owner.
pub(super) fn controller(object: &Value) -> Option<&Value> {
    items(object, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true)
}

pub(super) fn is_secret(object: &Value) -> bool {
    object["kind"] == "Secret" && matches!(object["apiVersion"].as_str(), Some("v1") | None)
}

/// Metadata the server keeps for itself: it changes without anybody changing the object.
const NOISE: [&str; 6] =
    ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"];

/// The object as its author would have written it: no status, no bookkeeping of the server.
pub(super) fn essence(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| !NOISE.contains(&key.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            annotations.remove("deployment.kubernetes.io/revision");
        }
        metadata.retain(|_, value| !is_empty(value));
    }
    object
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

/// The object for the eyes of scripts, journals and people: no managed fields, and the data of a Secret
/// masked (`read_secret` hands it out as a secret).
pub(super) fn visible(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if is_secret(&object) {
        mask(&mut object);
    }
    object
}

/// Masks the data of a Secret in place.
pub(super) fn mask(secret: &mut Value) {
    for field in ["data", "stringData"] {
        for value in secret[field].as_object_mut().into_iter().flat_map(Map::values_mut) {
            *value = Value::String(MASK.to_owned());
        }
    }
    for field in ["data", "stringData"] {
        if secret[field].is_null()
            && let Some(map) = secret.as_object_mut()
        {
            map.remove(field);
        }
    }
    if let Some(annotations) = secret.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

/// The JSON merge patch (RFC 7396) that turns one value into the other.
pub(super) fn merge_patch(from: &Value, to: &Value) -> Value {
    let (Some(old), Some(new)) = (from.as_object(), to.as_object()) else { return to.clone() };
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(before) if before == value => {}
            Some(before) if before.is_object() && value.is_object() => {
                patch.insert(key.clone(), merge_patch(before, value));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_turns_one_into_the_other() {
        let from = json!({"a": 1, "b": {"c": 1, "d": 2}, "l": [1, 2]});
        let to = json!({"b": {"c": 1, "d": 3, "e": {"f": 1}}, "l": [1]});
        let patch = merge_patch(&from, &to);
        assert_eq!(patch, json!({"a": null, "b": {"d": 3, "e": {"f": 1}}, "l": [1]}));
        let mut patched = from;
        json_patch::merge(&mut patched, &patch);
        assert_eq!(patched, to);
    }

    #[test]
    fn a_secret_is_masked_and_nothing_else_is() {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"k": "djE="}, "metadata": {"name": "s"}});
        assert_eq!(visible(secret)["data"], json!({"k": "***"}));
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"}});
        assert_eq!(visible(map.clone()), map);
    }

    #[test]
    fn the_essence_has_neither_status_nor_bookkeeping() {
        let object = json!({"kind": "A", "status": {}, "spec": {"x": 1}, "metadata": {"name": "a", "uid": "u",
            "resourceVersion": "1", "annotations": {"deployment.kubernetes.io/revision": "1"}}});
        assert_eq!(essence(&object), json!({"kind": "A", "spec": {"x": 1}, "metadata": {"name": "a"}}));
    }
}
