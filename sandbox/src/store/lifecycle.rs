//! Birth, change and death of any object: the metadata rules that API and controllers share.
//!
//! An object that is deleted while finalizers or a grace period hold it is *terminating*: it has a
//! deletion timestamp, and goes when the last of them is gone. Everything that knows about that is
//! in this file.

use serde_json::{Value, json};

use super::{Error, Key, Object};
use crate::ambient::{Ambient, format_seconds};
use crate::kinds::Kind;

/// The finalizer that keeps an owner until its dependents are gone.
pub const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer that keeps an owner until its dependents are released.
pub const ORPHAN: &str = "orphan";

/// How long a pod may take to stop when neither it nor the request says so.
const DEFAULT_POD_GRACE: i64 = 30;

/// What happens to the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted after it.
    Background,
    /// They are deleted before it.
    Foreground,
    /// They stay, without an owner.
    Orphan,
}

/// How to delete an object.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Seconds a pod may take to stop; zero removes it at once.
    pub grace_seconds: Option<i64>,
    /// What happens to dependents; with none the object's own finalizers decide.
    pub propagation: Option<Propagation>,
    /// The uid the object must have.
    pub uid: Option<String>,
    /// The resourceVersion the object must have.
    pub resource_version: Option<String>,
}

impl DeleteOptions {
    /// Deletes at once, without waiting for a pod to stop. Finalizers still hold.
    pub fn now() -> Self {
        Self { grace_seconds: Some(0), ..Self::default() }
    }

    pub(super) fn check(&self, key: &Key, object: &Value) -> Result<(), Error> {
        let expectations =
            [("UID", "uid", &self.uid), ("ResourceVersion", "resourceVersion", &self.resource_version)];
        for (field, pointer, expected) in expectations {
            let actual = object["metadata"][pointer].as_str().unwrap_or_default();
            if let Some(expected) = expected
                && expected != actual
            {
                let (expected, actual) = (expected.clone(), actual.to_owned());
                return Err(Error::Precondition { key: key.clone(), field, expected, actual });
            }
        }
        Ok(())
    }
}

/// What a deletion did.
#[derive(Clone, Debug)]
pub enum Deleted {
    /// The object is gone; this was its last state.
    Removed(Object),
    /// The object is terminating and still there.
    Marked(Object),
}

impl Deleted {
    /// The object in its last or present state.
    pub fn object(&self) -> &Object {
        match self {
            Self::Removed(object) | Self::Marked(object) => object,
        }
    }
}

/// Whether the deletion of an object has begun.
pub fn is_terminating(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The names of an object's finalizers.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Adds a finalizer, unless it is there.
pub fn add_finalizer(object: &mut Value, name: &str) {
    if finalizers(object).any(|present| present == name) {
        return;
    }
    match &mut object["metadata"]["finalizers"] {
        Value::Array(names) => names.push(name.into()),
        absent => *absent = json!([name]),
    }
}

/// Removes a finalizer, and the list when it was the last.
pub fn remove_finalizer(object: &mut Value, name: &str) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    if let Some(Value::Array(names)) = metadata.get_mut("finalizers") {
        names.retain(|present| present != name);
        if names.is_empty() {
            metadata.remove("finalizers");
        }
    }
}

/// Gives a new object what every object has. A uid or creation time that the caller chose stays.
pub(super) fn birth(object: &mut Value, key: &Key, kind: Option<&Kind>, ambient: &Ambient) {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    if let Some(kind) = kind
        && !object["kind"].is_string()
    {
        object["kind"] = kind.kind.clone().into();
        object["apiVersion"] = kind.api_version().into();
    }
    let metadata = &mut object["metadata"];
    metadata["name"] = json!(&*key.name);
    if !key.namespace.is_empty() {
        metadata["namespace"] = json!(&*key.namespace);
    }
    if !metadata["uid"].is_string() {
        metadata["uid"] = ambient.uid(&key.to_string()).into();
    }
    if !metadata["creationTimestamp"].is_string() {
        metadata["creationTimestamp"] = ambient.timestamp().into();
    }
    if kind.is_some_and(|kind| kind.generation) {
        metadata["generation"] = 1.into();
    }
    remove(metadata, &["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"]);
}

/// Keeps what a writer may not change, and counts the generation.
pub(super) fn change(old: &Value, object: &mut Value, key: &Key, kind: Option<&Kind>) {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"]["name"] = json!(&*key.name);
    let kept = [
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
    ];
    for field in kept {
        match old["metadata"].get(field) {
            Some(value) => object["metadata"][field] = value.clone(),
            None => remove(&mut object["metadata"], &[field]),
        }
    }
    if let Some(generation) = old["metadata"]["generation"].as_i64()
        && is_new_generation(old, object, kind)
    {
        object["metadata"]["generation"] = (generation + 1).into();
    }
}

/// Whether the wish has changed: anything but metadata and (where it is a subresource) status.
/// A Deployment's annotations count as well: its controller copies them to its ReplicaSets.
fn is_new_generation(old: &Value, new: &Value, kind: Option<&Kind>) -> bool {
    let has_status = kind.is_none_or(|kind| kind.subresource("status").is_some());
    let is_wish = |field: &str| match field {
        "metadata" | "kind" | "apiVersion" => false,
        "status" => !has_status,
        _ => true,
    };
    let differs = |field: &str| is_wish(field) && old.get(field) != new.get(field);
    let fields = |object: &'_ Value| {
        object.as_object().into_iter().flatten().map(|(field, _)| field.clone()).collect::<Vec<_>>()
    };
    let annotations_count = kind.is_some_and(|kind| kind.kind == "Deployment" && kind.group == "apps");
    fields(old).iter().chain(&fields(new)).any(|field| differs(field))
        || annotations_count && old["metadata"]["annotations"] != new["metadata"]["annotations"]
}

/// Writes the wish to delete into an object.
pub(super) fn mark_for_deletion(object: &mut Value, key: &Key, options: &DeleteOptions, ambient: &Ambient) {
    match options.propagation {
        Some(Propagation::Foreground) => {
            remove_finalizer(object, ORPHAN);
            add_finalizer(object, FOREGROUND);
        }
        Some(Propagation::Orphan) => {
            remove_finalizer(object, FOREGROUND);
            add_finalizer(object, ORPHAN);
        }
        Some(Propagation::Background) => {
            remove_finalizer(object, ORPHAN);
            remove_finalizer(object, FOREGROUND);
        }
        None => {}
    }
    let grace = grace_seconds(object, key, options);
    let metadata = &mut object["metadata"];
    if metadata["deletionTimestamp"].is_string() {
        // A second deletion may only shorten the grace period.
        if metadata["deletionGracePeriodSeconds"].as_i64().is_some_and(|present| grace < present) {
            metadata["deletionGracePeriodSeconds"] = grace.into();
            metadata["deletionTimestamp"] = moment_after(ambient, grace).into();
        }
        return;
    }
    metadata["deletionTimestamp"] = moment_after(ambient, grace).into();
    if !goes_in_its_own_way(key) {
        metadata["deletionGracePeriodSeconds"] = grace.into();
    }
    if let Some(generation) = metadata["generation"].as_i64().filter(|_| !goes_in_its_own_way(key)) {
        metadata["generation"] = (generation + 1).into();
    }
    if is_namespace(key) {
        object["status"]["phase"] = "Terminating".into();
    }
}

/// Whether objects of a kind may take their time to stop.
pub(super) fn has_grace(key: &Key) -> bool {
    key.resource.group().is_empty() && key.resource.plural() == "pods"
}

/// Only pods have a grace period, and only while they run on a node.
fn grace_seconds(object: &Value, key: &Key, options: &DeleteOptions) -> i64 {
    let is_pod = has_grace(key);
    let has_stopped = matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let is_scheduled = object["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    if !is_pod || has_stopped || !is_scheduled {
        return 0;
    }
    let wished = options.grace_seconds.or_else(|| object["spec"]["terminationGracePeriodSeconds"].as_i64());
    wished.unwrap_or(DEFAULT_POD_GRACE).max(0)
}

fn moment_after(ambient: &Ambient, seconds: i64) -> String {
    format_seconds(ambient.now() + jiff::SignedDuration::from_secs(seconds))
}

/// Whether a terminating object is held by nothing any more.
pub(super) fn is_finished(key: &Key, object: &Value) -> bool {
    let has_grace = object["metadata"]["deletionGracePeriodSeconds"].as_i64().is_some_and(|grace| grace > 0);
    let has_content =
        is_namespace(key) && object["spec"]["finalizers"].as_array().is_some_and(|names| !names.is_empty());
    is_terminating(object) && !has_grace && !has_content && finalizers(object).next().is_none()
}

/// Namespaces and definitions go when they are empty; they know no grace.
fn goes_in_its_own_way(key: &Key) -> bool {
    is_namespace(key) || key.resource.plural() == "customresourcedefinitions"
}

fn is_namespace(key: &Key) -> bool {
    key.resource.group().is_empty() && key.resource.plural() == "namespaces"
}

fn remove(metadata: &mut Value, fields: &[&str]) {
    if let Some(metadata) = metadata.as_object_mut() {
        for field in fields {
            metadata.remove(*field);
        }
    }
}
