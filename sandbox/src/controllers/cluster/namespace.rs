//! Namespace termination: everything in it goes, then it goes itself.
//!
//! While an aggregated API cannot be reached nobody knows what else is in the namespace, so it stays:
//! the trap a dead metrics-server sets on a real cluster.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::controllers::cache::{Cache, Key};
use crate::controllers::conditions::{Condition, set_condition};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object, set};

const API_SERVICE: &str = "APIService.apiregistration.k8s.io";

/// Empties namespaces.
pub const CONTROLLER: Controller =
    Controller { name: "namespace-controller", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    match change.kind {
        "Namespace" => change.itself("Namespace"),
        API_SERVICE => terminating(cache),
        _ => {
            let space = cache.get("Namespace", "", change.object.namespace());
            space.filter(|space| space.is_terminating()).map(|space| Key::of(space)).into_iter().collect()
        }
    }
}

fn terminating(cache: &Cache) -> Vec<Key> {
    cache.list("Namespace").filter(|space| space.is_terminating()).map(|space| Key::of(space)).collect()
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(space) = world.cache.find(key).filter(|space| space.is_terminating()) else { return plan };
    let deleted = space.text("/metadata/deletionTimestamp");
    if let Some(left) = world.left_of(world.settings.namespace_delay, deleted) {
        plan.soon(left);
        return plan;
    }
    let contents = world.cache.contents(space.name());
    for object in contents.iter().filter(|object| !object.is_terminating()) {
        plan.push(Write::Delete {
            object: Value::clone(object),
            grace: None,
            propagation: Some("Background"),
        });
    }
    let unreachable = unreachable(world.cache);
    plan.status(space, status(space, &contents, &unreachable, world));
    let is_empty = contents.is_empty() && unreachable.is_empty();
    if is_empty && space.list("/spec/finalizers").contains(&"kubernetes".into()) {
        let mut free = Value::clone(space);
        let left =
            space.list("/spec/finalizers").iter().filter(|held| *held != "kubernetes").cloned().collect();
        set(&mut free, "/spec/finalizers", Value::Array(left));
        plan.push(Write::Finalize(free));
    }
    plan
}

/// The groups of aggregated APIs that do not answer.
fn unreachable(cache: &Cache) -> Vec<String> {
    cache
        .list(API_SERVICE)
        .filter(|service| service.at("/spec/service").is_object() && !service.is("Available"))
        .map(|service| format!("{}/{}", service.text("/spec/group"), service.text("/spec/version")))
        .collect()
}

fn status(space: &Value, contents: &[Object], unreachable: &[String], world: &World<'_>) -> Value {
    let mut conditions = space.list("/status/conditions").to_vec();
    for condition in [
        discovery(unreachable),
        Condition::holds(
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        Condition::holds(
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        remaining(contents, world),
        finalizers(contents),
    ] {
        set_condition(&mut conditions, &condition, &world.timestamp(), json!({}));
    }
    json!({ "phase": "Terminating", "conditions": conditions })
}

fn discovery(unreachable: &[String]) -> Condition<'static> {
    let kind = "NamespaceDeletionDiscoveryFailure";
    if unreachable.is_empty() {
        return Condition::holds(kind, false, "ResourcesDiscovered", "All resources successfully discovered");
    }
    let each: Vec<String> =
        unreachable.iter().map(|group| format!("{group}: stale GroupVersion discovery: {group}")).collect();
    let message = format!(
        "Discovery failed for some groups, {} failing: unable to retrieve the complete list of server APIs: {}",
        unreachable.len(),
        each.join(", ")
    );
    Condition::holds(kind, true, "DiscoveryFailed", message)
}

fn remaining(contents: &[Object], world: &World<'_>) -> Condition<'static> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for object in contents.iter().filter(|object| stays(object)) {
        *counts.entry(world.resource_of(object)).or_default() += 1;
    }
    if counts.is_empty() {
        return Condition::holds(
            "NamespaceContentRemaining",
            false,
            "ContentRemoved",
            "All content successfully removed",
        );
    }
    let each: Vec<String> =
        counts.iter().map(|(name, count)| format!("{name} has {count} resource instances")).collect();
    let message = format!("Some resources are remaining: {}", each.join(", "));
    Condition::holds("NamespaceContentRemaining", true, "SomeResourcesRemain", message)
}

/// What is still there after deletion: held by a finalizer, or a pod that stops gracefully.
fn stays(object: &Value) -> bool {
    !object.list("/metadata/finalizers").is_empty()
        || (object.text("/kind") == "Pod" && !object.text("/spec/nodeName").is_empty())
}

fn finalizers(contents: &[Object]) -> Condition<'static> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for finalizer in contents.iter().flat_map(|object| object.list("/metadata/finalizers")) {
        *counts.entry(finalizer.as_str().unwrap_or_default()).or_default() += 1;
    }
    let kind = "NamespaceFinalizersRemaining";
    if counts.is_empty() {
        return Condition::holds(
            kind,
            false,
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        );
    }
    let each: Vec<String> =
        counts.iter().map(|(name, count)| format!("{name} in {count} resource instances")).collect();
    let message = format!("Some content in the namespace has finalizers remaining: {}", each.join(", "));
    Condition::holds(kind, true, "SomeFinalizersRemain", message)
}
