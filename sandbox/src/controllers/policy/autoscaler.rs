//! HorizontalPodAutoscalers: sizes follow the simulated use of pods (see `metrics`).
//!
//! Every fifteen seconds, with the controller's tolerance of a tenth. Resource metrics are read once the
//! metrics API is there, as with a real cluster; metrics of other types are not known and say so.

use std::time::Duration;

use serde_json::{Value, json};

use crate::controllers::cache::{Cache, Key};
use crate::controllers::conditions::{Condition, set_condition};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object, qualified, set};
use crate::controllers::usage::Usage;
use crate::controllers::{metrics, pods, quantity, selector};

const KIND: &str = "HorizontalPodAutoscaler.autoscaling";

/// `--horizontal-pod-autoscaler-sync-period`.
const PERIOD: Duration = Duration::from_secs(15);
/// `--horizontal-pod-autoscaler-tolerance`, in percent.
const TOLERANCE: i128 = 10;
/// `--horizontal-pod-autoscaler-downscale-stabilization`.
const STABILIZATION: Duration = Duration::from_secs(300);

/// Scales.
pub const CONTROLLER: Controller =
    Controller { name: "horizontal-pod-autoscaler", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    change.itself(KIND)
}

/// What an autoscaler found out.
struct Findings {
    conditions: Vec<Condition<'static>>,
    desired: i64,
    metrics: Vec<Value>,
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(scaler) = world.cache.find(key).filter(|scaler| !scaler.is_terminating()) else { return plan };
    // The first look comes a period after the first sight, and own writes wake it too soon: the period counts
    // from the last look.
    // A new autoscaler of the same name takes over the old one's turn, as in the queue of the real one.
    let turn = format!("{}/{}", scaler.namespace(), scaler.name());
    if let Some(left) = world.left_since(PERIOD, &turn, "period") {
        plan.upkeep(left);
        return plan;
    }
    world.marks.restart(&turn, "period");
    world.stopwatch(&turn, "period");
    plan.upkeep(PERIOD);
    let reference = scaler.at("/spec/scaleTargetRef");
    let kind = qualified(reference.text("/kind"), reference.text("/apiVersion"));
    let Some(target) = world.cache.get(&kind, scaler.namespace(), reference.text("/name")) else {
        lost(scaler, reference, world, &mut plan);
        return plan;
    };
    scale(scaler, target, world, &mut plan);
    plan
}

/// A target that is not there is told in a condition; what was found out before stays.
fn lost(scaler: &Object, reference: &Value, world: &World<'_>, plan: &mut Plan) {
    let message = format!(
        "the HPA controller was unable to get the target's current scale: {} \"{}\" not found",
        world.resource_of(reference).trim_end_matches('.'),
        reference.text("/name")
    );
    plan.warn(scaler, "FailedGetScale", message.clone());
    let mut conditions = scaler.list("/status/conditions").to_vec();
    let condition = Condition::new("AbleToScale", "False", "FailedGetScale", message);
    set_condition(&mut conditions, &condition, &world.timestamp(), json!({}));
    let mut status = scaler.at("/status").clone();
    set(&mut status, "/conditions", conditions.into());
    plan.status(scaler, status);
}

fn scale(scaler: &Object, target: &Object, world: &World<'_>, plan: &mut Plan) {
    let current = target.count("/spec/replicas");
    let findings = find(scaler, target, current, world);
    for condition in findings.conditions.iter().filter(|condition| condition.reason.starts_with("Failed")) {
        plan.warn(scaler, "FailedComputeMetricsReplicas", condition.message.clone());
    }
    if findings.desired != current {
        let mut wanted = Value::clone(target);
        set(&mut wanted, "/spec/replicas", findings.desired.into());
        plan.push(Write::Scale(wanted));
        let why = if findings.desired > current { "above" } else { "below" };
        plan.note(
            scaler,
            "SuccessfulRescale",
            format!("New size: {}; reason: metrics {why} target", findings.desired),
        );
    }
    plan.status(scaler, status(scaler, current, &findings, world));
}

fn find(scaler: &Object, target: &Object, current: i64, world: &World<'_>) -> Findings {
    let least = scaler.number("/spec/minReplicas").unwrap_or(1);
    let most = scaler.count("/spec/maxReplicas");
    let able = Condition::new(
        "AbleToScale",
        "True",
        "SucceededGetScale",
        "the HPA controller was able to get the target's current scale",
    );
    let outside = |desired: i64| Findings { conditions: vec![able.clone()], desired, metrics: Vec::new() };
    if current > most {
        return outside(most);
    }
    if current != 0 && current < least {
        return outside(least);
    }
    if current == 0 {
        let off = Condition::new(
            "ScalingActive",
            "False",
            "ScalingDisabled",
            "scaling is disabled since the replica count of the target is zero",
        );
        return Findings { conditions: vec![able, off], desired: 0, metrics: Vec::new() };
    }
    let (wish, metrics) = match wish(scaler, target, current, world.cache) {
        Ok(found) => found,
        Err(problem) => {
            let inactive = Condition::new("ScalingActive", "False", "FailedGetResourceMetric", problem);
            return Findings {
                conditions: vec![able, inactive],
                desired: current.clamp(least, most),
                metrics: Vec::new(),
            };
        }
    };
    let settled = settle(scaler, current, wish, world);
    let desired = settled.clamp(least, most);
    let ready = if settled == wish {
        Condition::new("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size")
    } else {
        Condition::new(
            "AbleToScale",
            "True",
            "ScaleDownStabilized",
            "recent recommendations were higher than current one, applying the highest recent recommendation",
        )
    };
    let active = Condition::new(
        "ScalingActive",
        "True",
        "ValidMetricFound",
        "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)",
    );
    let limited = match settled.cmp(&desired) {
        std::cmp::Ordering::Less => Condition::new(
            "ScalingLimited",
            "True",
            "TooFewReplicas",
            "the desired replica count is less than the minimum replica count",
        ),
        std::cmp::Ordering::Greater => Condition::new(
            "ScalingLimited",
            "True",
            "TooManyReplicas",
            "the desired replica count is more than the maximum replica count",
        ),
        std::cmp::Ordering::Equal => Condition::new(
            "ScalingLimited",
            "False",
            "DesiredWithinRange",
            "the desired count is within the acceptable range",
        ),
    };
    Findings { conditions: vec![ready, active, limited], desired, metrics }
}

/// A smaller size waits until it was wished for long enough.
fn settle(scaler: &Object, current: i64, wish: i64, world: &World<'_>) -> i64 {
    let stage = "scale down";
    if wish >= current {
        world.marks.restart(scaler.uid(), stage);
        return wish;
    }
    let window = scaler.number("/spec/behavior/scaleDown/stabilizationWindowSeconds");
    let window = window.map_or(STABILIZATION, |seconds| Duration::from_secs(seconds.max(0).unsigned_abs()));
    if world.left_since(window, scaler.uid(), stage).is_some() { current } else { wish }
}

/// The largest size that any metric asks for, and what was measured.
fn wish(scaler: &Object, target: &Object, current: i64, cache: &Cache) -> Result<(i64, Vec<Value>), String> {
    let pods: Vec<&Object> = cache
        .list_in("Pod", target.namespace())
        .filter(|pod| {
            selector::matches(target.at("/spec/selector"), pod) && pods::is_active(pod) && pods::is_ready(pod)
        })
        .collect();
    let mut wish = 0;
    let mut measured = Vec::new();
    for metric in scaler.list("/spec/metrics") {
        let name = metric.text("/resource/name");
        if metric.text("/type") != "Resource" {
            return Err(format!(
                "the HPA was unable to compute the replica count: metrics of type {} are not served",
                metric.text("/type")
            ));
        }
        if !cache
            .get("APIService.apiregistration.k8s.io", "", "v1beta1.metrics.k8s.io")
            .is_some_and(|api| api.is("Available"))
        {
            return Err(format!(
                "the HPA was unable to compute the replica count: failed to get {name} utilization: unable to get metrics for resource {name}: \
                 unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
            ));
        }
        let (size, value) = measure(metric, name, &pods, current)?;
        wish = wish.max(size);
        measured.push(json!({ "type": "Resource", "resource": { "name": name, "current": value } }));
    }
    Ok((wish, measured))
}

fn measure(metric: &Value, name: &str, pods: &[&Object], current: i64) -> Result<(i64, Value), String> {
    let count = pods.len().max(1) as i128;
    let used: i128 = pods.iter().map(|pod| metrics::of_pod(pod).get(name)).sum();
    let average = used / count;
    let target = metric.at("/resource/target");
    let (now, wanted, value) = if let Some(percent) = target.number("/averageUtilization") {
        let requested: i128 = pods.iter().map(|pod| Usage::requested(pod, "requests").get(name)).sum();
        if requested == 0 {
            return Err(format!(
                "the HPA was unable to compute the replica count: failed to get {name} utilization: missing request for {name}"
            ));
        }
        let now = used * 100 / requested;
        let printed = quantity::print(average, name == "memory");
        (now, i128::from(percent), json!({ "averageUtilization": now as i64, "averageValue": printed }))
    } else {
        let wanted = quantity::milli(target.at("/averageValue")).max(1);
        (average, wanted, json!({ "averageValue": quantity::print(average, name == "memory") }))
    };
    let within = (now - wanted).abs() * 100 <= wanted * TOLERANCE;
    let size = if within { current } else { ((count * now + wanted - 1) / wanted.max(1)) as i64 };
    Ok((size, value))
}

fn status(scaler: &Object, current: i64, findings: &Findings, world: &World<'_>) -> Value {
    let now = world.timestamp();
    let mut conditions = scaler.list("/status/conditions").to_vec();
    for condition in &findings.conditions {
        set_condition(&mut conditions, condition, &now, json!({}));
    }
    let mut status = json!({ "desiredReplicas": findings.desired, "conditions": conditions });
    if current > 0 {
        status["currentReplicas"] = current.into();
    }
    status["currentMetrics"] =
        if findings.metrics.is_empty() { Value::Null } else { findings.metrics.clone().into() };
    let last = scaler.text("/status/lastScaleTime");
    if findings.desired != current {
        status["lastScaleTime"] = now.into();
    } else if !last.is_empty() {
        status["lastScaleTime"] = last.into();
    }
    status
}
