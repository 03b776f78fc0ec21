//! Pods of nodes that are no more: removed by force after a while, as nobody else could.

use std::time::Duration;

use serde_json::Value;

use super::super::cache::{Cache, Key};
use super::super::controller::{Change, Controller, Plan, World, Write};
use super::super::fields::Fields;

/// How long a node must be gone before its pods go, the controller's default.
const QUARANTINE: Duration = Duration::from_secs(40);

/// Collects.
pub const CONTROLLER: Controller =
    Controller { name: "pod-garbage-collector", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    match (change.kind, change.gone) {
        ("Node", true) => cache.pods_on(change.object.name()).map(|pod| Key::of(pod)).collect(),
        ("Pod", false) if is_lost(change.object, cache) => vec![change.key()],
        _ => Vec::new(),
    }
}

fn is_lost(pod: &Value, cache: &Cache) -> bool {
    let node = pod.text("/spec/nodeName");
    let unscheduled = node.is_empty() && pod.is_terminating();
    unscheduled || (!node.is_empty() && cache.get("Node", "", node).is_none())
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(pod) = world.cache.find(key).filter(|pod| is_lost(pod, world.cache)) else { return plan };
    match world.left_since(QUARANTINE, pod.uid(), "node gone") {
        Some(left) if !pod.text("/spec/nodeName").is_empty() => plan.upkeep(left),
        _ => plan.push(Write::Delete { object: Value::clone(pod), grace: Some(0), propagation: None }),
    }
    plan
}
