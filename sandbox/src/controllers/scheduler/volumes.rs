//! Claims and scheduling: some bind only once a pod has a node, and volumes tie pods to zones.

use serde_json::Value;

use super::super::cache::Cache;
use super::super::controller::{Plan, World, Write};
use super::super::fields::{Fields, Object, set, set_key};
use super::super::kubelet::references::claim_name;
use super::filters;

const SELECTED: &str = "volume.kubernetes.io/selected-node";

/// The claims of a pod by name, and the claim when it is there.
fn claims<'a>(pod: &Value, cache: &'a Cache) -> Vec<(String, Option<&'a Object>)> {
    let names = pod.list("/spec/volumes").iter().filter_map(|volume| claim_name(pod, volume));
    names
        .map(|name| {
            let claim = cache.get("PersistentVolumeClaim", pod.namespace(), &name);
            (name, claim)
        })
        .collect()
}

fn is_bound(claim: &Value) -> bool {
    claim.text("/status/phase") == "Bound"
}

fn waits_for_pod(claim: &Value, cache: &Cache) -> bool {
    let class = cache.get("StorageClass.storage.k8s.io", "", claim.text("/spec/storageClassName"));
    class.is_some_and(|class| class.text("/volumeBindingMode") == "WaitForFirstConsumer")
}

/// What stands in the way of any node.
pub(super) fn problem(pod: &Object, cache: &Cache) -> Option<String> {
    claims(pod, cache).into_iter().find_map(|(name, claim)| match claim {
        None => Some(format!("persistentvolumeclaim \"{name}\" not found")),
        Some(claim) if claim.is_terminating() => {
            Some(format!("persistentvolumeclaim \"{name}\" is being deleted"))
        }
        Some(claim) if !is_bound(claim) && !waits_for_pod(claim, cache) => {
            Some("pod has unbound immediate PersistentVolumeClaims".to_owned())
        }
        Some(_) => None,
    })
}

/// Why a node cannot reach the pod's volumes.
pub(super) fn refuse(pod: &Object, node: &Object, cache: &Cache) -> Option<String> {
    let bound = claims(pod, cache).into_iter().filter_map(|(_, claim)| claim);
    for claim in bound {
        let selected = claim.annotation(SELECTED);
        if !is_bound(claim) && !selected.is_empty() && selected != node.name() {
            return Some("node(s) did not have enough free storage".to_owned());
        }
        let volume = cache.get("PersistentVolume", "", claim.text("/spec/volumeName"));
        let required = volume.map_or(&Value::Null, |volume| volume.at("/spec/nodeAffinity/required"));
        if required.is_object() && !filters::any_term(required, node) {
            return Some("node(s) didn't match PersistentVolume's node affinity".to_owned());
        }
    }
    None
}

/// The node that was chosen for the claims that wait for this pod.
pub(super) fn chosen_node<'a>(pod: &Object, cache: &'a Cache) -> Option<&'a str> {
    let held = claims(pod, cache).into_iter().filter_map(|(_, claim)| claim);
    held.filter(|claim| !is_bound(claim))
        .map(|claim| claim.annotation(SELECTED))
        .find(|node| !node.is_empty())
}

/// The node that a pod without one will get, because its volumes are being made there or were just made for it.
pub(super) fn promised_node<'a>(pod: &Object, cache: &'a Cache) -> Option<&'a str> {
    let held = claims(pod, cache).into_iter().filter_map(|(_, claim)| claim);
    held.filter(|claim| !is_bound(claim) || is_made_for(claim, pod, cache))
        .map(|claim| claim.annotation(SELECTED))
        .find(|node| !node.is_empty())
}

/// Whether a claim's volume is no older than the pod: an older one had another pod before, maybe elsewhere.
fn is_made_for(claim: &Object, pod: &Object, cache: &Cache) -> bool {
    let made = |object: &Object| object.text("/metadata/creationTimestamp").to_owned();
    cache
        .get("PersistentVolume", "", claim.text("/spec/volumeName"))
        .is_some_and(|volume| made(volume) >= made(pod))
}

/// Whether nothing has to be bound any more.
pub(super) fn all_bound(pod: &Object, cache: &Cache) -> bool {
    claims(pod, cache).iter().all(|(_, claim)| claim.is_some_and(|claim| is_bound(claim)))
}

/// Chooses a node for the claims that wait for this pod; the pod is bound when they are.
pub(super) fn claim(pod: &Object, world: &World<'_>, plan: &mut Plan) {
    if all_bound(pod, world.cache) {
        return;
    }
    let node = match chosen_node(pod, world.cache) {
        Some(node) => Some(node.to_owned()),
        None => super::node_for_claims(pod, world),
    };
    let Some(node) = node else { return };
    // Until its volumes are there, the pod says where it will go.
    let mut status = pod.at("/status").clone();
    set(&mut status, "/nominatedNodeName", node.as_str().into());
    plan.status(pod, status);
    for (_, claim) in claims(pod, world.cache) {
        let Some(claim) = claim.filter(|claim| !is_bound(claim) && claim.annotation(SELECTED) != node) else {
            continue;
        };
        let mut wanted = Value::clone(claim);
        set_key(&mut wanted, "/metadata/annotations", SELECTED, node.as_str());
        plan.push(Write::Replace(wanted));
    }
}
