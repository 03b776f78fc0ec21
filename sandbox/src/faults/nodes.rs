//! Nodes that are killed, frozen or cut off, and what becomes of their containers.
//!
//! What a node suffers stands in an annotation of it: its kubelet sees that it is down, and when the fault is
//! gone what has to be made good is known.

use serde_json::{Value, json};

use super::in_cache;
use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object, remove_key, set, set_key};
use crate::controllers::nodes::FAULT;
use crate::processes::Signal;

/// Applies and lifts faults of nodes.
pub const CONTROLLER: Controller =
    Controller { name: "aegis-faults", manager: "aegis-faults", wakes, reconcile };

/// The kinds that take a node out, the worst first.
const KINDS: [&str; 3] = ["node-kill", "node-freeze", "partition"];
/// What a container ends with whose node went down, as kubelets tell it afterwards.
const NOBODY_SAW: i64 = 255;

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let mut keys = super::wakes_all(change, cache, "Node");
    keys.extend(change.itself("Node"));
    keys
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(node) = world.cache.find(key).filter(|node| !node.is_terminating()) else { return plan };
    let faults = in_cache(world.cache);
    let suffered =
        KINDS.into_iter().find(|kind| faults.iter().any(|fault| fault.is(kind) && fault.hits_node(node)));
    let held = node.annotation(FAULT);
    if held == suffered.unwrap_or_default() {
        return plan;
    }
    lift(held, node, world, &mut plan);
    let mut wanted = Value::clone(node);
    match suffered {
        None => remove_key(&mut wanted, "/metadata/annotations", FAULT),
        Some(kind) => {
            apply(kind, node, world, &mut plan);
            set_key(&mut wanted, "/metadata/annotations", FAULT, kind);
        }
    }
    plan.push(Write::Replace(wanted));
    plan
}

fn apply(kind: &str, node: &Object, world: &World<'_>, plan: &mut Plan) {
    match kind {
        "node-kill" => signal(node, Signal::Kill, world, plan),
        "node-freeze" => signal(node, Signal::Freeze, world, plan),
        _ => {}
    }
}

/// Makes good what ended with a fault.
fn lift(kind: &str, node: &Object, world: &World<'_>, plan: &mut Plan) {
    match kind {
        "node-freeze" => signal(node, Signal::Thaw, world, plan),
        "node-kill" => restart(node, world, plan),
        _ => {}
    }
}

fn signal(node: &Object, signal: Signal, world: &World<'_>, plan: &mut Plan) {
    for pod in world.cache.pods_on(node.name()) {
        plan.push(Write::Signal { pod: pod.uid().to_owned(), signal });
    }
}

/// A node that comes back has started anew: its containers have ended, nobody saw how.
fn restart(node: &Object, world: &World<'_>, plan: &mut Plan) {
    plan.warn(node, "Rebooted", format!("Node {} has been rebooted", node.name()));
    for pod in world.cache.pods_on(node.name()) {
        let mut status = pod.at("/status").clone();
        for list in ["containerStatuses", "initContainerStatuses"] {
            for container in status[list].as_array_mut().into_iter().flatten() {
                end(container, &world.timestamp());
            }
        }
        plan.status(pod, status);
    }
}

fn end(container: &mut Value, now: &str) {
    if !container.at("/state/running").is_object() {
        return;
    }
    let ended = json!({ "terminated": {
        "exitCode": NOBODY_SAW, "reason": "Unknown", "finishedAt": now,
        "startedAt": container.at("/state/running/startedAt"), "containerID": container.at("/containerID"),
    } });
    set(container, "/state", ended);
    set(container, "/ready", false.into());
    set(container, "/started", false.into());
}
