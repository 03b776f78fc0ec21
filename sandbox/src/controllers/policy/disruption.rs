//! PodDisruptionBudgets: how many pods may be evicted now.

use std::time::Duration;

use serde_json::{Value, json};

use crate::controllers::cache::{Cache, Key};
use crate::controllers::conditions::{Condition, set_condition};
use crate::controllers::controller::{Change, Controller, Plan, World};
use crate::controllers::fields::{Fields, Object};
use crate::controllers::quantity::{Round, int_or_percent};
use crate::controllers::{pods, selector};

const KIND: &str = "PodDisruptionBudget.policy";

/// How long an eviction that was allowed counts before its pod is seen going.
const PENDING: Duration = Duration::from_secs(120);

/// Counts.
pub const CONTROLLER: Controller =
    Controller { name: "controllermanager", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let mut keys = change.itself(KIND);
    match change.kind {
        "Pod" => {
            let states: Vec<&Object> = std::iter::once(change.object).chain(change.previous).collect();
            let budgets = cache.list_in(KIND, change.object.namespace());
            let matching = budgets.filter(|budget| {
                states.iter().any(|pod| selector::matches(budget.at("/spec/selector"), pod))
            });
            keys.extend(matching.map(|budget| Key::of(budget)));
        }
        "Deployment.apps" | "ReplicaSet.apps" | "StatefulSet.apps" => {
            keys.extend(cache.list_in(KIND, change.object.namespace()).map(|budget| Key::of(budget)));
        }
        _ => {}
    }
    keys
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(budget) = world.cache.find(key).filter(|budget| !budget.is_terminating()) else { return plan };
    let covered: Vec<&Object> = world
        .cache
        .list_in("Pod", budget.namespace())
        .filter(|pod| selector::matches(budget.at("/spec/selector"), pod) && !pods::is_finished(pod))
        .collect();
    let expected = expected(budget, &covered, world.cache);
    let wanted = wanted(budget, expected);
    let disrupted = disrupted(budget, &covered, world, &mut plan);
    let healthy = covered
        .iter()
        .filter(|pod| pods::is_ready(pod) && !pod.is_terminating() && !disrupted.contains_key(pod.name()))
        .count() as i64;
    let allowed = if expected == 0 { 0 } else { (healthy - wanted).max(0) };
    let mut status = json!({
        "observedGeneration": budget.generation(),
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": wanted,
        "expectedPods": expected,
        "conditions": conditions(budget, allowed, world),
    });
    if !disrupted.is_empty() {
        status["disruptedPods"] = disrupted.into();
    }
    plan.status(budget, status);
    plan
}

/// How many pods there should be: the sizes of what controls the covered ones.
fn expected(budget: &Value, covered: &[&Object], cache: &Cache) -> i64 {
    let min = budget.at("/spec/minAvailable");
    if min.is_i64() {
        return covered.len() as i64;
    }
    let mut scaled: std::collections::BTreeMap<&str, i64> = std::collections::BTreeMap::new();
    let mut bare = 0;
    for pod in covered {
        match pod.controller().and_then(|owner| cache.by_uid(owner.text("/uid"))) {
            Some(owner) => {
                let top =
                    owner.controller().and_then(|above| cache.by_uid(above.text("/uid"))).unwrap_or(owner);
                scaled.insert(top.uid(), top.number("/spec/replicas").unwrap_or(covered.len() as i64));
            }
            None => bare += 1,
        }
    }
    scaled.values().sum::<i64>() + bare
}

fn wanted(budget: &Value, expected: i64) -> i64 {
    match budget.at("/spec/maxUnavailable") {
        Value::Null if budget.at("/spec/minAvailable").is_null() => expected - 1,
        Value::Null => int_or_percent(budget.at("/spec/minAvailable"), expected, Round::Up),
        most => (expected - int_or_percent(most, expected, Round::Up)).max(0),
    }
}

/// Pods whose eviction was allowed a moment ago and that are not seen going yet.
fn disrupted(
    budget: &Value,
    covered: &[&Object],
    world: &World<'_>,
    plan: &mut Plan,
) -> serde_json::Map<String, Value> {
    let mut held = serde_json::Map::new();
    for (name, since) in budget.entries("/status/disruptedPods") {
        let pod = covered.iter().find(|pod| pod.name() == name && !pod.is_terminating());
        let left = world.left_of(PENDING, since.as_str().unwrap_or_default());
        if let (Some(_), Some(left)) = (pod, left) {
            held.insert(name.to_owned(), since.clone());
            plan.upkeep(left);
        }
    }
    held
}

fn conditions(budget: &Value, allowed: i64, world: &World<'_>) -> Vec<Value> {
    let mut conditions = budget.list("/status/conditions").to_vec();
    let reason = if allowed > 0 { "SufficientPods" } else { "InsufficientPods" };
    let condition = Condition::holds("DisruptionAllowed", allowed > 0, reason, "");
    let extra = json!({ "observedGeneration": budget.generation(), "message": "" });
    set_condition(&mut conditions, &condition, &world.timestamp(), extra);
    conditions
}
