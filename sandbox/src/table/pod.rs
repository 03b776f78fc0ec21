//! The columns of a pod: how its containers' states become one word.

use super::text::{age, items, or_none, seconds, str_of};
use super::{AGE, Column, NAME, Row, column};
use serde_json::{Value, json};

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    column("Ready", "string", 0, "The aggregate readiness state of this pod for accepting traffic."),
    column("Status", "string", 0, "The aggregate status of the containers in this pod."),
    column(
        "Restarts",
        "string",
        0,
        "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
    ),
    AGE,
    column("IP", "string", 1, ".status.podIP"),
    column("Node", "string", 1, ".spec.nodeName"),
    column("Nominated Node", "string", 1, ".status.nominatedNodeName"),
    column("Readiness Gates", "string", 1, ".spec.readinessGates"),
];

/// What the containers of a pod add up to.
struct Summary {
    status: String,
    ready: usize,
    restarts: i64,
    restarted: Option<i64>,
}

pub(super) fn cells(row: &Row<'_>) -> Vec<Value> {
    let pod = row.object;
    let summary = summarize(pod);
    let sidecars =
        items(pod, "/spec/initContainers").iter().filter(|c| c["restartPolicy"] == "Always").count();
    let total = items(pod, "/spec/containers").len() + sidecars;
    let restarts = match summary.restarted {
        Some(when) if summary.restarts > 0 => {
            format!("{} ({} ago)", summary.restarts, super::text::duration(row.now - when))
        }
        _ => summary.restarts.to_string(),
    };
    vec![
        row.name(),
        json!(format!("{}/{total}", summary.ready)),
        json!(summary.status),
        json!(restarts),
        row.age(),
        json!(or_none(row.text("/status/podIP").to_owned())),
        json!(or_none(row.text("/spec/nodeName").to_owned())),
        json!(or_none(row.text("/status/nominatedNodeName").to_owned())),
        json!(gates(pod)),
    ]
}

fn gates(pod: &Value) -> String {
    let gates = items(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let met = gates.iter().filter(|gate| condition(pod, str_of(gate, "conditionType")) == Some("True"));
    format!("{}/{}", met.count(), gates.len())
}

fn condition<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    items(pod, "/status/conditions").iter().find(|condition| condition["type"] == name)?["status"].as_str()
}

fn summarize(pod: &Value) -> Summary {
    let reason = pod.pointer("/status/reason").and_then(Value::as_str).unwrap_or_default();
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    let gated = items(pod, "/status/conditions")
        .iter()
        .any(|condition| condition["type"] == "PodScheduled" && condition["reason"] == "SchedulingGated");
    let status = match (gated, reason) {
        (true, _) => "SchedulingGated",
        (false, "") => phase,
        (false, reason) => reason,
    };
    let mut summary = Summary { status: status.to_owned(), ready: 0, restarts: 0, restarted: None };
    if !initializing(pod, &mut summary) {
        running(pod, phase, &mut summary);
    }
    if pod["metadata"]["deletionTimestamp"].is_string() {
        terminating(pod, reason, &mut summary);
    }
    summary
}

fn terminating(pod: &Value, reason: &str, summary: &mut Summary) {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    if reason == "NodeLost" {
        summary.status = "Unknown".to_owned();
    } else if !matches!(phase, "Failed" | "Succeeded") {
        summary.status = "Terminating".to_owned();
    }
}

fn restart(status: &Value, summary: &mut Summary) {
    summary.restarts += status["restartCount"].as_i64().unwrap_or_default();
    let finished = seconds(&status["lastState"]["terminated"]["finishedAt"]);
    summary.restarted = summary.restarted.max(finished);
}

/// Looks at init containers; true when the pod is still in them.
fn initializing(pod: &Value, summary: &mut Summary) -> bool {
    let containers = items(pod, "/spec/initContainers");
    let is_sidecar =
        |name: &Value| containers.iter().any(|c| c["name"] == *name && c["restartPolicy"] == "Always");
    for (at, status) in items(pod, "/status/initContainerStatuses").iter().enumerate() {
        restart(status, summary);
        let (ended, waiting) = (&status["state"]["terminated"], &status["state"]["waiting"]);
        if ended.is_object() && ended["exitCode"] == 0 {
            continue;
        }
        if is_sidecar(&status["name"]) && status["started"] == true {
            summary.ready += usize::from(status["ready"] == true);
            continue;
        }
        summary.status = match (ended.is_object(), str_of(waiting, "reason")) {
            (true, _) => format!("Init:{}", ending(ended)),
            (false, "" | "PodInitializing") => format!("Init:{at}/{}", containers.len()),
            (false, reason) => format!("Init:{reason}"),
        };
        return true;
    }
    false
}

/// How a container ended: its reason, signal or exit code.
fn ending(ended: &Value) -> String {
    let signal = ended["signal"].as_i64().unwrap_or_default();
    match str_of(ended, "reason") {
        "" if signal != 0 => format!("Signal:{signal}"),
        "" => format!("ExitCode:{}", ended["exitCode"].as_i64().unwrap_or_default()),
        reason => reason.to_owned(),
    }
}

fn running(pod: &Value, phase: &str, summary: &mut Summary) {
    let mut runs = false;
    let statuses = items(pod, "/status/containerStatuses");
    if !statuses.is_empty() {
        (summary.restarts, summary.restarted) = (0, None);
        for status in items(pod, "/status/initContainerStatuses") {
            let sidecar = status["started"] == true;
            if sidecar {
                restart(status, summary);
            }
        }
    }
    for status in statuses.iter().rev() {
        restart(status, summary);
        let (ended, waiting) =
            (&status["state"]["terminated"], str_of(&status["state"]["waiting"], "reason"));
        if !waiting.is_empty() {
            summary.status = waiting.to_owned();
        } else if ended.is_object() {
            summary.status = ending(ended);
        } else if status["ready"] == true && status["state"]["running"].is_object() {
            runs = true;
            summary.ready += 1;
        }
    }
    if summary.status == "Completed" && runs && phase != "Succeeded" {
        let ready = condition(pod, "Ready") == Some("True");
        summary.status = if ready { "Running" } else { "NotReady" }.to_owned();
    }
}

/// Age of a time, for cells of other kinds.
pub(super) fn ago(time: &Value, now: i64) -> String {
    if time.is_string() { age(time, now) } else { "<none>".to_owned() }
}
