//! Strategic merge patch: a merge patch that knows lists.
//!
//! The merge key of a list comes from the [`Schema`]; directives in the patch override it: `$patch`,
//! `$retainKeys`, `$setElementOrder/<list>` and `$deleteFromPrimitiveList/<list>`. The order of a merged
//! list follows the patch, with elements only the server has kept in their old relative places.
//! `elements` holds the list half.

use super::elements::{merge_list, order, set_order};
use super::merge::object;
use super::{PatchError, golang};
use crate::schema::{ListPatch, Schema};
use serde_json::{Map, Value};

pub(super) type Object = Map<String, Value>;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER_PREFIX: &str = "$setElementOrder/";
const DELETE_PREFIX: &str = "$deleteFromPrimitiveList/";

/// Applies a strategic merge patch to `target`, an object described by `schema`.
///
/// # Errors
/// 400 when `body` is not a JSON object, 500 for a missing merge key or an unknown directive.
pub fn strategic_merge_patch(schema: &Schema, target: &Value, body: &[u8]) -> Result<Value, PatchError> {
    let Value::Object(patch) = object(body, "")? else {
        return Err(PatchError::BadRequest("the patch is not an object".to_owned()));
    };
    let target = target.as_object().cloned().unwrap_or_default();
    Ok(Value::Object(merge_map(schema, target, patch)?))
}

/// Merges `patch` into `original`, key by key.
pub(super) fn merge_map(schema: &Schema, original: Object, mut patch: Object) -> Result<Object, PatchError> {
    if let Some(directive) = patch.remove(DIRECTIVE) {
        return whole_map(directive, patch);
    }
    let mut merged = original;
    retain_keys(&mut merged, &mut patch)?;
    ordered_lists(schema, &mut merged, &mut patch)?;
    for (key, value) in patch {
        merge_key(schema, &mut merged, &key, value)?;
    }
    Ok(merged)
}

fn whole_map(directive: Value, mut patch: Object) -> Result<Object, PatchError> {
    match directive.as_str() {
        Some("replace") => Ok(patch),
        Some("delete") => Ok(Object::new()),
        _ => {
            let name = golang::print(&directive);
            patch.insert(DIRECTIVE.to_owned(), directive);
            Err(unknown_directive(&name, &patch))
        }
    }
}

pub(super) fn unknown_directive(name: &str, map: &Object) -> PatchError {
    let printed = golang::print(&Value::Object(map.clone()));
    PatchError::Failed(format!("unknown patch type: {name} in map: {printed}"))
}

/// `$retainKeys`: every other key of the original goes.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), PatchError> {
    let Some(list) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Some(keep) = list.as_array() else {
        return Err(PatchError::Failed("invalid patch format of retainKeys".to_owned()));
    };
    let kept = |key: &String| keep.iter().any(|name| name == key);
    if !patch.keys().filter(|key| !key.starts_with('$')).all(kept) {
        return Err(PatchError::Failed("invalid patch format of retainKeys".to_owned()));
    }
    original.retain(|key, _| kept(key));
    Ok(())
}

/// `$setElementOrder/<list>`: merges the list it names and puts the elements in that order.
fn ordered_lists(schema: &Schema, original: &mut Object, patch: &mut Object) -> Result<(), PatchError> {
    let orders: Vec<String> = patch.keys().filter(|key| key.starts_with(ORDER_PREFIX)).cloned().collect();
    for directive in orders {
        let wanted = patch.remove(&directive);
        let field = directive.trim_start_matches(ORDER_PREFIX);
        let Some(Value::Array(wanted)) = wanted else { continue };
        let strategy = list_patch(schema, field);
        if strategy == ListPatch::Replace {
            continue;
        }
        let old = array(original.get(field));
        let new = patch.remove(field);
        let merged = match (old.clone(), new) {
            (None, None) => continue,
            (Some(old), None) => old,
            (old, Some(Value::Array(new))) => {
                check_order_covers(&strategy, &new, &wanted)?;
                merge_list(&element_schema(schema, field), &strategy, old.unwrap_or_default(), new)?
            }
            (_, Some(other)) => {
                patch.insert(field.to_owned(), other);
                continue;
            }
        };
        let ordered = set_order(&strategy, merged, &wanted, &old.unwrap_or_default());
        original.insert(field.to_owned(), Value::Array(ordered));
    }
    Ok(())
}

fn check_order_covers(strategy: &ListPatch, patch: &[Value], wanted: &[Value]) -> Result<(), PatchError> {
    let live = |item: &&Value| item.get(DIRECTIVE).is_none();
    match patch.iter().filter(live).find(|item| order(strategy, wanted, item).is_none()) {
        None => Ok(()),
        Some(_) => Err(PatchError::Failed(
            "The order in patch list doesn't match $setElementOrder list in the patch".to_owned(),
        )),
    }
}

fn array(value: Option<&Value>) -> Option<Vec<Value>> {
    value.and_then(Value::as_array).cloned()
}

fn merge_key(schema: &Schema, merged: &mut Object, key: &str, value: Value) -> Result<(), PatchError> {
    if let Some(field) = key.strip_prefix(DELETE_PREFIX) {
        delete_scalars(merged, field, &value);
        return Ok(());
    }
    if value.is_null() {
        merged.remove(key);
        return Ok(());
    }
    let value = match (merged.remove(key), value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            let field = schema.field(key).unwrap_or_else(Schema::any);
            Value::Object(merge_map(&field, old, new)?)
        }
        (Some(Value::Array(old)), Value::Array(new)) => {
            Value::Array(merge_list(&element_schema(schema, key), &list_patch(schema, key), old, new)?)
        }
        (_, new) => without_directives(new),
    };
    merged.insert(key.to_owned(), value);
    Ok(())
}

fn delete_scalars(merged: &mut Object, field: &str, gone: &Value) {
    let gone = gone.as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(Value::Array(items)) = merged.get_mut(field) {
        items.retain(|item| !gone.contains(item));
    }
}

fn list_patch(schema: &Schema, field: &str) -> ListPatch {
    let schema = schema.field(field);
    schema.as_ref().and_then(Schema::list).map_or(ListPatch::Replace, |list| list.patch.clone())
}

fn element_schema(schema: &Schema, field: &str) -> Schema {
    let schema = schema.field(field);
    schema.as_ref().and_then(Schema::list).map_or_else(Schema::any, |list| list.items.clone())
}

/// A value taken over from the patch as it is: directives and nulls mean nothing without an original.
pub(super) fn without_directives(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(plain_map(map)),
        Value::Array(items) => Value::Array(plain_items(items)),
        scalar => scalar,
    }
}

fn plain_map(mut map: Object) -> Object {
    if map.remove(DIRECTIVE).is_some_and(|directive| directive == "delete") {
        return Object::new();
    }
    let kept = map.into_iter().filter(|(key, value)| !is_directive(key) && !value.is_null());
    kept.map(|(key, value)| (key, without_directives(value))).collect()
}

fn is_directive(key: &str) -> bool {
    key == RETAIN_KEYS || key.starts_with(ORDER_PREFIX) || key.starts_with(DELETE_PREFIX)
}

fn plain_items(items: Vec<Value>) -> Vec<Value> {
    let kept = items.into_iter().filter(|item| item.get(DIRECTIVE).is_none());
    kept.map(without_directives).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::builtin;
    use proptest::prelude::*;
    use serde_json::json;

    fn web() -> Value {
        json!({"metadata": {"finalizers": ["f1", "f2"]}, "spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
        "template": {"spec": {
        "tolerations": [{"key": "k1"}],
        "containers": [
            {"name": "web", "image": "nginx:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"name": "side", "image": "busybox:1"},
        ]}}}})
    }

    fn patched(patch: Value) -> Result<Value, PatchError> {
        let schema = builtin("apps", "v1", "Deployment").unwrap();
        strategic_merge_patch(&schema, &web(), patch.to_string().as_bytes())
    }

    fn pod(patch: Value) -> Value {
        patched(json!({"spec": {"template": {"spec": patch}}})).unwrap()["spec"]["template"]["spec"].clone()
    }

    fn names(list: &Value) -> Vec<&str> {
        list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn elements_merge_by_key() {
        let pod = pod(
            json!({"containers": [{"name": "web", "env": [{"name": "B", "value": "22"}, {"name": "D", "value": "4"}]}]}),
        );
        assert_eq!(names(&pod["containers"]), ["web", "side"]);
        let env =
            json!([{"name": "A", "value": "1"}, {"name": "B", "value": "22"}, {"name": "D", "value": "4"}]);
        assert_eq!(pod["containers"][0]["env"], env);
        assert_eq!(pod["containers"][0]["image"], "nginx:1");
    }

    #[test]
    fn directives_delete_replace_and_order() {
        let deleted = pod(json!({"containers": [{"name": "side", "$patch": "delete"}]}));
        assert_eq!(names(&deleted["containers"]), ["web"]);
        let ordered = pod(json!({"containers": [{"name": "new", "image": "x"}],
            "$setElementOrder/containers": [{"name": "new"}, {"name": "web"}]}));
        assert_eq!(names(&ordered["containers"]), ["new", "web", "side"]);
        let replaced = pod(json!({"containers": [{"$patch": "replace"}, {"name": "only", "image": "o"}]}));
        assert_eq!(names(&replaced["containers"]), ["only"]);
        assert_eq!(pod(json!({"tolerations": [{"key": "k2"}]}))["tolerations"], json!([{"key": "k2"}]));
    }

    #[test]
    fn scalars_merge_and_are_deleted_by_value() {
        let more = patched(json!({"metadata": {"finalizers": ["f3"]}})).unwrap();
        assert_eq!(more["metadata"]["finalizers"].as_array().unwrap().len(), 3);
        let less = patched(json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["f1"]}})).unwrap();
        assert_eq!(less["metadata"]["finalizers"], json!(["f2"]));
    }

    #[test]
    fn retained_keys_drop_the_others() {
        let result =
            patched(json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})).unwrap();
        assert_eq!(result["spec"]["strategy"], json!({"type": "Recreate"}));
    }

    #[test]
    fn mistakes_read_like_the_servers() {
        let refuse = |patch: Value| {
            let refused = patched(json!({"spec": {"template": {"spec": patch}}})).unwrap_err();
            (refused.code(), refused.to_string())
        };
        assert_eq!(
            refuse(json!({"containers": [{"image": "noname:1"}]})),
            (500, "map: map[image:noname:1] does not contain declared merge key: name".to_owned())
        );
        assert_eq!(
            refuse(json!({"$patch": "bogus"})),
            (500, "unknown patch type: bogus in map: map[$patch:bogus]".to_owned())
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let key = prop_oneof![
            "[a-c]",
            Just("$patch".to_owned()),
            Just("containers".to_owned()),
            Just("spec".to_owned()),
            Just("template".to_owned()),
            Just("name".to_owned()),
            Just("$retainKeys".to_owned()),
            Just("$setElementOrder/containers".to_owned()),
            Just("metadata".to_owned()),
            Just("finalizers".to_owned()),
            Just("$deleteFromPrimitiveList/finalizers".to_owned())
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            "[a-z]{0,3}".prop_map(Value::from),
            Just(json!("delete")),
            Just(json!("replace")),
            (0..3).prop_map(Value::from)
        ];
        leaf.prop_recursive(6, 40, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::btree_map(key.clone(), inner, 0..5).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_patch_panics(target in any_json(), patch in any_json()) {
            let schema = builtin("apps", "v1", "Deployment").unwrap();
            let body = patch.to_string();
            let _ = strategic_merge_patch(&schema, &target, body.as_bytes());
            let _ = crate::patch::merge_patch(&target, body.as_bytes());
            let _ = crate::patch::json_patch(&target, body.as_bytes());
        }
    }
}
