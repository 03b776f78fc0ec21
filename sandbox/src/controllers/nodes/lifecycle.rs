//! Node lifecycle: what is known of a node's health, and the taints that say it to the scheduler.
//!
//! A node that has not renewed its lease for 50 s is unknown; its pods are no longer ready. Taints
//! follow from the Ready condition and from `spec.unschedulable`.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::cache::{Cache, Key};
use super::super::conditions::{Condition, set_condition};
use super::super::controller::{Change, Controller, Plan, World};
use super::super::fields::{Fields, set, set_key};
use super::is_ours;

/// `node-monitor-grace-period`, the controller manager's default.
const GRACE: Duration = Duration::from_secs(50);

const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// Watches over nodes.
pub const CONTROLLER: Controller =
    Controller { name: "node-controller", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    let mut keys = change.itself("Node");
    if change.kind == "Lease.coordination.k8s.io" && change.object.namespace() == "kube-node-lease" {
        keys.push(Key::new("Node", "", change.object.name()));
    }
    keys
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(node) = world.cache.find(key).filter(|node| !node.is_terminating()) else { return plan };
    let mut wanted = Value::clone(node);
    if node.annotation("node.alpha.kubernetes.io/ttl").is_empty() {
        set_key(&mut wanted, "/metadata/annotations", "node.alpha.kubernetes.io/ttl", "0");
    }
    taint(&mut wanted, world);
    plan.replace(node, wanted);
    register(node, world, &mut plan);
    watch_over(node, world, &mut plan);
    plan
}

/// Tells of a node that is met for the first time.
fn register(node: &Value, world: &World<'_>, plan: &mut Plan) {
    const REASON: &str = "RegisteredNode";
    let is_told = |event: &&super::super::fields::Object| {
        event.text("/reason") == REASON && event.text("/involvedObject/uid") == node.uid()
    };
    if world.marks.begins(node.uid(), REASON, world.now())
        && !world.cache.list_in("Event", "default").any(|event| is_told(&event))
    {
        let name = node.name();
        plan.note(node, REASON, format!("Node {name} event: Registered Node {name} in Controller"));
    }
}

/// Adds and removes the taints this controller answers for; others stay.
fn taint(node: &mut Value, world: &World<'_>) {
    let ready = node.condition("Ready").map_or("", |held| held.text("/status")).to_owned();
    let wanted = [
        (UNSCHEDULABLE, "NoSchedule", node.flag("/spec/unschedulable")),
        (NOT_READY, "NoSchedule", ready == "False"),
        (NOT_READY, "NoExecute", ready == "False"),
        (UNREACHABLE, "NoSchedule", ready == "Unknown"),
        (UNREACHABLE, "NoExecute", ready == "Unknown"),
    ];
    let mut taints = node.list("/spec/taints").to_vec();
    for (key, effect, holds) in wanted {
        let is_it = |taint: &Value| taint.text("/key") == key && taint.text("/effect") == effect;
        let has = taints.iter().any(is_it);
        if has && !holds {
            taints.retain(|taint| !is_it(taint));
        } else if holds && !has {
            taints.push(json!({ "key": key, "effect": effect, "timeAdded": world.timestamp() }));
        }
    }
    if taints.is_empty() {
        super::super::fields::remove_key(node, "/spec", "taints");
    } else {
        set(node, "/spec/taints", taints.into());
    }
}

/// Declares a silent node unknown. A node nobody posts for (made by hand) is left as it is.
fn watch_over(node: &Value, world: &World<'_>, plan: &mut Plan) {
    let lease = world.cache.get("Lease.coordination.k8s.io", "kube-node-lease", node.name());
    let (Some(lease), true) = (lease, is_ours(node)) else { return };
    if let Some(left) = world.left_of(GRACE, lease.text("/spec/renewTime")) {
        return plan.upkeep(left);
    }
    if node.condition("Ready").is_some_and(|held| held.text("/status") != "Unknown") {
        declare_unknown(node, world, plan);
    }
}

fn declare_unknown(node: &Value, world: &World<'_>, plan: &mut Plan) {
    let now = world.timestamp();
    let mut status = node.at("/status").clone();
    let mut conditions = node.list("/status/conditions").to_vec();
    for held in node.list("/status/conditions") {
        let heartbeat = held.at("/lastHeartbeatTime").clone();
        let message = "Kubelet stopped posting node status.";
        let condition = Condition::new(held.text("/type"), "Unknown", "NodeStatusUnknown", message);
        set_condition(&mut conditions, &condition, &now, json!({ "lastHeartbeatTime": heartbeat }));
    }
    set(&mut status, "/conditions", conditions.into());
    plan.status(node, status);
    plan.note(node, "NodeNotReady", format!("Node {} status is now: NodeNotReady", node.name()));
    for pod in world.cache.pods_on(node.name()).filter(|pod| pod.is("Ready")) {
        let mut status = pod.at("/status").clone();
        let mut conditions = pod.list("/status/conditions").to_vec();
        let condition = Condition::new("Ready", "False", "", "");
        set_condition(&mut conditions, &condition, &now, json!({ "lastProbeTime": null }));
        set(&mut status, "/conditions", conditions.into());
        plan.status(pod, status);
        plan.warn(pod, "NodeNotReady", "Node is not ready");
    }
}
