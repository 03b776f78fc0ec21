//! When an object is ready, per kind: what its controller must have said. Pure.
//!
//! The rules are those of the Kubernetes documentation for each kind, as kubectl and helm use them: the
//! controller has seen the newest generation, and everything wanted is there, new and available.

use serde_json::Value;

use super::kinds::Kind;
use super::object::{condition, holds, items, number, text};

/// How far an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    /// Not yet: what is still missing.
    Waiting(String),
    /// It will not become ready by itself.
    Failed(String),
}

use Readiness::{Failed, Ready, Waiting};

/// How far the object is.
pub(super) fn readiness(object: &Value) -> Readiness {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return Waiting("it is being deleted".to_owned());
    }
    let group = text(object, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
    match (group, text(object, "/kind")) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => replica_set(object),
        ("batch", "Job") => job(object),
        ("", "Pod") => pod(object),
        ("", "Node") => conditioned(object, "Ready"),
        ("", "PersistentVolumeClaim") => phase(object, &["Bound"]),
        ("", "PersistentVolume") => phase(object, &["Available", "Bound", "Released"]),
        ("", "Namespace") => phase(object, &["Active"]),
        ("", "Service") => service(object),
        ("apiextensions.k8s.io", _) => conditioned(object, "Established"),
        ("apiregistration.k8s.io", _) => conditioned(object, "Available"),
        ("policy", "PodDisruptionBudget") => budget(object),
        ("autoscaling", "HorizontalPodAutoscaler") => conditioned(object, "ScalingActive"),
        ("gateway.networking.k8s.io", "Gateway" | "GatewayClass") => gateway(object),
        ("certificates.k8s.io", _) => conditioned(object, "Approved"),
        (group, _) if Kind::is_custom(group) => custom(object),
        _ => Ready,
    }
}

/// Waits for the first rule that does not hold.
fn all(rules: impl IntoIterator<Item = (bool, String)>) -> Readiness {
    rules.into_iter().find(|(holds, _)| !holds).map_or(Ready, |(_, missing)| Waiting(missing))
}

fn observed(object: &Value) -> (bool, String) {
    let seen = number(object, "/status/observedGeneration") >= number(object, "/metadata/generation");
    (seen, "its controller has not seen the change yet".to_owned())
}

fn wanted(object: &Value) -> i64 {
    object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)
}

fn of(have: i64, want: i64, what: &str) -> (bool, String) {
    (have >= want, format!("{have} of {want} replicas {what}"))
}

fn deployment(object: &Value) -> Readiness {
    let progressing = condition(object, "Progressing");
    if observed(object).0
        && progressing.is_some_and(|condition| condition["reason"] == "ProgressDeadlineExceeded")
    {
        return Failed("it made no progress within its deadline".to_owned());
    }
    let want = wanted(object);
    let status = |field: &str| number(object, &format!("/status/{field}"));
    let old = status("replicas") - status("updatedReplicas");
    all([
        observed(object),
        of(status("updatedReplicas"), want, "updated"),
        (old <= 0, format!("{old} old replicas still to end")),
        of(status("availableReplicas"), want, "available"),
    ])
}

fn stateful_set(object: &Value) -> Readiness {
    let want = wanted(object);
    let status = |field: &str| number(object, &format!("/status/{field}"));
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return all([observed(object), of(status("readyReplicas"), want, "ready")]);
    }
    let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition");
    let whole =
        partition > 0 || text(object, "/status/updateRevision") == text(object, "/status/currentRevision");
    all([
        observed(object),
        of(status("updatedReplicas"), (want - partition).max(0), "updated"),
        of(status("readyReplicas"), want, "ready"),
        (whole, "the old revision is still current".to_owned()),
    ])
}

fn daemon_set(object: &Value) -> Readiness {
    let status = |field: &str| number(object, &format!("/status/{field}"));
    let want = status("desiredNumberScheduled");
    let of = |have: i64, what: &str| (have >= want, format!("{have} of {want} nodes {what}"));
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return all([observed(object), of(status("numberReady"), "ready")]);
    }
    all([
        observed(object),
        of(status("updatedNumberScheduled"), "updated"),
        of(status("numberAvailable"), "available"),
    ])
}

fn replica_set(object: &Value) -> Readiness {
    all([observed(object), of(number(object, "/status/availableReplicas"), wanted(object), "available")])
}

fn job(object: &Value) -> Readiness {
    if holds(object, "Complete") {
        return Ready;
    }
    if let Some(failed) = condition(object, "Failed").filter(|condition| condition["status"] == "True") {
        return Failed(format!("{}: {}", text(failed, "/reason"), text(failed, "/message")));
    }
    let want = object.pointer("/spec/completions").and_then(Value::as_i64).unwrap_or(1);
    Waiting(format!("{} of {want} completions", number(object, "/status/succeeded")))
}

fn pod(object: &Value) -> Readiness {
    match text(object, "/status/phase") {
        "Succeeded" => return Ready,
        "Failed" => return Failed(pod_trouble(object).unwrap_or_else(|| "the pod failed".to_owned())),
        _ => {}
    }
    if holds(object, "Ready") {
        return Ready;
    }
    Waiting(
        pod_trouble(object)
            .unwrap_or_else(|| format!("the pod is {}", text(object, "/status/phase").to_lowercase())),
    )
}

/// Why a pod is not ready: its containers' reasons, or why it has no node.
pub(super) fn pod_trouble(pod: &Value) -> Option<String> {
    let statuses =
        items(pod, "/status/initContainerStatuses").iter().chain(items(pod, "/status/containerStatuses"));
    let reasons: Vec<String> = statuses.filter_map(container_trouble).collect();
    if !reasons.is_empty() {
        return Some(reasons.join("; "));
    }
    let unscheduled = condition(pod, "PodScheduled").filter(|condition| condition["status"] == "False");
    if let Some(condition) = unscheduled {
        return Some(format!("{}: {}", text(condition, "/reason"), text(condition, "/message")));
    }
    let reason = text(pod, "/status/reason");
    (!reason.is_empty()).then(|| reason.to_owned())
}

fn container_trouble(status: &Value) -> Option<String> {
    let name = text(status, "/name");
    for state in ["/state/waiting", "/state/terminated"] {
        let Some(state) = status.pointer(state).filter(|state| state["exitCode"] != 0) else { continue };
        let (reason, message) = (text(state, "/reason"), text(state, "/message"));
        let code = state["exitCode"].as_i64().map(|code| format!(" (exit code {code})")).unwrap_or_default();
        let message = if message.is_empty() { String::new() } else { format!(": {message}") };
        return Some(format!("container `{name}` {reason}{code}{message}"));
    }
    let running = status.pointer("/state/running").is_some();
    (running && status["ready"] != true).then(|| format!("container `{name}` is not ready"))
}

fn service(object: &Value) -> Readiness {
    let balanced = text(object, "/spec/type") != "LoadBalancer";
    let addressed = !items(object, "/status/loadBalancer/ingress").is_empty();
    all([(balanced || addressed, "no load balancer address yet".to_owned())])
}

fn budget(object: &Value) -> Readiness {
    let (healthy, desired) =
        (number(object, "/status/currentHealthy"), number(object, "/status/desiredHealthy"));
    all([observed(object), (healthy >= desired, format!("{healthy} of {desired} pods healthy"))])
}

fn phase(object: &Value, good: &[&str]) -> Readiness {
    match text(object, "/status/phase") {
        "Failed" | "Lost" => Failed(format!("it is {}", text(object, "/status/phase"))),
        phase if good.contains(&phase) => Ready,
        "" => Waiting("it has no phase yet".to_owned()),
        phase => Waiting(format!("it is {phase}")),
    }
}

fn conditioned(object: &Value, name: &str) -> Readiness {
    match super::expression::check_condition(object, name, "True") {
        Ok(()) => Ready,
        Err(missing) => Waiting(missing),
    }
}

fn gateway(object: &Value) -> Readiness {
    let name = if condition(object, "Programmed").is_some() { "Programmed" } else { "Accepted" };
    conditioned(object, name)
}

/// Custom kinds say it by a condition; one without any has not been looked at by its operator.
fn custom(object: &Value) -> Readiness {
    let behind = object.pointer("/status/observedGeneration").is_some() && !observed(object).0;
    if behind {
        return Waiting(observed(object).1);
    }
    let known = ["Ready", "Available", "Healthy", "Synced", "Accepted", "Established"];
    match known.into_iter().find(|name| condition(object, name).is_some()) {
        Some(name) => conditioned(object, name),
        None => Waiting("no `Ready` condition yet; name what to wait for with `until`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment_with(status: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": status})
    }

    #[test]
    fn a_deployment_is_ready_when_all_replicas_are_new_and_available() {
        let cases = [
            (json!({"observedGeneration": 1}), "its controller has not seen the change yet"),
            (
                json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1}),
                "1 of 3 replicas updated",
            ),
            (
                json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 3}),
                "1 old replicas still to end",
            ),
            (
                json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 2}),
                "2 of 3 replicas available",
            ),
        ];
        for (status, missing) in cases {
            assert_eq!(readiness(&deployment_with(status)), Waiting(missing.to_owned()));
        }
        let done =
            json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3});
        assert_eq!(readiness(&deployment_with(done)), Ready);
    }

    #[test]
    fn a_deployment_past_its_deadline_has_failed() {
        let status = json!({"observedGeneration": 2, "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]});
        assert!(matches!(readiness(&deployment_with(status)), Failed(_)));
    }

    #[test]
    fn a_pod_says_what_its_containers_wait_for() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Pending", "containerStatuses": [
            {"name": "web", "ready": false, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}});
        assert_eq!(readiness(&pod), Waiting("container `web` ImagePullBackOff: no such image".to_owned()));
    }

    #[test]
    fn a_job_that_failed_will_not_become_ready() {
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"conditions": [
            {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too many"}]}});
        assert_eq!(readiness(&job), Failed("BackoffLimitExceeded: too many".to_owned()));
    }

    #[test]
    fn a_custom_kind_must_say_that_it_is_ready() {
        let kafka = |status: Value| json!({"apiVersion": "kafka.strimzi.io/v1", "kind": "Kafka", "metadata": {"generation": 2}, "status": status});
        assert!(matches!(readiness(&kafka(json!({}))), Waiting(_)));
        assert!(matches!(
            readiness(&kafka(
                json!({"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]})
            )),
            Waiting(_)
        ));
        assert_eq!(readiness(&kafka(json!({"conditions": [{"type": "Ready", "status": "True"}]}))), Ready);
    }
}
