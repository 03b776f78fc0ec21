//! Pod and container statuses as a kubelet with containerd writes them.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::conditions::{Condition, set_condition};
use super::super::fields::Fields;

/// What a container is doing.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// Not started: a reason and perhaps a message.
    Waiting(&'static str, String),
    /// Started at a moment.
    Running(String),
    /// Ended: exit code, started at, finished at.
    Ended(i64, String, String),
}

/// The status of one container; what came before is taken from `held`.
pub(super) fn container(container: &Value, pod: &Value, state: State, ready: bool, held: &Value) -> Value {
    let restarts = held.count("/restartCount");
    let identity = format!("{}{}{restarts}", pod.uid(), container.text("/name"));
    let container_id = format!("containerd://{}", digest(&identity));
    let image = container.text("/image");
    let begun = !matches!(state, State::Waiting(..)) || restarts > 0;
    let mut status = json!({
        "name": container.text("/name"),
        "image": if begun { full_image(image) } else { image.to_owned() },
        "imageID": if begun { image_id(image) } else { String::new() },
        "state": state_value(&state, &container_id),
        "lastState": held.pointer("/lastState").cloned().unwrap_or_else(|| json!({})),
        "ready": ready,
        "started": matches!(state, State::Running(_)),
        "restartCount": restarts,
    });
    if begun {
        status["containerID"] = container_id.into();
    }
    status
}

/// The status of a container that ended and will start again: the end moves to `lastState`.
pub(super) fn ended(held: &Value) -> Value {
    let mut held = held.clone();
    if held.at("/state/terminated").is_object() {
        held["lastState"] = held["state"].clone();
    }
    held
}

/// The status of a container that starts once more.
pub(super) fn restarted(held: &Value) -> Value {
    let mut held = held.clone();
    held["restartCount"] = (held.count("/restartCount") + 1).into();
    held
}

fn state_value(state: &State, container_id: &str) -> Value {
    match state {
        State::Waiting(reason, message) if message.is_empty() => json!({ "waiting": { "reason": reason } }),
        State::Waiting(reason, message) => json!({ "waiting": { "reason": reason, "message": message } }),
        State::Running(since) => json!({ "running": { "startedAt": since } }),
        State::Ended(code, from, to) => json!({ "terminated": {
            "exitCode": code,
            "reason": if *code == 0 { "Completed" } else { "Error" },
            "startedAt": from,
            "finishedAt": to,
            "containerID": container_id,
        } }),
    }
}

/// An image's name with registry and tag, as containerd reports it.
pub(super) fn full_image(image: &str) -> String {
    let (first, rest) = image.split_once('/').map_or(("", image), |(first, rest)| (first, rest));
    let named = if first.is_empty() {
        format!("docker.io/library/{image}")
    } else if first.contains(['.', ':']) || first == "localhost" {
        image.to_owned()
    } else {
        format!("docker.io/{first}/{rest}")
    };
    let last = named.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) { named } else { format!("{named}:latest") }
}

fn image_id(image: &str) -> String {
    let full = full_image(image);
    let last = full.rfind('/').unwrap_or(0);
    let end = full[last..].find([':', '@']).map_or(full.len(), |at| last + at);
    format!("{}@sha256:{}", &full[..end], digest(image))
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// The pod-level facts a status is made from.
pub(super) struct Facts<'a> {
    pub(super) pod: &'a Value,
    pub(super) now: String,
    pub(super) phase: &'a str,
    pub(super) host_ip: String,
    pub(super) pod_ip: Option<String>,
    pub(super) init: Vec<Value>,
    pub(super) containers: Vec<Value>,
}

/// The whole status of a pod. Conditions of others (PodScheduled, DisruptionTarget, readiness gates) stay.
pub(super) fn pod(facts: Facts<'_>) -> Value {
    let mut status: Map<String, Value> = facts.pod.at("/status").as_object().cloned().unwrap_or_default();
    let conditions = conditions(&facts);
    let start = match facts.pod.text("/status/startTime") {
        "" => facts.now.clone(),
        held => held.to_owned(),
    };
    status.insert("phase".into(), facts.phase.into());
    status.insert("conditions".into(), conditions.into());
    status.insert("hostIP".into(), facts.host_ip.clone().into());
    status.insert("hostIPs".into(), json!([{ "ip": facts.host_ip }]));
    status.insert("startTime".into(), start.into());
    if let Some(ip) = facts.pod_ip {
        status.insert("podIPs".into(), json!([{ "ip": ip }]));
        status.insert("podIP".into(), ip.into());
    }
    if !facts.init.is_empty() {
        status.insert("initContainerStatuses".into(), facts.init.into());
    }
    status.insert("containerStatuses".into(), facts.containers.into());
    status.into()
}

fn conditions(facts: &Facts<'_>) -> Vec<Value> {
    let finished = matches!(facts.phase, "Succeeded" | "Failed");
    let sandbox = facts.pod_ip.is_some() && !finished;
    let mut conditions = Vec::new();
    let held = facts.pod.list("/status/conditions");
    for kind in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"] {
        conditions.extend(held.iter().find(|held| held.text("/type") == kind).cloned());
    }
    let ready = readiness(facts);
    let gates_hold =
        facts.pod.list("/spec/readinessGates").iter().all(|gate| facts.pod.is(gate.text("/conditionType")));
    let mut wanted = vec![Condition::holds("PodReadyToStartContainers", sandbox, "", "")];
    wanted.push(initialized(facts, finished));
    wanted.push(if gates_hold || ready.status != "True" {
        Condition { kind: "Ready", ..ready.clone() }
    } else {
        Condition::new(
            "Ready",
            "False",
            "ReadinessGatesNotReady",
            "the readiness gates of the pod do not hold",
        )
    });
    wanted.push(Condition { kind: "ContainersReady", ..ready });
    if !conditions.iter().any(|held| held.text("/type") == "PodScheduled") {
        // Nobody scheduled it: it came with its node, or is the kubelet's own.
        wanted.push(Condition::new("PodScheduled", "True", "", ""));
    }
    for condition in &wanted {
        set_condition(&mut conditions, condition, &facts.now, json!({ "lastProbeTime": null }));
    }
    let known = |held: &&Value| !conditions.iter().any(|had| had.text("/type") == held.text("/type"));
    let others: Vec<Value> = held.iter().filter(known).cloned().collect();
    // PodScheduled was first on the list it had; it stands behind the kubelet's four.
    conditions.sort_by_key(|held| held.text("/type") == "PodScheduled");
    conditions.extend(others);
    conditions
}

fn initialized(facts: &Facts<'_>, finished: bool) -> Condition<'static> {
    let is_up = |status: &&Value| !status.flag("/ready");
    let waiting: Vec<&str> = facts.init.iter().filter(is_up).map(|status| status.text("/name")).collect();
    if waiting.is_empty() || finished {
        let reason = if facts.phase == "Succeeded" { "PodCompleted" } else { "" };
        return Condition::new("Initialized", "True", reason, "");
    }
    let message = format!("containers with incomplete status: [{}]", waiting.join(" "));
    Condition::new("Initialized", "False", "ContainersNotInitialized", message)
}

fn readiness(facts: &Facts<'_>) -> Condition<'static> {
    match facts.phase {
        "Succeeded" => return Condition::new("Ready", "False", "PodCompleted", ""),
        "Failed" => return Condition::new("Ready", "False", "PodFailed", ""),
        _ => {}
    }
    let unready: Vec<&str> = facts
        .containers
        .iter()
        .filter(|status| !status.flag("/ready"))
        .map(|status| status.text("/name"))
        .collect();
    if unready.is_empty() {
        return Condition::new("Ready", "True", "", "");
    }
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    Condition::new("Ready", "False", "ContainersNotReady", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_are_completed_as_containerd_does() {
        assert_eq!(full_image("nginx"), "docker.io/library/nginx:latest");
        assert_eq!(full_image("grafana/loki:3"), "docker.io/grafana/loki:3");
        assert_eq!(full_image("ghcr.io/a/b@sha256:1"), "ghcr.io/a/b@sha256:1");
        assert_eq!(full_image("localhost:5000/a"), "localhost:5000/a:latest");
    }
}
