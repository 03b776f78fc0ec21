//! An `openAPIV3Schema` as a [`Schema`].

use super::{flag, preserves_unknown};
use crate::schema::builtin::object_meta;
use crate::schema::shape::{ListKind, ListPatch, ListShape, Node, ObjectShape, Scalar, Schema, Shape};
use serde_json::Value;
use std::sync::Arc;

/// The schema of a whole object: what it declares, plus `apiVersion`, `kind` and `metadata`.
pub(super) fn root(json: &Arc<Value>) -> Schema {
    let json = json.clone();
    Schema::lazy(move || {
        let mut node = node(&json);
        if let Shape::Any = node.shape {
            node.shape = Shape::Object(ObjectShape { open: true, ..ObjectShape::default() });
        }
        if let Shape::Object(object) = &mut node.shape {
            identity(object);
        }
        node
    })
}

fn identity(object: &mut ObjectShape) {
    for field in ["apiVersion", "kind"] {
        object.fields.insert(field.to_owned(), Schema::of(Shape::Scalar(Scalar::String)));
    }
    object.fields.insert("metadata".to_owned(), object_meta());
}

fn child(json: &Value) -> Schema {
    let json = json.clone();
    Schema::lazy(move || node(&json))
}

fn node(json: &Value) -> Node {
    Node { shape: shape(json), default: json.get("default").cloned(), nullable: flag(json, "nullable") }
}

fn shape(json: &Value) -> Shape {
    if flag(json, "x-kubernetes-int-or-string") {
        return Shape::Scalar(Scalar::IntOrString);
    }
    match json["type"].as_str() {
        Some("object") => object(json),
        Some("array") => list(json),
        Some("string") => Shape::Scalar(Scalar::String),
        Some("boolean") => Shape::Scalar(Scalar::Boolean),
        Some("integer") if json["format"] == "int32" => Shape::Scalar(Scalar::Int32),
        Some("integer") => Shape::Scalar(Scalar::Int64),
        Some("number") => Shape::Scalar(Scalar::Number),
        _ => Shape::Any,
    }
}

fn object(json: &Value) -> Shape {
    let fields = json["properties"].as_object().into_iter().flatten();
    let mut object = ObjectShape {
        fields: fields.map(|(name, schema)| (name.clone(), child(schema))).collect(),
        values: json.get("additionalProperties").filter(|values| values.is_object()).map(child),
        open: preserves_unknown(json) || flag(json, "additionalProperties"),
        atomic: json["x-kubernetes-map-type"] == "atomic",
        ..ObjectShape::default()
    };
    if flag(json, "x-kubernetes-embedded-resource") {
        identity(&mut object);
    }
    Shape::Object(object)
}

fn list(json: &Value) -> Shape {
    let keys = json["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
    let kind = match json["x-kubernetes-list-type"].as_str() {
        Some("map") => ListKind::Map(keys.filter_map(Value::as_str).map(str::to_owned).collect()),
        Some("set") => ListKind::Set,
        _ => ListKind::Atomic,
    };
    Shape::List(ListShape { items: child(&json["items"]), kind, patch: ListPatch::Replace })
}
