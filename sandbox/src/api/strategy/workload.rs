//! Workloads and events: fields the server generates, selectors that must fit, and the few kinds
//! whose versions differ in their fields.

use serde_json::{Value, json};

use crate::api::status::Cause;
use crate::api::write::remove;
use crate::kinds::Kind;
use crate::store::selector::LabelSelector;

/// A new pod waits, and has the class that its requests and limits give it.
pub(super) fn prepare_pod(object: &mut Value) {
    object["status"] = json!({"phase": "Pending", "qosClass": quality_class(&object["spec"])});
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

/// A workload's selector never changes and selects its own template.
pub(super) fn selector_problems(kind: &Kind, old: Option<&Value>, new: &Value) -> Vec<Cause> {
    if !matches!(&*kind.kind, "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job") {
        return Vec::new();
    }
    let mut causes = Vec::new();
    let selector = &new["spec"]["selector"];
    match LabelSelector::from_object(selector) {
        None => causes.push(Cause::required("spec.selector", "")),
        Some(selector) if !selector.matches(&new["spec"]["template"]) => {
            let labels = &new["spec"]["template"]["metadata"]["labels"];
            let detail = "`selector` does not match template `labels`";
            causes.push(Cause::invalid("spec.template.metadata.labels", labels, detail));
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
