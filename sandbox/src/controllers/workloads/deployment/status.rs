//! A Deployment's status: counts, and the conditions Available, Progressing and ReplicaFailure.
//!
//! A condition whose status or reason changes moves to the end of the list: recordings of a real
//! cluster show that order, and tools print it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::super::conditions::Condition;
use super::super::super::controller::{Plan, World};
use super::super::super::fields::{Fields, Object};
use super::super::super::pods::without_zeros;
use super::Rollout;

/// `progressDeadlineSeconds` of this means none.
const NO_DEADLINE: i64 = i32::MAX as i64;

/// Whether the Deployment's progress is watched.
pub(super) fn has_deadline(deployment: &Value) -> bool {
    deadline(deployment).is_some()
}

fn deadline(deployment: &Value) -> Option<Duration> {
    let seconds = deployment.number("/spec/progressDeadlineSeconds")?;
    (seconds != NO_DEADLINE).then(|| Duration::from_secs(seconds.max(0).unsigned_abs()))
}

fn sum(rollout: &Rollout<'_>, field: &str) -> i64 {
    rollout.all().map(|set| set.count(field)).sum()
}

/// Counts and Available, without looking at progress: for paused and scaling Deployments.
pub(super) fn counts_only(rollout: &Rollout<'_>, world: &World<'_>) -> Value {
    let mut status = counts(rollout);
    let mut conditions = rollout.deployment.list("/status/conditions").to_vec();
    set(&mut conditions, &availability(rollout), world);
    status.insert("conditions".into(), conditions.into());
    status.into()
}

fn counts(rollout: &Rollout<'_>) -> Map<String, Value> {
    let deployment = rollout.deployment;
    let available = sum(rollout, "/status/availableReplicas");
    let mut status = without_zeros(&[
        ("observedGeneration", deployment.generation()),
        ("replicas", sum(rollout, "/status/replicas")),
        ("updatedReplicas", rollout.new.map_or(0, |new| new.count("/status/replicas"))),
        ("readyReplicas", sum(rollout, "/status/readyReplicas")),
        ("availableReplicas", available),
        ("unavailableReplicas", (sum(rollout, "/spec/replicas") - available).max(0)),
    ]);
    status.insert("terminatingReplicas".into(), sum(rollout, "/status/terminatingReplicas").into());
    if let Some(count) = deployment.number("/status/collisionCount") {
        status.insert("collisionCount".into(), count.into());
    }
    status
}

fn availability(rollout: &Rollout<'_>) -> Condition<'static> {
    let enough = sum(rollout, "/status/availableReplicas") >= rollout.replicas() - rollout.unavailable();
    match enough {
        true => Condition::new(
            "Available",
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        ),
        false => Condition::new(
            "Available",
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        ),
    }
}

/// The whole status of a rollout under way; plans another look at the deadline.
pub(super) fn progress(rollout: &Rollout<'_>, world: &World<'_>, plan: &mut Plan) -> Value {
    let deployment = rollout.deployment;
    let mut status = counts(rollout);
    let mut conditions = deployment.list("/status/conditions").to_vec();
    set(&mut conditions, &availability(rollout), world);
    match deadline(deployment) {
        Some(deadline) => judge(rollout, &status, deadline, &mut conditions, world, plan),
        None => conditions.retain(|held| held.text("/type") != "Progressing"),
    }
    failure(rollout, &mut conditions, world);
    status.insert("conditions".into(), conditions.into());
    status.into()
}

/// Sets Progressing: complete, progressing, or out of time.
fn judge(
    rollout: &Rollout<'_>,
    status: &Map<String, Value>,
    deadline: Duration,
    conditions: &mut Vec<Value>,
    world: &World<'_>,
    plan: &mut Plan,
) {
    let held = conditions.iter().find(|held| held.text("/type") == "Progressing").cloned();
    let reason = held.as_ref().map_or("", |held| held.text("/reason")).to_owned();
    let now = Value::Object(status.clone());
    let updated_all = now.count("/replicas") == now.count("/updatedReplicas");
    if updated_all && reason == "NewReplicaSetAvailable" {
        return;
    }
    let name = match rollout.new {
        Some(new) => format!("ReplicaSet \"{}\"", new.name()),
        None => format!("Deployment \"{}\"", rollout.deployment.name()),
    };
    let left = held.as_ref().and_then(|held| world.left_of(deadline, held.text("/lastUpdateTime")));
    if counts_complete(rollout, &now) {
        let message = format!("{name} has successfully progressed.");
        set(conditions, &Condition::new("Progressing", "True", "NewReplicaSetAvailable", message), world);
    } else if has_progressed(rollout.deployment.at("/status"), &now) {
        let message = format!("{name} is progressing.");
        // A fresh update time is the point: the deadline counts from the last progress.
        conditions.retain(|held| held.text("/type") != "Progressing");
        let condition = Condition::new("Progressing", "True", "ReplicaSetUpdated", message);
        conditions.push(condition_at(&condition, held.as_ref(), world));
        plan.upkeep(deadline + Duration::from_secs(1));
    } else if held.is_some() && reason != "NewReplicaSetAvailable" && left.is_none() {
        let message = format!("{name} has timed out progressing.");
        set(conditions, &Condition::new("Progressing", "False", "ProgressDeadlineExceeded", message), world);
    } else if let Some(left) = left {
        plan.upkeep(left + Duration::from_secs(1));
    }
}

/// Whether the rollout of the present template is done.
pub(super) fn is_complete(rollout: &Rollout<'_>) -> bool {
    let status = rollout.deployment.at("/status");
    counts_complete(rollout, status) && status.count("/observedGeneration") >= rollout.deployment.generation()
}

fn counts_complete(rollout: &Rollout<'_>, status: &Value) -> bool {
    ["/updatedReplicas", "/replicas", "/availableReplicas"]
        .iter()
        .all(|field| status.count(field) == rollout.replicas())
}

fn has_progressed(before: &Value, now: &Value) -> bool {
    let old = |status: &Value| status.count("/replicas") - status.count("/updatedReplicas");
    let grew = |field: &str| now.count(field) > before.count(field);
    grew("/updatedReplicas") || old(now) < old(before) || grew("/readyReplicas") || grew("/availableReplicas")
}

/// Hands up the failure of a set that cannot make its pods.
fn failure(rollout: &Rollout<'_>, conditions: &mut Vec<Value>, world: &World<'_>) {
    let sets: Vec<&Object> = rollout.all().collect();
    match sets.iter().find_map(|set| set.condition("ReplicaFailure")) {
        Some(held) => {
            let reason = held.text("/reason");
            let message = held.text("/message");
            set(conditions, &Condition::new("ReplicaFailure", "True", reason, message), world);
        }
        None => conditions.retain(|held| held.text("/type") != "ReplicaFailure"),
    }
}

/// The status with a condition about pausing, when the Deployment was just paused or resumed.
pub(super) fn pause_changed(rollout: &Rollout<'_>, world: &World<'_>) -> Option<Value> {
    let deployment = rollout.deployment;
    let held = deployment.condition("Progressing");
    let reason = held.map_or("", |held| held.text("/reason"));
    if !has_deadline(deployment) || reason == "ProgressDeadlineExceeded" {
        return None;
    }
    let condition = match (rollout.is_paused(), reason == "DeploymentPaused") {
        (true, false) => Condition::new("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused"),
        (false, true) => {
            Condition::new("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
        }
        _ => return None,
    };
    Some(with_condition(deployment, &condition, world))
}

/// The present status with one condition set.
pub(super) fn with_condition(deployment: &Value, condition: &Condition<'_>, world: &World<'_>) -> Value {
    let mut status = deployment.at("/status").as_object().cloned().unwrap_or_default();
    let mut conditions = deployment.list("/status/conditions").to_vec();
    set(&mut conditions, condition, world);
    status.insert("conditions".into(), conditions.into());
    status.into()
}

fn set(conditions: &mut Vec<Value>, condition: &Condition<'_>, world: &World<'_>) {
    let held = conditions.iter().find(|held| held.text("/type") == condition.kind).cloned();
    let said = held.as_ref().is_some_and(|held| {
        held.text("/status") == condition.status && held.text("/reason") == condition.reason
    });
    if !said {
        conditions.retain(|held| held.text("/type") != condition.kind);
        conditions.push(condition_at(condition, held.as_ref(), world));
    }
}

fn condition_at(condition: &Condition<'_>, held: Option<&Value>, world: &World<'_>) -> Value {
    let now = world.timestamp();
    let since = held
        .filter(|held| held.text("/status") == condition.status)
        .map_or(now.as_str(), |held| held.text("/lastTransitionTime"));
    json!({
        "type": condition.kind,
        "status": condition.status,
        "lastUpdateTime": now,
        "lastTransitionTime": since,
        "reason": condition.reason,
        "message": condition.message,
    })
}
