//! PodSecurity: what a namespace's labels allow its pods.
//!
//! `checks` holds the rules of the two standards as one list. A pod above the enforced level is refused;
//! workloads are only warned about, because their pods are what counts. The audit level says nothing to
//! clients.

mod checks;

use super::{Denial, Operation, Request, name_of};
use crate::store::Resource;
use serde_json::Value;
use std::collections::BTreeMap;

const LABEL: &str = "pod-security.kubernetes.io/";

/// The three standards, from loose to strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "privileged" => Self::Privileged,
            "baseline" => Self::Baseline,
            "restricted" => Self::Restricted,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// A level as a namespace asks for it.
#[derive(Clone, Debug, PartialEq)]
struct Policy {
    level: Level,
    version: String,
}

impl Policy {
    fn of(namespace: &Value, mode: &str) -> Self {
        let label = |name: &str| namespace["metadata"]["labels"][format!("{LABEL}{name}")].as_str();
        let level = label(mode).and_then(Level::of).unwrap_or(Level::Privileged);
        let version = label(&format!("{mode}-version")).unwrap_or("latest").to_owned();
        Self { level, version }
    }

    fn shown(&self) -> String {
        format!("PodSecurity \"{}:{}\"", self.level.name(), self.version)
    }
}

pub(super) fn admit(
    request: &Request<'_>,
    object: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), Denial> {
    if request.is_of("", "Namespace") {
        if let Some(old) = request.old {
            warn_about_existing(request, old, object, warnings);
        }
        return Ok(());
    }
    if !request.subresource.is_empty() || request.operation == Operation::Delete {
        return Ok(());
    }
    let Some(pod) = pod_of(object) else { return Ok(()) };
    let Some(namespace) = request.own_namespace() else { return Ok(()) };
    if request.old.and_then(pod_of).is_some_and(|old| old["spec"] == pod["spec"]) {
        return Ok(());
    }
    let is_pod = request.is_of("", "Pod");
    let enforced = Policy::of(&namespace, "enforce");
    let found = checks::violations(enforced.level, &pod);
    if is_pod && !found.is_empty() {
        return Err(Denial::Forbidden(format!("violates {}: {}", enforced.shown(), detailed(&found))));
    }
    let warned = Policy::of(&namespace, "warn");
    let found = checks::violations(warned.level, &pod);
    if !found.is_empty() {
        warnings.push(format!("would violate {}: {}", warned.shown(), detailed(&found)));
    }
    Ok(())
}

fn detailed(found: &[checks::Violation]) -> String {
    let shown = found.iter().map(|violation| match violation.detail.as_str() {
        "" => violation.reason.to_owned(),
        detail => format!("{} ({detail})", violation.reason),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// The pod an object is, or makes.
fn pod_of(object: &Value) -> Option<Value> {
    let template = match object["kind"].as_str()? {
        "Pod" => return Some(object.clone()),
        "CronJob" => object.pointer("/spec/jobTemplate/spec/template"),
        "PodTemplate" => object.get("template"),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicationController" => {
            object.pointer("/spec/template")
        }
        _ => None,
    };
    template.cloned()
}

/// A stricter level for a namespace says which of its pods would not pass.
fn warn_about_existing(request: &Request<'_>, old: &Value, new: &Value, warnings: &mut Vec<String>) {
    let (before, after) = (Policy::of(old, "enforce"), Policy::of(new, "enforce"));
    if before == after || after.level <= before.level {
        return;
    }
    let pods = request.store.list(&Resource::core("pods"), Some(name_of(new)));
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in &pods {
        let found = checks::violations(after.level, pod);
        if !found.is_empty() {
            let reasons: Vec<&str> = found.iter().map(|violation| violation.reason).collect();
            groups.entry(reasons.join(", ")).or_default().push(name_of(pod).to_owned());
        }
    }
    if groups.is_empty() {
        return;
    }
    let level = format!("{}:{}", after.level.name(), after.version);
    warnings.push(format!(
        "existing pods in namespace {:?} violate the new PodSecurity enforce level {level:?}",
        name_of(new)
    ));
    let mut lines: Vec<String> =
        groups.into_iter().map(|(reasons, names)| group_line(&reasons, &names)).collect();
    lines.sort();
    warnings.extend(lines);
}

fn group_line(reasons: &str, names: &[String]) -> String {
    let first = names.first().map(String::as_str).unwrap_or_default();
    match names.len() - 1 {
        0 => format!("{first}: {reasons}"),
        1 => format!("{first} (and 1 other pod): {reasons}"),
        more => format!("{first} (and {more} other pods): {reasons}"),
    }
}
