//! Schemas of the built-in kinds, from the types of the k8s-openapi library.
//!
//! The library describes fields and types; `facts` adds how lists merge. JSON schemas are generated per
//! type on first use and shared, because the full set costs tens of milliseconds and a command touches few.

use super::facts;
use super::shape::{ListKind, ListShape, Node, ObjectShape, Scalar, Schema, Shape};
use k8s_openapi::api::{
    admissionregistration::v1 as admission, apps::v1 as apps, authentication::v1 as authn,
    authorization::v1 as authz, autoscaling::v1 as scaling1, autoscaling::v2 as scaling2, batch::v1 as batch,
    certificates::v1 as certs, coordination::v1 as coordination, core::v1 as core,
    discovery::v1 as discovery, events::v1 as events, flowcontrol::v1 as flow, networking::v1 as net,
    node::v1 as node, policy::v1 as policy, rbac::v1 as rbac, resource::v1 as resource,
    scheduling::v1 as scheduling, storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as aggregation;
use k8s_openapi::{Resource, schemars};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// One built-in kind and where its JSON schema comes from.
#[derive(Clone, Copy)]
pub struct BuiltinKind {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    generate: fn(&mut SchemaGenerator) -> schemars::Schema,
}

macro_rules! kinds {
    ($($type:ty),* $(,)?) => { &[$(BuiltinKind {
        group: <$type as Resource>::GROUP,
        version: <$type as Resource>::VERSION,
        kind: <$type as Resource>::KIND,
        generate: |generator| generator.subschema_for::<$type>(),
    }),*] };
}

/// Every kind the library has a schema for that the sandbox serves, including bodies of subresources.
pub const KINDS: &[BuiltinKind] = kinds![
    core::Binding,
    core::ComponentStatus,
    core::ConfigMap,
    core::Endpoints,
    core::Event,
    core::LimitRange,
    core::Namespace,
    core::Node,
    core::PersistentVolume,
    core::PersistentVolumeClaim,
    core::Pod,
    core::PodTemplate,
    core::ReplicationController,
    core::ResourceQuota,
    core::Secret,
    core::Service,
    core::ServiceAccount,
    admission::MutatingAdmissionPolicy,
    admission::MutatingAdmissionPolicyBinding,
    admission::MutatingWebhookConfiguration,
    admission::ValidatingAdmissionPolicy,
    admission::ValidatingAdmissionPolicyBinding,
    admission::ValidatingWebhookConfiguration,
    extensions::CustomResourceDefinition,
    aggregation::APIService,
    apps::ControllerRevision,
    apps::DaemonSet,
    apps::Deployment,
    apps::ReplicaSet,
    apps::StatefulSet,
    authn::SelfSubjectReview,
    authn::TokenRequest,
    authn::TokenReview,
    authz::LocalSubjectAccessReview,
    authz::SelfSubjectAccessReview,
    authz::SelfSubjectRulesReview,
    authz::SubjectAccessReview,
    scaling1::HorizontalPodAutoscaler,
    scaling1::Scale,
    scaling2::HorizontalPodAutoscaler,
    batch::CronJob,
    batch::Job,
    certs::CertificateSigningRequest,
    coordination::Lease,
    discovery::EndpointSlice,
    events::Event,
    flow::FlowSchema,
    flow::PriorityLevelConfiguration,
    net::IPAddress,
    net::Ingress,
    net::IngressClass,
    net::NetworkPolicy,
    net::ServiceCIDR,
    node::RuntimeClass,
    policy::Eviction,
    policy::PodDisruptionBudget,
    rbac::ClusterRole,
    rbac::ClusterRoleBinding,
    rbac::Role,
    rbac::RoleBinding,
    resource::DeviceClass,
    resource::ResourceClaim,
    resource::ResourceClaimTemplate,
    resource::ResourceSlice,
    scheduling::PriorityClass,
    storage::CSIDriver,
    storage::CSINode,
    storage::CSIStorageCapacity,
    storage::StorageClass,
    storage::VolumeAttachment,
    storage::VolumeAttributesClass,
];

/// The kind of this name, if built in.
#[must_use]
pub fn builtin_kind(group: &str, version: &str, kind: &str) -> Option<&'static BuiltinKind> {
    KINDS.iter().find(|known| known.group == group && known.version == version && known.kind == kind)
}

/// The schema of a built-in kind.
#[must_use]
pub fn builtin(group: &str, version: &str, kind: &str) -> Option<Schema> {
    builtin_kind(group, version, kind).map(|kind| named(&type_of(kind)))
}

/// The schema of `metadata`, which every kind shares.
#[must_use]
pub fn object_meta() -> Schema {
    let _ = type_of(&KINDS[0]);
    named(OBJECT_META)
}

/// The type name of `metadata`.
pub const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Type name of a kind, such as `io.k8s.api.apps.v1.Deployment`; its JSON schema is known afterwards.
pub(super) fn type_of(kind: &BuiltinKind) -> String {
    let mut types = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = types.roots.get(&(kind.group, kind.version, kind.kind)) {
        return name.clone();
    }
    let root = (kind.generate)(&mut types.generator);
    let name = root.get("$ref").and_then(reference).unwrap_or_default().to_owned();
    types.roots.insert((kind.group, kind.version, kind.kind), name.clone());
    name
}

/// The JSON schema of a type whose kind was looked at.
pub(super) fn json_of(name: &str) -> Option<Value> {
    let types = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    types.generator.definitions().get(name).cloned()
}

/// The type a `$ref` points at.
pub(super) fn reference(value: &Value) -> Option<&str> {
    value.as_str().and_then(|text| text.rsplit('/').next())
}

struct Types {
    generator: SchemaGenerator,
    roots: HashMap<(&'static str, &'static str, &'static str), String>,
    shapes: HashMap<String, Schema>,
}

static TYPES: LazyLock<Mutex<Types>> = LazyLock::new(|| {
    let generator = SchemaSettings::draft07().into_generator();
    Mutex::new(Types { generator, roots: HashMap::new(), shapes: HashMap::new() })
});

/// The shared schema of a type.
fn named(name: &str) -> Schema {
    let mut types = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = types.shapes.get(name) {
        return known.clone();
    }
    let owned = name.to_owned();
    let schema = Schema::lazy(move || node(&owned, &json_of(&owned).unwrap_or_default()));
    types.shapes.insert(name.to_owned(), schema.clone());
    schema
}

/// Turns the JSON schema of a type into a node.
fn node(name: &str, schema: &Value) -> Node {
    let shape = match schema["type"].as_str() {
        Some("object") if schema.get("properties").is_some() => Shape::Object(object(name, schema)),
        _ => plain(name, "", schema),
    };
    Node { shape, default: None, nullable: false }
}

fn object(name: &str, schema: &Value) -> ObjectShape {
    let fields = schema["properties"].as_object().into_iter().flatten();
    let type_name: Arc<str> = name.into();
    ObjectShape {
        name: name.to_owned(),
        fields: fields.map(|(field, schema)| (field.clone(), child(&type_name, field, schema))).collect(),
        required: required(schema),
        atomic: facts::is_whole_type(name),
        ..ObjectShape::default()
    }
}

fn required(schema: &Value) -> Vec<String> {
    let names = schema["required"].as_array().into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The schema of one field of a type.
fn child(type_name: &Arc<str>, field: &str, schema: &Value) -> Schema {
    let target = schema_reference(schema);
    let whole = facts::field_is_whole(type_name, field);
    let default = facts::key_default(type_name, field);
    if let (Some(target), None) = (&target, whole) {
        return named(target);
    }
    let (type_name, field, schema) = (type_name.clone(), field.to_owned(), schema.clone());
    Schema::lazy(move || {
        let mut shape = match &target {
            Some(target) => named(target).shape().clone(),
            None => plain(&type_name, &field, &schema),
        };
        match (&mut shape, whole) {
            (Shape::Object(object), Some(whole)) => object.atomic = whole,
            (Shape::Any, Some(true)) => {
                let anything = Schema::lazy(|| Node { shape: Shape::Any, default: None, nullable: true });
                shape = Shape::Object(ObjectShape {
                    values: Some(anything),
                    atomic: true,
                    ..ObjectShape::default()
                });
            }
            _ => {}
        }
        Node { shape, default: default.map(|text| json!(text)), nullable: false }
    })
}

/// The type a field refers to; a description next to `$ref` is put into `allOf` by the generator.
fn schema_reference(schema: &Value) -> Option<String> {
    let direct = schema.get("$ref").and_then(reference);
    let inner = || schema.pointer("/allOf/0/$ref").and_then(reference);
    direct.or_else(inner).map(str::to_owned)
}

fn plain(type_name: &str, field: &str, schema: &Value) -> Shape {
    if schema["x-kubernetes-int-or-string"] == json!(true) {
        let is_quantity = type_name.ends_with(".Quantity");
        return Shape::Scalar(if is_quantity { Scalar::Quantity } else { Scalar::IntOrString });
    }
    let format = schema["format"].as_str().unwrap_or_default();
    match schema["type"].as_str() {
        Some("string") => Shape::Scalar(text(type_name, format)),
        Some("integer") if format == "int64" => Shape::Scalar(Scalar::Int64),
        Some("integer") => Shape::Scalar(Scalar::Int32),
        Some("number") => Shape::Scalar(Scalar::Number),
        Some("boolean") => Shape::Scalar(Scalar::Boolean),
        Some("array") => list(type_name, field, &schema["items"]),
        Some("object") => free_keys(type_name, field, schema),
        _ => Shape::Any,
    }
}

fn text(type_name: &str, format: &str) -> Scalar {
    match format {
        "byte" => Scalar::Bytes,
        "date-time" if type_name.ends_with("MicroTime") => Scalar::MicroTime,
        "date-time" => Scalar::Time,
        _ => Scalar::String,
    }
}

fn list(type_name: &str, field: &str, items: &Value) -> Shape {
    let fact = facts::list_fact(type_name, field);
    let items = child(&type_name.into(), "", items);
    let kind = if field.is_empty() { ListKind::Atomic } else { fact.kind };
    Shape::List(ListShape { items, kind, patch: fact.patch })
}

/// A map of strings to values; an object without any description is open (raw extensions, JSON).
fn free_keys(type_name: &str, field: &str, schema: &Value) -> Shape {
    let values = schema.get("additionalProperties").filter(|values| values.is_object());
    let Some(values) = values else { return Shape::Any };
    Shape::Object(ObjectShape {
        values: Some(child(&type_name.into(), "", values)),
        atomic: facts::field_is_whole(type_name, field) == Some(true),
        ..ObjectShape::default()
    })
}

/// The JSON schemas of a kind's type and of every type below it, by type name.
pub(super) fn raw_json_schemas(kind: &BuiltinKind) -> Map<String, Value> {
    let mut found = Map::new();
    let mut waiting = vec![type_of(kind)];
    while let Some(name) = waiting.pop() {
        if found.contains_key(&name) {
            continue;
        }
        let schema = json_of(&name).unwrap_or_default();
        references(&schema, &mut waiting);
        found.insert(name, schema);
    }
    found
}

fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(reference).map(str::to_owned));
            map.values().for_each(|below| references(below, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// What the API says about the field at `path` of a kind, such as `["spec", "type"]`.
#[must_use]
pub fn description(kind: &BuiltinKind, path: &[&str]) -> Option<String> {
    let mut schema = json_of(&type_of(kind))?;
    let mut text = None;
    for step in path {
        let field = schema.pointer(&format!("/properties/{step}"))?.clone();
        text = field["description"].as_str().map(str::to_owned);
        let inner = if field["type"] == "array" { field["items"].clone() } else { field };
        schema = match schema_reference(&inner) {
            Some(name) => json_of(&name)?,
            None => inner,
        };
    }
    text
}
