//! The schemas of all kinds as OpenAPI documents, for `kubectl explain` and for clients that check
//! what they send before they send it.
//!
//! Version 3 is one document for each group and version, which clients fetch as they need them and
//! keep by its hash. Version 2 is everything in one and asked for by old clients only.

pub(super) mod protobuf;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::pages::VERSION;
use crate::kinds::{Kind, Kinds};
use crate::schema::{ObjectType, builtin_kind, json_schemas};

const COMPONENTS: &str = "#/components/schemas/";
const DEFINITIONS: &str = "#/definitions/";

/// The parameters of every write that clients look for.
const WRITE_PARAMETERS: [&str; 3] = ["dryRun", "fieldManager", "fieldValidation"];

/// The document of one group and version; none when it is not served.
pub(super) fn version_3(kinds: &Kinds, group: &str, version: &str) -> Option<Value> {
    let kinds: Vec<_> =
        kinds.all().into_iter().filter(|kind| kind.group == group && kind.version == version).collect();
    if kinds.is_empty() {
        return None;
    }
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in &kinds {
        add_paths(kind, COMPONENTS, &mut paths);
        add_schemas(kind, COMPONENTS, &mut schemas);
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION.2},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// Pages about the server itself that have a document: discovery, version and keys.
pub(super) fn server_pages(kinds: &Kinds) -> Vec<String> {
    let mut pages: Vec<String> =
        [".well-known/openid-configuration", "api", "apis", "openid/v1/jwks", "version"]
            .map(str::to_owned)
            .to_vec();
    for kind in kinds.all().iter().filter(|kind| !kind.group.is_empty() && !kind.custom) {
        let page = format!("apis/{}", kind.group);
        if !pages.contains(&page) {
            pages.push(page);
        }
    }
    pages
}

/// The document of one of them.
pub(super) fn server_page(page: &str) -> Value {
    let answer =
        json!({"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}});
    let operation = json!({"operationId": format!("read {page}"), "responses": {"200": answer}});
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION.2},
        "paths": {format!("/{page}/"): {"get": operation}},
    })
}

/// Changes when such a document does: with us only.
pub(super) fn page_hash(page: &str) -> String {
    hex::encode_upper(Sha256::digest(format!("{page} {} {}", VERSION.2, env!("CARGO_PKG_VERSION"))))
}

/// Everything that is served, in one document.
pub(super) fn version_2(kinds: &Kinds) -> Value {
    let mut paths = Map::new();
    let mut definitions = Map::new();
    for kind in kinds.all() {
        add_paths(&kind, DEFINITIONS, &mut paths);
        add_schemas(&kind, DEFINITIONS, &mut definitions);
    }
    definitions.values_mut().for_each(refer_directly);
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION.2},
        "paths": paths,
        "definitions": definitions,
    })
}

/// The second version has no words beside a reference but in the reference itself: clients of its time do not look
/// into `allOf`, and take what is in there to be of no known type.
fn refer_directly(schema: &mut Value) {
    if let Some(reference) = schema.pointer("/allOf/0/$ref").cloned()
        && let Some(members) = schema.as_object_mut()
    {
        members.remove("allOf");
        members.insert("$ref".to_owned(), reference);
    }
    match schema {
        Value::Object(members) => members.values_mut().for_each(refer_directly),
        Value::Array(items) => items.iter_mut().for_each(refer_directly),
        _ => {}
    }
}

/// Changes when the document of a group and version does. Built-in schemas change with us only, so
/// they are not read for it.
pub(super) fn hash(kinds: &Kinds, group: &str, version: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{group}/{version} {} {}", VERSION.2, env!("CARGO_PKG_VERSION")));
    for kind in
        kinds.all().iter().filter(|kind| kind.custom && kind.group == group && kind.version == version)
    {
        hash.update(kind.plural.as_bytes());
        hash.update(kind.definition.to_string());
    }
    hex::encode_upper(hash.finalize())
}

/// `io.k8s.api.apps.v1.Deployment`, or the group reversed for a custom kind.
fn schema_name(kind: &Kind) -> String {
    let object_type = kind.object_type();
    match object_type.schema().object().filter(|_| !kind.custom) {
        Some(object) => object.name.clone(),
        None => {
            let reversed: Vec<&str> = kind.group.rsplit('.').collect();
            format!("{}.{}.{}", reversed.join("."), kind.version, kind.kind)
        }
    }
}

fn identity(kind: &Kind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn add_schemas(kind: &Kind, root: &str, schemas: &mut Map<String, Value>) {
    let name = schema_name(kind);
    match builtin_kind(&kind.group, &kind.version, &kind.kind) {
        Some(builtin) => {
            for (name, schema) in json_schemas(builtin) {
                schemas.entry(name).or_insert_with(|| with_references(schema, root));
            }
        }
        None => {
            if let ObjectType::Custom(custom) = kind.object_type() {
                schemas.insert(name.clone(), custom_schema(custom.json(), root));
                add_object_meta(root, schemas);
            }
        }
    }
    if let Some(schema) = schemas.get_mut(&name) {
        schema["x-kubernetes-group-version-kind"] = json!([identity(kind)]);
    }
}

/// A custom kind's schema names the fields that every object has.
fn custom_schema(schema: &Value, root: &str) -> Value {
    let mut schema = schema.clone();
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    let text = |description: &str| json!({"type": "string", "description": description});
    let properties = &mut schema["properties"];
    properties["apiVersion"] = text("The group and version of this representation of the object.");
    properties["kind"] = text("The kind of the object.");
    properties["metadata"] = json!({"allOf": [{"$ref": format!("{root}{}", crate::schema::OBJECT_META)}]});
    schema
}

fn add_object_meta(root: &str, schemas: &mut Map<String, Value>) {
    if schemas.contains_key(crate::schema::OBJECT_META) {
        return;
    }
    // Any built-in kind will do: they all have metadata.
    if let Some(holder) = builtin_kind("", "v1", "ConfigMap") {
        for (name, schema) in json_schemas(holder) {
            if name.starts_with("io.k8s.apimachinery.") {
                schemas.entry(name).or_insert_with(|| with_references(schema, root));
            }
        }
    }
}

/// Points references at where the schemas are in this document.
fn with_references(schema: Value, root: &str) -> Value {
    match schema {
        Value::Object(fields) => {
            let point = |(field, value): (String, Value)| match (&*field, value.as_str()) {
                ("$ref", Some(target)) => {
                    let name = target.rsplit('/').next().unwrap_or(target);
                    (field, format!("{root}{name}").into())
                }
                _ => (field, with_references(value, root)),
            };
            Value::Object(fields.into_iter().map(point).collect())
        }
        Value::Array(items) => items.into_iter().map(|item| with_references(item, root)).collect(),
        other => other,
    }
}

fn add_paths(kind: &Kind, root: &str, paths: &mut Map<String, Value>) {
    let base = match &*kind.group {
        "" => format!("/api/{}", kind.version),
        group => format!("/apis/{group}/{}", kind.version),
    };
    let place = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{base}{place}/{}", kind.plural);
    let mut of_all = Map::new();
    let mut of_one = Map::new();
    for verb in &kind.verbs {
        let (target, method) = match *verb {
            "list" => (&mut of_all, "get"),
            "create" => (&mut of_all, "post"),
            "deletecollection" => (&mut of_all, "delete"),
            "get" => (&mut of_one, "get"),
            "update" => (&mut of_one, "put"),
            "patch" => (&mut of_one, "patch"),
            "delete" => (&mut of_one, "delete"),
            _ => continue,
        };
        target.insert(method.into(), operation(kind, verb, method, root));
    }
    if !of_one.is_empty() {
        paths.insert(format!("{collection}/{{name}}"), Value::Object(of_one));
    }
    paths.insert(collection, Value::Object(of_all));
}

fn operation(kind: &Kind, verb: &str, method: &str, root: &str) -> Value {
    let is_version_3 = root == COMPONENTS;
    let schema = json!({"$ref": format!("{root}{}", schema_name(kind))});
    let parameter = |name: &&str| match is_version_3 {
        true => json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}),
        false => json!({"name": name, "in": "query", "type": "string", "uniqueItems": true}),
    };
    let is_write = matches!(method, "post" | "put" | "patch");
    let parameters: Vec<Value> =
        if is_write { WRITE_PARAMETERS.iter().map(parameter).collect() } else { Vec::new() };
    let answer = match is_version_3 {
        true => json!({"description": "OK", "content": {"application/json": {"schema": schema}}}),
        false => json!({"description": "OK", "schema": schema}),
    };
    let mut operation = json!({
        "operationId": format!("{verb}_{}_{}", kind.api_version(), kind.plural),
        "parameters": parameters,
        "responses": {"200": answer},
        "x-kubernetes-action": if verb == "create" { "post" } else { verb },
        "x-kubernetes-group-version-kind": identity(kind),
    });
    if is_write {
        let types = body_types(kind, method);
        match is_version_3 {
            true => {
                let content = types.iter().map(|name| ((*name).to_owned(), json!({"schema": schema})));
                operation["requestBody"] =
                    json!({"content": content.collect::<Map<_, _>>(), "required": true});
            }
            false => operation["consumes"] = json!(types),
        }
    }
    operation
}

/// The content types of a body; clients look here whether they may send strategic merge patches.
fn body_types(kind: &Kind, method: &str) -> Vec<&'static str> {
    if method != "patch" {
        return vec!["*/*"];
    }
    let mut types =
        vec!["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];
    types.extend((!kind.custom).then_some("application/strategic-merge-patch+json"));
    types
}
