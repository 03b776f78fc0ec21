//! What a Job and its pods come to. Reasons are those of the job controller, the scheduler and the kubelet; here they
//! become sentences for whoever asks why a run does not begin. Pure.

use serde_json::Value;

use crate::k8s::object::{condition, holds, items, number, text};

/// What a Job comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// There is none.
    Nothing,
    /// The cluster does not say.
    Unknown(String),
    /// No pod runs; what keeps it, where that is known.
    Coming(Option<String>),
    /// A pod runs: its name.
    Running(String),
    /// It ended well: the process in it did all it could.
    Complete,
    /// It ended badly, and why.
    Failed(String),
}

/// Whether a pod is one of a Job.
pub(super) fn belongs(pod: &Value, job: &str) -> bool {
    pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == job
}

/// Whether a Job executes nothing any more, or will not in a moment.
pub(super) fn is_over(job: &Value) -> bool {
    holds(job, "Complete") || holds(job, "Failed") || !job["metadata"]["deletionTimestamp"].is_null()
}

/// The newest pod.
pub(super) fn last<'a>(pods: &[&'a Value]) -> Option<&'a Value> {
    pods.iter().copied().max_by_key(|pod| text(pod, "/metadata/creationTimestamp").to_owned())
}

/// What a Job and its pods come to.
pub(super) fn of(job: &Value, pods: &[&Value]) -> Seen {
    if !job["metadata"]["deletionTimestamp"].is_null() {
        return Seen::Nothing;
    }
    if holds(job, "Complete") {
        return Seen::Complete;
    }
    if let Some(failed) = condition(job, "Failed").filter(|_| holds(job, "Failed")) {
        let pods = last(pods).and_then(ended).map(|end| format!("; {end}")).unwrap_or_default();
        return Seen::Failed(format!(
            "its job failed: {} ({}){pods}",
            text(failed, "/message"),
            text(failed, "/reason")
        ));
    }
    let alive = |pod: &&&Value| {
        pod["metadata"]["deletionTimestamp"].is_null() && !matches!(phase(pod), "Failed" | "Succeeded")
    };
    let running = pods.iter().filter(alive).find(|pod| phase(pod) == "Running");
    if let Some(pod) = running {
        return Seen::Running(text(pod, "/metadata/name").to_owned());
    }
    let hindered = pods.iter().filter(alive).find_map(|pod| hindrance(pod));
    Seen::Coming(hindered.or_else(|| last(pods).and_then(ended)))
}

fn phase(pod: &Value) -> &str {
    text(pod, "/status/phase")
}

/// What keeps a pod from running.
fn hindrance(pod: &Value) -> Option<String> {
    let name = text(pod, "/metadata/name");
    let scheduled = condition(pod, "PodScheduled").filter(|held| held["status"] == "False");
    if let Some(held) = scheduled {
        return Some(format!("no node takes the pod `{name}`: {}", text(held, "/message")));
    }
    let statuses = items(pod, "/status/initContainerStatuses").iter();
    let waiting = statuses.chain(items(pod, "/status/containerStatuses")).find_map(|status| {
        let waiting = status.pointer("/state/waiting")?;
        Some((status, text(waiting, "/reason"), text(waiting, "/message")))
    });
    let (status, reason, message) = waiting?;
    let image = text(status, "/image");
    match reason {
        "" | "ContainerCreating" | "PodInitializing" => None,
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            Some(format!("the image `{image}` cannot be pulled: {message} ({reason})"))
        }
        _ => Some(format!("the container of pod `{name}` cannot be started: {message} ({reason})")),
    }
}

/// How a pod ended that did not end well.
fn ended(pod: &Value) -> Option<String> {
    let name = text(pod, "/metadata/name");
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return Some(format!("the pod `{name}` is being taken away"));
    }
    if phase(pod) != "Failed" {
        return None;
    }
    let node = text(pod, "/spec/nodeName");
    let end =
        items(pod, "/status/containerStatuses").iter().find_map(|status| status.pointer("/state/terminated"));
    let how = match (text(pod, "/status/reason"), end) {
        ("", Some(end)) => format!("exit code {} ({})", number(end, "/exitCode"), text(end, "/reason")),
        ("", None) => "no word of its container".to_owned(),
        (reason, _) => format!("{reason}: {}", text(pod, "/status/message")),
    };
    Some(format!("the pod `{name}` on `{node}` was lost: {how}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(conditions: Value, pods: &[Value]) -> Seen {
        let job = json!({ "metadata": { "name": "j" }, "status": { "conditions": conditions } });
        of(&job, &pods.iter().collect::<Vec<_>>())
    }

    fn pod(at: &str, phase: &str, more: Value) -> Value {
        let mut status = json!({ "phase": phase });
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "metadata": { "name": format!("p-{at}"), "creationTimestamp": at },
            "spec": { "nodeName": "worker-1" }, "status": status })
    }

    #[test]
    fn each_hindrance_is_a_sentence() {
        let waiting = |reason: &str, message: &str| {
            json!({ "containerStatuses": [{ "image": "aegis:9",
                "state": { "waiting": { "reason": reason, "message": message } } }] })
        };
        let unschedulable = json!({ "conditions": [{ "type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/3 nodes are available" }] });
        let lost = json!({ "containerStatuses": [{ "state": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } } }] });
        let table = [
            (pod("1", "Pending", json!({})), None),
            (pod("1", "Pending", waiting("ContainerCreating", "")), None),
            (
                pod("1", "Pending", waiting("ErrImagePull", "not found")),
                Some("the image `aegis:9` cannot be pulled: not found (ErrImagePull)"),
            ),
            (
                pod("1", "Pending", waiting("CreateContainerConfigError", "secret \"db\" not found")),
                Some(
                    "the container of pod `p-1` cannot be started: secret \"db\" not found (CreateContainerConfigError)",
                ),
            ),
            (
                pod("1", "Pending", unschedulable),
                Some("no node takes the pod `p-1`: 0/3 nodes are available"),
            ),
            (
                pod("1", "Failed", lost),
                Some("the pod `p-1` on `worker-1` was lost: exit code 137 (OOMKilled)"),
            ),
        ];
        for (pod, sentence) in table {
            assert_eq!(seen(json!([]), &[pod]), Seen::Coming(sentence.map(str::to_owned)));
        }
    }

    #[test]
    fn a_pod_that_runs_is_what_counts() {
        let pods = [pod("1", "Failed", json!({})), pod("2", "Running", json!({}))];
        assert_eq!(seen(json!([]), &pods), Seen::Running("p-2".into()));
        assert_eq!(seen(json!([{ "type": "Complete", "status": "True" }]), &pods), Seen::Complete);
        let failed = json!([{ "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often" }]);
        let Seen::Failed(why) = seen(failed, &pods[..1]) else { panic!("it failed") };
        assert!(why.starts_with("its job failed: too often (BackoffLimitExceeded); the pod `p-1`"), "{why}");
    }
}
