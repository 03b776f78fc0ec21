//! Taint-based eviction: pods leave a node whose NoExecute taints they do not tolerate.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::cache::{Cache, Key};
use super::super::conditions::{Condition, set_condition};
use super::super::controller::{Change, Controller, Plan, World, Write};
use super::super::fields::{Fields, set};
use super::super::{pods, scheduler};

/// Evicts.
pub const CONTROLLER: Controller =
    Controller { name: "taint-eviction-controller", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    match change.kind {
        "Node"
            if change
                .previous
                .is_none_or(|held| held.at("/spec/taints") != change.object.at("/spec/taints")) =>
        {
            cache.pods_on(change.object.name()).map(|pod| Key::of(pod)).collect()
        }
        "Pod" if !change.gone && !change.object.text("/spec/nodeName").is_empty() => vec![change.key()],
        _ => Vec::new(),
    }
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(pod) = world.cache.find(key).filter(|pod| pods::is_active(pod)) else { return plan };
    let Some(node) = world.cache.get("Node", "", pod.text("/spec/nodeName")) else { return plan };
    let taints = node.list("/spec/taints").iter().filter(|taint| taint.text("/effect") == "NoExecute");
    let patience =
        taints.map(|taint| patience(pod, taint, world)).min_by_key(|left| left.unwrap_or(Duration::MAX));
    match patience.flatten() {
        None => {}
        Some(left) if !left.is_zero() => plan.upkeep(left),
        Some(_) => evict(pod, world, &mut plan),
    }
    plan
}

/// How much longer the pod bears a taint; none for ever.
fn patience(pod: &Value, taint: &Value, world: &World<'_>) -> Option<Duration> {
    let tolerations = pod.list("/spec/tolerations");
    let Some(toleration) = tolerations.iter().find(|held| scheduler::tolerates(held, taint)) else {
        return Some(Duration::ZERO);
    };
    let seconds = toleration.number("/tolerationSeconds")?;
    let span = Duration::from_secs(seconds.max(0).unsigned_abs());
    Some(world.left_of(span, taint.text("/timeAdded")).unwrap_or_default())
}

fn evict(pod: &Value, world: &World<'_>, plan: &mut Plan) {
    let mut status = pod.at("/status").clone();
    let mut conditions = pod.list("/status/conditions").to_vec();
    let condition = Condition::new(
        "DisruptionTarget",
        "True",
        "DeletionByTaintManager",
        "Taint manager: deleting due to NoExecute taint",
    );
    set_condition(&mut conditions, &condition, &world.timestamp(), json!({ "lastProbeTime": null }));
    set(&mut status, "/conditions", conditions.into());
    let message = format!("Marking for deletion Pod {}/{}", pod.namespace(), pod.name());
    plan.note(pod, "TaintManagerEviction", message);
    plan.status(pod, status);
    plan.push(Write::delete(pod));
}
