//! What a CustomResourceDefinition itself must look like.

use crate::schema::cause::Cause;
use serde_json::{Value, json};

const APPROVAL: &str = "api-approved.kubernetes.io";
/// The size below which definitions refuse nothing: a schema may nest this deep.
const MAX_DEPTH: usize = 100;

/// What is wrong with a CustomResourceDefinition; `old` is the stored one on an update.
#[must_use]
pub fn definition_problems(old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    name(new, &mut causes);
    approval(new, &mut causes);
    versions(&new["spec"], &mut causes);
    if let Some(old) = old {
        immutable(old, new, &mut causes);
    }
    causes
}

/// The status a new CustomResourceDefinition has before its names are accepted.
#[must_use]
pub fn first_definition_status(definition: &Value) -> Value {
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    let stored = versions.into_iter().flatten().filter(|version| version["storage"] == true);
    let stored: Vec<&Value> = stored.map(|version| &version["name"]).collect();
    json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored})
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn name(definition: &Value, causes: &mut Vec<Cause>) {
    let spec = &definition["spec"];
    let (plural, group) = (text(&spec["names"], "plural"), text(spec, "group"));
    let name = text(&definition["metadata"], "name");
    if name != format!("{plural}.{group}") {
        causes.push(Cause::invalid(
            "metadata.name",
            &json!(name),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    for (field, value) in [
        ("spec.group", group),
        ("spec.names.plural", plural),
        ("spec.names.kind", text(&spec["names"], "kind")),
    ] {
        if value.is_empty() {
            causes.push(Cause::required(field, ""));
        }
    }
    if !matches!(text(spec, "scope"), "Cluster" | "Namespaced") {
        let scope = &spec["scope"];
        if scope.is_null() {
            causes.push(Cause::required("spec.scope", ""));
        } else {
            causes.push(Cause::unsupported("spec.scope", scope, &["Cluster", "Namespaced"]));
        }
    }
}

/// Groups of the Kubernetes project need a sign-off.
fn approval(definition: &Value, causes: &mut Vec<Cause>) {
    let group = text(&definition["spec"], "group");
    let protected =
        ["k8s.io", "kubernetes.io"].iter().any(|name| group == *name || group.ends_with(&format!(".{name}")));
    if protected && definition["metadata"]["annotations"].get(APPROVAL).is_none() {
        let detail = format!(
            "protected groups must have approval annotation \"{APPROVAL}\", see https://github.com/kubernetes/enhancements/pull/1111"
        );
        causes.push(Cause::required(format!("metadata.annotations[{APPROVAL}]"), &detail));
    }
}

fn versions(spec: &Value, causes: &mut Vec<Cause>) {
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if versions.is_empty() {
        causes.push(Cause::required("spec.versions", "must have at least one version"));
        return;
    }
    if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
        let shown = &spec["versions"];
        causes.push(Cause::invalid(
            "spec.versions",
            shown,
            "must have exactly one version marked as storage version",
        ));
        causes.push(stored_problem(versions));
    }
    for (at, version) in versions.iter().enumerate() {
        one_version(version, &format!("spec.versions[{at}]"), causes);
    }
}

/// Only the first version marked is stored: every other one is missing.
fn stored_problem(versions: &[Value]) -> Cause {
    const FIELD: &str = "status.storedVersions";
    let mut marked =
        versions.iter().filter(|version| version["storage"] == true).map(|version| &version["name"]);
    let stored: Vec<&Value> = marked.next().into_iter().collect();
    match marked.next().and_then(Value::as_str) {
        Some(missing) => {
            Cause::invalid(FIELD, &json!(stored), format!("must have the storage version {missing}"))
        }
        None => Cause::invalid(FIELD, &json!(stored), "must have at least one stored version"),
    }
}

fn one_version(version: &Value, path: &str, causes: &mut Vec<Cause>) {
    let schema = &version["schema"]["openAPIV3Schema"];
    let path_of_schema = format!("{path}.schema.openAPIV3Schema");
    if !schema.is_object() {
        causes.push(Cause::required(path_of_schema, ""));
        if version.get("selectableFields").is_some() {
            let detail = "may only be set when `version.schema.openAPIV3Schema` is not included";
            causes.push(Cause::invalid(format!("{path}.selectableFields"), &json!(""), detail));
        }
        return;
    }
    structural(schema, &path_of_schema, "must not be empty at the root", 0, causes);
    if schema["type"].as_str().is_some_and(|kind| kind != "object") {
        let detail = "must be object at the root";
        causes.push(Cause::invalid(format!("{path_of_schema}.type"), &schema["type"], detail));
    }
}

/// Every value of a structural schema has a type, unless it says it keeps anything.
fn structural(schema: &Value, path: &str, missing: &str, depth: usize, causes: &mut Vec<Cause>) {
    let free = ["x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"]
        .iter()
        .any(|name| schema[name] == true);
    if text(schema, "type").is_empty() && !free {
        causes.push(Cause::required(format!("{path}.type"), missing));
    }
    if depth > MAX_DEPTH {
        causes.push(Cause::forbidden(path, "schema nests too deep"));
        return;
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.properties[{name}]");
        structural(field, &path, "must not be empty for specified object fields", depth + 1, causes);
    }
    if schema["items"].is_object() {
        let path = format!("{path}.items");
        structural(&schema["items"], &path, "must not be empty for specified array items", depth + 1, causes);
    } else if text(schema, "type") == "array" {
        causes.push(Cause::required(format!("{path}.items"), "must be specified"));
    }
    if schema["additionalProperties"].is_object() {
        let path = format!("{path}.additionalProperties");
        structural(
            &schema["additionalProperties"],
            &path,
            "must not be empty for specified object fields",
            depth + 1,
            causes,
        );
    }
}

fn immutable(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    for (pointer, field) in [
        ("/spec/scope", "spec.scope"),
        ("/spec/names/kind", "spec.names.kind"),
        ("/spec/group", "spec.group"),
        ("/spec/names/plural", "spec.names.plural"),
    ] {
        let (before, after) = (old.pointer(pointer), new.pointer(pointer));
        if before != after {
            causes.push(Cause::invalid(field, after.unwrap_or(&Value::Null), "field is immutable"));
        }
    }
}
