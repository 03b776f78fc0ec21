//! JSON schemas as clients see them: the library's, with the merge rules written out.
//!
//! `kubectl apply` reads the merge keys from here; without them it would replace whole lists.

use super::builtin::{BuiltinKind, raw_json_schemas, reference};
use super::facts::{field_is_whole, is_whole_type, list_fact};
use super::shape::{ListKind, ListPatch};
use serde_json::{Map, Value, json};

/// The JSON schemas of a kind's type and of every type below it, by type name, with merge rules.
#[must_use]
pub fn json_schemas(kind: &BuiltinKind) -> Map<String, Value> {
    let schemas = raw_json_schemas(kind);
    schemas.into_iter().map(|(name, schema)| (name.clone(), publish(&name, schema))).collect()
}

fn publish(name: &str, schema: Value) -> Value {
    let mut schema = plain_references(schema);
    if let Some(map) = schema.as_object_mut() {
        map.retain(|key, _| !matches!(key.as_str(), "$schema" | "title" | "definitions"));
    }
    if is_whole_type(name) {
        schema["x-kubernetes-map-type"] = json!("atomic");
    }
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (field, property) in fields.into_iter().flatten() {
        if property["type"] == "array" {
            merge_rules(name, field, property);
        } else if field_is_whole(name, field) == Some(true) {
            property["x-kubernetes-map-type"] = json!("atomic");
        }
    }
    schema
}

fn merge_rules(name: &str, field: &str, property: &mut Value) {
    let fact = list_fact(name, field);
    let kind = match &fact.kind {
        ListKind::Atomic => "atomic",
        ListKind::Set => "set",
        ListKind::Map(keys) => {
            property["x-kubernetes-list-map-keys"] = json!(keys);
            "map"
        }
    };
    property["x-kubernetes-list-type"] = json!(kind);
    match fact.patch {
        ListPatch::Replace => {}
        ListPatch::MergeScalars => property["x-kubernetes-patch-strategy"] = json!("merge"),
        ListPatch::MergeBy(key) => {
            property["x-kubernetes-patch-merge-key"] = json!(key);
            property["x-kubernetes-patch-strategy"] = json!("merge");
        }
    }
}

/// A `$ref` may not have siblings: what stands next to it goes around an `allOf`.
fn plain_references(schema: Value) -> Value {
    match schema {
        Value::Array(items) => items.into_iter().map(plain_references).collect(),
        Value::Object(map) => {
            let mut out: Map<String, Value> =
                map.into_iter().map(|(key, value)| (key, plain_references(value))).collect();
            if out.len() > 1 && out.get("$ref").and_then(reference).is_some() {
                let target = out.remove("$ref").unwrap_or_default();
                out.insert("allOf".to_owned(), json!([{"$ref": target}]));
            }
            Value::Object(out)
        }
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::builtin_kind;

    #[test]
    fn schemas_carry_merge_keys_and_no_loose_references() {
        let schemas = json_schemas(builtin_kind("apps", "v1", "Deployment").unwrap());
        let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
        assert_eq!(
            schemas["io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"]["x-kubernetes-map-type"],
            "atomic"
        );
        let text = Value::Object(schemas.clone()).to_string();
        for target in text.split("\"$ref\":\"").skip(1) {
            let name = reference(&Value::from(target.split('"').next().unwrap())).unwrap().to_owned();
            assert!(schemas.contains_key(&name), "{name}");
        }
    }
}
