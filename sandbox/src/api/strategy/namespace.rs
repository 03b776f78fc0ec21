//! Namespaces: their name label, and the finalizer that keeps them until they are empty.

use serde_json::{Value, json};

const NAME_LABEL: &str = "kubernetes.io/metadata.name";

pub(super) fn prepare_for_create(object: &mut Value) {
    object["spec"]["finalizers"] = json!(["kubernetes"]);
    object["status"] = json!({"phase": "Active"});
    set_name_label(object);
}

/// The finalizers of the spec are changed through `finalize` only.
pub(super) fn prepare_for_update(old: &Value, new: &mut Value) {
    if let Some(finalizers) = old["spec"].get("finalizers") {
        new["spec"]["finalizers"] = finalizers.clone();
    }
    set_name_label(new);
}

fn set_name_label(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    if !object["metadata"]["labels"].is_object() {
        object["metadata"]["labels"] = json!({});
    }
    object["metadata"]["labels"][NAME_LABEL] = name;
}
