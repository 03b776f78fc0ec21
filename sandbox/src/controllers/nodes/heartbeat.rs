//! The kubelet's heartbeat: a Lease renewed every ten seconds, conditions every five minutes.
//!
//! Both spans are the kubelet's defaults. A node that comes back posts Ready at once.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::cache::{Cache, Key};
use super::super::conditions::{Condition, set_condition};
use super::super::controller::{Change, Controller, Plan, World, Write};
use super::super::fields::{Fields, set};
use super::{is_down, is_ours};

const RENEW: Duration = Duration::from_secs(10);
const POST: Duration = Duration::from_secs(300);
const NAMESPACE: &str = "kube-node-lease";

/// Keeps simulated nodes alive.
pub const CONTROLLER: Controller = Controller { name: "kubelet", manager: "kubelet", wakes, reconcile };

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    change.itself("Node")
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(node) = world.cache.find(key).filter(|node| is_ours(node) && !is_down(node)) else {
        return plan;
    };
    if !node.is_terminating() {
        post(node, world, &mut plan);
        renew(node, world, &mut plan);
        plan.upkeep(RENEW);
    }
    plan
}

fn post(node: &Value, world: &World<'_>, plan: &mut Plan) {
    let last = node.condition("Ready").map_or("", |held| held.text("/lastHeartbeatTime"));
    if node.is("Ready") && world.left_of(POST, last).is_some() {
        return;
    }
    if node.condition("Ready").is_none() {
        plan.note(node, "Starting", "Starting kubelet.");
    } else if !node.is("Ready") {
        plan.note(node, "NodeReady", format!("Node {} status is now: NodeReady", node.name()));
    }
    let now = world.timestamp();
    let mut conditions = node.list("/status/conditions").to_vec();
    for (kind, status, reason, message) in [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ] {
        let condition = Condition::new(kind, status, reason, message);
        set_condition(&mut conditions, &condition, &now, json!({ "lastHeartbeatTime": now }));
    }
    let mut status = node.at("/status").clone();
    set(&mut status, "/conditions", conditions.into());
    plan.status(node, status);
}

fn renew(node: &Value, world: &World<'_>, plan: &mut Plan) {
    let now = world.ambient.micro_timestamp();
    match world.cache.get("Lease.coordination.k8s.io", NAMESPACE, node.name()) {
        None => plan.push(Write::Ensure(lease(node, &now))),
        Some(lease) if world.left_of(RENEW, lease.text("/spec/renewTime")).is_none() => {
            let mut renewed = Value::clone(lease);
            set(&mut renewed, "/spec/renewTime", now.into());
            plan.push(Write::Replace(renewed));
        }
        Some(_) => {}
    }
}

fn lease(node: &Value, now: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": node.name(),
            "namespace": NAMESPACE,
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Node", "name": node.name(), "uid": node.uid() }],
        },
        "spec": { "holderIdentity": node.name(), "leaseDurationSeconds": 40, "renewTime": now },
    })
}
