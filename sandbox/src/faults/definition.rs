//! The definition of faults as a custom resource, made from the table: what a fault may say is checked by the
//! API as with any other kind, and `kubectl get faults`, `explain` and `delete` work.

use serde_json::{Map, Value, json};

use super::table::{KINDS, Kind, PARAMETERS, Shape, kinds_with};
use super::{GROUP, PLURAL, VERSION};

/// The CustomResourceDefinition.
pub fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{PLURAL}.{GROUP}") },
        "spec": {
            "group": GROUP, "scope": "Cluster",
            "names": { "plural": PLURAL, "singular": "fault", "kind": "Fault", "listKind": "FaultList" },
            "versions": [{
                "name": VERSION, "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": schema() },
                "additionalPrinterColumns": [
                    { "name": "Kind", "type": "string", "jsonPath": ".spec.kind" },
                    { "name": "Lasts", "type": "string", "jsonPath": ".spec.lasts" },
                    { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
                ],
            }],
        },
    })
}

fn schema() -> Value {
    let mut properties = Map::new();
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let about: Vec<String> = KINDS.iter().map(|kind| format!("{}: {}", kind.name, kind.about)).collect();
    properties
        .insert("kind".into(), json!({ "type": "string", "enum": names, "description": about.join("\n") }));
    for (name, shape, about) in PARAMETERS {
        properties.insert((*name).into(), property(*shape, about));
    }
    let rules: Vec<Value> =
        KINDS.iter().filter_map(needs).chain(PARAMETERS.iter().map(|(name, ..)| takes(name))).collect();
    json!({
        "type": "object", "required": ["spec"],
        "properties": {
            "spec": {
                "type": "object", "required": ["kind"], "properties": properties,
                "x-kubernetes-validations": rules,
            },
            "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        },
    })
}

fn property(shape: Shape, about: &str) -> Value {
    let mut property = match shape {
        Shape::Text => json!({ "type": "string", "minLength": 1 }),
        Shape::Span => json!({ "type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$" }),
        Shape::Whole => json!({ "type": "integer", "minimum": 0 }),
        Shape::Share => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Shape::Number => json!({ "type": "number", "minimum": 0 }),
        Shape::List => json!({ "type": "array", "items": { "type": "string" } }),
        Shape::OneOf(values) => json!({ "type": "string", "enum": values }),
    };
    property["description"] = about.into();
    property
}

/// A kind without what it needs is refused.
fn needs(kind: &Kind) -> Option<Value> {
    if kind.needs.is_empty() {
        return None;
    }
    let given: Vec<String> = kind.needs.iter().map(|name| format!("has(self.{})", escaped(name))).collect();
    Some(json!({
        "rule": format!("self.kind != '{}' || {}", kind.name, given.join(" || ")),
        "message": format!("{} needs {}", kind.name, kind.needs.join(" or ")),
    }))
}

/// A parameter that a kind does not take is refused.
fn takes(name: &str) -> Value {
    let kinds = kinds_with(name);
    let listed: Vec<String> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
    json!({
        "rule": format!("!has(self.{}) || self.kind in [{}]", escaped(name), listed.join(", ")),
        "message": format!("{name} is for {}", kinds.join(", ")),
    })
}

/// Names that the rule language keeps for itself are written with underscores around them, as the API has it.
fn escaped(name: &str) -> String {
    match name {
        "namespace" => format!("__{name}__"),
        _ => name.to_owned(),
    }
}
