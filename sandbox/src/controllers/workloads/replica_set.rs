//! ReplicaSet: as many pods as asked for.
//!
//! Deployments drive it. It knows nothing of templates that change: it makes pods from its own.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::{Value, json};

use crate::controllers::cache::{Cache, Key};
use crate::controllers::conditions::{Condition, set_condition};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object};
use crate::controllers::{pods, workloads};

const KIND: &str = "ReplicaSet.apps";

/// No more pods than this in one go, as the real one.
const BURST: i64 = 500;

const NAME: &str = "replicaset-controller";

/// Keeps large ReplicaSets: they look at many steps of their pods at once.
pub const CONTROLLER: Controller =
    Controller { name: NAME, manager: "kube-controller-manager", wakes: wakes_large, reconcile };

/// Keeps small ones: they look at each step of each pod.
pub const PROMPT: Controller =
    Controller { name: NAME, manager: "kube-controller-manager", wakes: wakes_small, reconcile };

fn wakes_large(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let keys = wakes(change, cache).into_iter();
    keys.filter(|key| !workloads::is_small(cache.find(key))).collect()
}

fn wakes_small(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let keys = wakes(change, cache).into_iter();
    keys.filter(|key| workloads::is_small(cache.find(key))).collect()
}

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let mut keys = change.itself(KIND);
    if change.kind == "Pod" {
        keys.extend(change.controller(KIND));
        if change.object.controller().is_none() {
            keys.extend(matching(change.object, cache));
        }
    }
    keys
}

/// The ReplicaSets that may adopt a pod nobody controls.
fn matching(pod: &Value, cache: &Cache) -> Vec<Key> {
    cache
        .list_in(KIND, pod.namespace())
        .filter(|set| crate::controllers::selector::matches(set.at("/spec/selector"), pod))
        .map(|set| Key::of(set))
        .collect()
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(set) = world.cache.find(key) else { return plan };
    let claimed = pods::claim(set, "Pod", world, &mut plan);
    let active: Vec<&Object> = claimed.iter().copied().filter(|pod| pods::is_active(pod)).collect();
    let terminating = claimed.iter().filter(|pod| pod.is_terminating() && !pods::is_finished(pod)).count();
    let status = status(set, &active, terminating as i64, world, &mut plan);
    plan.status(set, status);
    if !set.is_terminating() {
        manage(set, &active, world, &mut plan);
    }
    plan
}

fn manage(set: &Value, active: &[&Object], world: &World<'_>, plan: &mut Plan) {
    let wanted = set.count("/spec/replicas");
    let have = active.len() as i64;
    if let Some(failure) = world.failure.filter(|_| have < wanted) {
        plan.warn(set, "FailedCreate", format!("Error creating: {failure}"));
    }
    for _ in have..wanted.min(have + BURST) {
        let prefix = format!("{}-", set.name());
        let pod = pods::generated(set, set.at("/spec/template"), &prefix, world);
        let note = format!("Created pod: {}", pod.name());
        plan.push(Write::Create(pod));
        plan.note(set, "SuccessfulCreate", note);
    }
    let surplus = usize::try_from(have - wanted).unwrap_or_default();
    let going = if surplus > 0 { first_to_go(active, world) } else { Vec::new() };
    for pod in going.into_iter().take(surplus) {
        plan.push(Write::delete(pod));
        plan.note(set, "SuccessfulDelete", format!("Deleted pod: {}", pod.name()));
    }
}

/// Pods in the order in which a scale-down gives them up: unscheduled, pending, unready, cheap, crowded
/// nodes, young. The rules are those of `kubectl explain replicaset` and the pod-deletion-cost docs.
pub(super) fn first_to_go<'a>(active: &[&'a Object], world: &World<'_>) -> Vec<&'a Object> {
    let mut crowd: HashMap<&str, usize> = HashMap::new();
    for pod in active {
        *crowd.entry(pod.text("/spec/nodeName")).or_default() += 1;
    }
    let mut pods = active.to_vec();
    pods.sort_by_cached_key(|pod| {
        let node = pod.text("/spec/nodeName");
        let cost = pod.annotation("controller.kubernetes.io/pod-deletion-cost");
        (
            !node.is_empty(),
            pod.text("/status/phase") == "Running",
            pods::is_ready(pod),
            cost.parse::<i64>().unwrap_or_default(),
            Reverse(crowd.get(node).copied().unwrap_or_default()),
            world.since(pod.text("/metadata/creationTimestamp")),
            pod.name().to_owned(),
        )
    });
    pods
}

fn status(set: &Value, active: &[&Object], terminating: i64, world: &World<'_>, plan: &mut Plan) -> Value {
    let template = set.at("/spec/template/metadata/labels");
    let labelled = active
        .iter()
        .filter(|pod| crate::controllers::selector::contains(pod.at("/metadata/labels"), template));
    let ready: Vec<&Object> = active.iter().copied().filter(|pod| pods::is_ready(pod)).collect();
    let available = pods::count_available(&ready, set.count("/spec/minReadySeconds"), world, plan);
    let mut status = pods::without_zeros(&[
        ("fullyLabeledReplicas", labelled.count() as i64),
        ("readyReplicas", ready.len() as i64),
        ("availableReplicas", available),
        ("observedGeneration", set.generation()),
    ]);
    status.insert("replicas".into(), active.len().into());
    status.insert("terminatingReplicas".into(), terminating.into());
    if let Some(conditions) = conditions(set, active.len() as i64, world) {
        status.insert("conditions".into(), conditions);
    }
    status.into()
}

/// A set that cannot make its pods says so in `ReplicaFailure`, in the words of the first refusal, as the
/// real one: each pod that is refused has another name, and a status that changes wakes the set again.
fn conditions(set: &Value, have: i64, world: &World<'_>) -> Option<Value> {
    let failure = world.failure.filter(|_| have < set.count("/spec/replicas"))?;
    let mut conditions = set.list("/status/conditions").to_vec();
    let said = set.condition("ReplicaFailure").filter(|held| held.text("/reason") == "FailedCreate");
    let message = said.map_or(failure, |held| held.text("/message"));
    let condition = Condition::new("ReplicaFailure", "True", "FailedCreate", message);
    set_condition(&mut conditions, &condition, &world.timestamp(), json!({}));
    Some(conditions.into())
}
