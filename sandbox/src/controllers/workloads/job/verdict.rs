//! When a Job has succeeded or failed, and why.

use std::time::Duration;

use serde_json::Value;

use super::tracking::Count;
use super::{Run, indexes};
use crate::controllers::fields::Fields;

/// How a Job ends.
pub(super) struct Verdict {
    pub(super) succeeded: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Verdict {
    fn success(reason: &'static str, message: &str) -> Self {
        Self { succeeded: true, reason, message: message.to_owned() }
    }

    fn failure(reason: &'static str, message: impl Into<String>) -> Self {
        Self { succeeded: false, reason, message: message.into() }
    }
}

/// The verdict that stands already, or the one that follows from the pods; none while the Job goes on.
pub(super) fn reach(run: &Run<'_>, count: &Count, conditions: &[Value]) -> Option<Verdict> {
    standing(conditions).or_else(|| failure(run, count)).or_else(|| success(run, count))
}

fn standing(conditions: &[Value]) -> Option<Verdict> {
    let held = conditions
        .iter()
        .find(|held| matches!(held.text("/type"), "SuccessCriteriaMet" | "FailureTarget"))?;
    let succeeded = held.text("/type") == "SuccessCriteriaMet";
    let reason =
        REASONS.into_iter().find(|reason| *reason == held.text("/reason")).unwrap_or("BackoffLimitExceeded");
    Some(Verdict { succeeded, reason, message: held.text("/message").to_owned() })
}

const REASONS: [&str; 6] = [
    "CompletionsReached",
    "SuccessPolicy",
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "PodFailurePolicy",
    "FailedIndexes",
];

fn failure(run: &Run<'_>, count: &Count) -> Option<Verdict> {
    let job = run.job;
    if let Some(message) = run.pods.iter().find_map(|pod| forbidden_end(job, pod)) {
        return Some(Verdict::failure("PodFailurePolicy", message));
    }
    if failures(run, count) > job.number("/spec/backoffLimit").unwrap_or(6) {
        return Some(Verdict::failure("BackoffLimitExceeded", "Job has reached the specified backoff limit"));
    }
    let seconds = job.number("/spec/activeDeadlineSeconds")?;
    let span = Duration::from_secs(seconds.max(0).unsigned_abs());
    let started = job.text("/status/startTime");
    (!started.is_empty() && run.world.left_of(span, started).is_none())
        .then(|| Verdict::failure("DeadlineExceeded", "Job was active longer than specified deadline"))
}

/// Failed pods that count, and restarts of containers in pods that start them again.
fn failures(run: &Run<'_>, count: &Count) -> i64 {
    let ignored = run.pods.iter().filter(|pod| action(run.job, pod) == Some("Ignore")).count() as i64;
    let restarts: i64 = run
        .pods
        .iter()
        .filter(|pod| {
            pod.text("/spec/restartPolicy") == "OnFailure" && pod.text("/status/phase") == "Running"
        })
        .flat_map(|pod| pod.list("/status/containerStatuses"))
        .map(|status| status.count("/restartCount"))
        .sum();
    count.all_failed() - ignored + restarts
}

/// The text of a pod's end that a `podFailurePolicy` answers with `FailJob`.
fn forbidden_end(job: &Value, pod: &Value) -> Option<String> {
    let (index, rule, container) = matching_rule(job, pod)?;
    if rule.text("/action") != "FailJob" {
        return None;
    }
    let place = format!("{}/{}", pod.namespace(), pod.name());
    Some(match container {
        Some(status) => format!(
            "Container {} for pod {place} failed with exit code {} matching FailJob rule at index {index}",
            status.text("/name"),
            status.count("/state/terminated/exitCode")
        ),
        None => format!("Pod {place} has a condition matching FailJob rule at index {index}"),
    })
}

fn action<'a>(job: &'a Value, pod: &'a Value) -> Option<&'a str> {
    matching_rule(job, pod).map(|(_, rule, _)| rule.text("/action"))
}

/// The first rule of the `podFailurePolicy` that a failed pod matches, and the container that does.
fn matching_rule<'a>(job: &'a Value, pod: &'a Value) -> Option<(usize, &'a Value, Option<&'a Value>)> {
    if pod.text("/status/phase") != "Failed" {
        return None;
    }
    job.list("/spec/podFailurePolicy/rules").iter().enumerate().find_map(|(index, rule)| {
        let container = pod.list("/status/containerStatuses").iter().find(|status| ends_as(rule, status));
        let condition = rule.list("/onPodConditions").iter().any(|wanted| {
            let held = pod.condition(wanted.text("/type"));
            held.is_some_and(|held| held.text("/status") == wanted.text("/status"))
        });
        (container.is_some() || condition).then_some((index, rule, container))
    })
}

fn ends_as(rule: &Value, status: &Value) -> bool {
    let codes = rule.at("/onExitCodes");
    let named = codes.text("/containerName");
    let Some(code) = status.number("/state/terminated/exitCode").filter(|code| *code != 0) else {
        return false;
    };
    let listed = codes.list("/values").iter().any(|value| value.as_i64() == Some(code));
    codes.is_object()
        && (named.is_empty() || named == status.text("/name"))
        && if codes.text("/operator") == "NotIn" { !listed } else { listed }
}

fn success(run: &Run<'_>, count: &Count) -> Option<Verdict> {
    let reached = match run.job.number("/spec/completions") {
        Some(completions) if run.is_indexed() => indexes::completed(run).len() as i64 >= completions,
        Some(completions) => count.all_succeeded() >= completions,
        None => count.all_succeeded() > 0 && run.active().next().is_none(),
    };
    reached.then(|| Verdict::success("CompletionsReached", "Reached expected number of succeeded pods"))
}
