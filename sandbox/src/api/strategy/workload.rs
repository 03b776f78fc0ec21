//! Workloads and events: fields the server generates, selectors that must fit, and the few kinds
//! whose versions differ in their fields.

use serde_json::{Value, json};

use crate::api::status::Cause;
use crate::api::subresource::TOPOLOGY;
use crate::api::write::remove;
use crate::kinds::Kind;
use crate::store::selector::LabelSelector;
use crate::store::{Resource, Transaction};

/// A new pod waits, and has the class that its requests and limits give it.
pub(super) fn prepare_pod(object: &mut Value) {
    object["status"] = json!({"phase": "Pending", "qosClass": quality_class(&object["spec"])});
    if object["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        object["status"]["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null, "lastTransitionTime": object["metadata"]["creationTimestamp"],
        }]);
    }
}

/// `Guaranteed` when every container limits cpu and memory to what it requests, `BestEffort` when
/// none says anything, `Burstable` otherwise.
fn quality_class(spec: &Value) -> &'static str {
    let containers =
        ["initContainers", "containers"].map(|field| spec[field].as_array().cloned().unwrap_or_default());
    let containers = containers.concat();
    let says_nothing = |container: &Value| {
        ["requests", "limits"]
            .iter()
            .all(|part| ["cpu", "memory"].iter().all(|name| container["resources"][part][name].is_null()))
    };
    let is_fixed = |container: &Value| {
        ["cpu", "memory"].iter().all(|name| {
            let (request, limit) =
                (&container["resources"]["requests"][name], &container["resources"]["limits"][name]);
            !limit.is_null() && (request.is_null() || request == limit)
        })
    };
    if containers.iter().all(says_nothing) {
        "BestEffort"
    } else if containers.iter().all(is_fixed) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// The counter of template changes that old clients look for: it is there before anybody writes it.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Gives a DaemonSet its counter.
pub(super) fn count_templates(object: &mut Value) {
    let annotations = &mut object["metadata"]["annotations"];
    if annotations[TEMPLATE_GENERATION].is_null() {
        annotations[TEMPLATE_GENERATION] = "0".into();
    }
}

/// Takes the counter away, and the annotations when it was the only one.
pub(super) fn hide_template_count(object: &mut Value) {
    let annotations = &mut object["metadata"]["annotations"];
    remove(annotations, TEMPLATE_GENERATION);
    if annotations.as_object().is_some_and(serde_json::Map::is_empty) {
        remove(&mut object["metadata"], "annotations");
    }
}

/// The counter begins at one and follows the template.
pub(super) fn prepare_daemon_set(old: Option<&Value>, new: &mut Value) {
    let count = |set: &Value| {
        let text = set["metadata"]["annotations"][TEMPLATE_GENERATION].as_str().unwrap_or_default();
        text.parse::<u64>().unwrap_or_default()
    };
    let next = match old {
        None => 1,
        Some(old) => count(old) + u64::from(old["spec"]["template"] != new["spec"]["template"]),
    };
    new["metadata"]["annotations"][TEMPLATE_GENERATION] = next.to_string().into();
}

/// A pod that is made on a node has the node's place in its labels, like one that is bound to it.
pub(super) fn label_place(t: &Transaction<'_>, pod: &mut Value) {
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    let Some(node) = t.get(&Resource::core("nodes").key("", node)) else { return };
    for label in TOPOLOGY {
        if let Some(value) = node["metadata"]["labels"][label].as_str() {
            pod["metadata"]["labels"][label] = value.into();
        }
    }
}

/// A Job finds its pods by its own uid, unless it was given a selector by hand.
pub(super) fn prepare_job(object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let uid = object["metadata"]["uid"].clone();
    let name = object["metadata"]["name"].clone();
    object["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"] = uid.clone();
    for (label, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("job-name", &name),
    ] {
        object["spec"]["template"]["metadata"]["labels"][label] = value.clone();
    }
    if object["metadata"]["labels"].as_object().is_none_or(serde_json::Map::is_empty) {
        object["metadata"]["labels"] = object["spec"]["template"]["metadata"]["labels"].clone();
    }
}

/// A pod's spec changes little once it exists: images, deadlines, tolerations, gates.
pub(super) fn pod_problems(old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let Some(old) = old else { return Vec::new() };
    let fixed = |pod: &Value| {
        let mut spec = pod["spec"].clone();
        let free =
            ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates"];
        for field in free {
            remove(&mut spec, field);
        }
        for field in ["containers", "initContainers"] {
            for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
                remove(container, "image");
            }
        }
        spec
    };
    if fixed(old) == fixed(new) {
        return Vec::new();
    }
    let detail = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
    vec![Cause::forbidden("spec", detail)]
}

fn mismatch(new: &Value) -> Cause {
    let labels = &new["spec"]["template"]["metadata"]["labels"];
    Cause::invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
}

/// A workload's selector never changes and selects its own template.
pub(super) fn selector_problems(kind: &Kind, old: Option<&Value>, new: &Value) -> Vec<Cause> {
    if !matches!(&*kind.kind, "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job") {
        return Vec::new();
    }
    let mut causes = Vec::new();
    let selector = &new["spec"]["selector"];
    let is_made = kind.kind == "Job" && new["spec"]["manualSelector"] != true;
    let own = |selector: &Value| selector["matchLabels"].as_object().map_or(0, serde_json::Map::len);
    if is_made && old.is_none() && (own(selector) != 1 || selector["matchExpressions"].is_array()) {
        causes.push(Cause::invalid("spec.selector", selector, "`selector` not auto-generated"));
    }
    let selected = LabelSelector::from_object(selector);
    if selected.is_none() {
        causes.push(Cause::required("spec.selector", ""));
    }
    match selected {
        None => causes.push(mismatch(new)),
        Some(selector) if !selector.matches(&new["spec"]["template"]) => {
            causes.push(mismatch(new));
        }
        Some(_) => {}
    }
    if let Some(old) = old
        && old["spec"]["selector"] != *selector
    {
        causes.push(Cause::invalid("spec.selector", selector, "field is immutable"));
    }
    causes
}

/// Core event fields and what `events.k8s.io` calls them.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

pub(super) fn event_to_grouped(object: &mut Value) {
    rename(object, EVENT_FIELDS.iter().copied());
    for field in ["reportingController", "reportingInstance"] {
        if object[field] == "" {
            remove(object, field);
        }
    }
}

pub(super) fn event_to_core(object: &mut Value) {
    rename(object, EVENT_FIELDS.iter().map(|(core, grouped)| (*grouped, *core)));
}

fn rename(object: &mut Value, names: impl Iterator<Item = (&'static str, &'static str)>) {
    let Some(object) = object.as_object_mut() else { return };
    for (from, to) in names {
        if let Some(value) = object.remove(from) {
            object.insert(to.to_owned(), value);
        }
    }
}

/// Version 1 knows the cpu target only.
pub(super) fn autoscaler_to_v1(object: &mut Value) {
    let cpu = |metrics: &Value, part: &str, field: &str| {
        let metrics = metrics.as_array()?;
        let metric = metrics.iter().find(|metric| metric["resource"]["name"] == "cpu")?;
        metric["resource"][part].get(field).cloned()
    };
    let target = cpu(&object["spec"]["metrics"], "target", "averageUtilization");
    let current = cpu(&object["status"]["currentMetrics"], "current", "averageUtilization");
    for (part, field, gone, value) in [
        ("spec", "targetCPUUtilizationPercentage", "metrics", target),
        ("status", "currentCPUUtilizationPercentage", "currentMetrics", current),
    ] {
        if object[part].is_object() {
            remove(&mut object[part], gone);
            if let Some(value) = value {
                object[part][field] = value;
            }
        }
    }
    remove(&mut object["spec"], "behavior");
    if object["status"].is_object() {
        if object["status"]["currentReplicas"].is_null() {
            object["status"]["currentReplicas"] = 0.into();
        }
        remove(&mut object["status"], "conditions");
    }
}

pub(super) fn autoscaler_to_v2(object: &mut Value) {
    let target = object["spec"]["targetCPUUtilizationPercentage"].take();
    remove(&mut object["spec"], "targetCPUUtilizationPercentage");
    if !target.is_null() {
        object["spec"]["metrics"] = json!([{
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}},
        }]);
    }
}
