//! What single kinds add to a write: fields the server fills in, and rules a schema cannot say.
//!
//! Everything here is looked up by kind in one match per question; a kind that is in none of them
//! is an ordinary kind. Rules that hold for all kinds are in `metadata` and `write`.

mod configuration;
mod namespace;
mod service;
mod workload;

use serde_json::{Value, json};

use super::status::{Cause, Status};
use crate::kinds::Kind;
use crate::schema::first_status;
use crate::store::Transaction;

/// Brings what a client may write in another form into the form that is stored.
pub(super) fn normalize(kind: &Kind, object: &mut Value) {
    match (&*kind.group, &*kind.kind) {
        ("", "Secret") => configuration::merge_string_data(object),
        ("apps", "DaemonSet") => workload::count_templates(object),
        _ => {}
    }
}

/// What an object of a built-in kind has before anybody writes a field: the parts that its type
/// holds by value. They are there without an owner.
pub(super) fn blank(kind: &Kind) -> Value {
    let template = json!({"metadata": {}, "spec": {"containers": []}});
    let spec = match &*kind.kind {
        "Pod" => json!({"containers": []}),
        "Deployment" => json!({"strategy": {}, "template": template}),
        "DaemonSet" | "StatefulSet" => json!({"updateStrategy": {}, "template": template}),
        "ReplicaSet" | "Job" => json!({"template": template}),
        "CronJob" => json!({"jobTemplate": {"metadata": {}, "spec": {"template": template}}}),
        "PersistentVolumeClaim" => json!({"resources": {}}),
        "HorizontalPodAutoscaler" => json!({"scaleTargetRef": {}}),
        "CustomResourceDefinition" => json!({"names": {}}),
        "NetworkPolicy" => json!({"podSelector": {}}),
        _ => json!({}),
    };
    let mut blank = json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": {}, "spec": spec, "status": {}});
    if kind.kind == "EndpointSlice" {
        for field in ["endpoints", "ports"] {
            blank[field] = Value::Null;
        }
    }
    if kind.kind == "Event" {
        for field in [
            "eventTime",
            "firstTimestamp",
            "lastTimestamp",
            "deprecatedFirstTimestamp",
            "deprecatedLastTimestamp",
        ] {
            blank[field] = Value::Null;
        }
        for field in ["source", "deprecatedSource"] {
            blank[field] = json!({});
        }
        for field in ["reportingComponent", "reportingInstance"] {
            blank[field] = json!("");
        }
    }
    blank
}

/// Tables are made from a form of an object that keeps the template counter of a DaemonSet elsewhere.
pub(super) fn hide_in_tables(partial: &mut Value, kind: &Value) {
    if *kind == "DaemonSet" {
        workload::hide_template_count(partial);
    }
}

/// An object of a built-in kind of which nothing is set, as Go writes it: bookmarks are such objects. What
/// kinds hold by value, and what they always write, shows.
pub(super) fn empty(kind: &Kind) -> Value {
    let template = json!({"metadata": {}, "spec": {"containers": null}});
    let spec_and_status = |spec: Value, status: Value| json!({"spec": spec, "status": status});
    match &*kind.kind {
        "Pod" => spec_and_status(json!({"containers": null}), json!({})),
        "Deployment" => {
            let spec = json!({"replicas": 0, "selector": null, "template": template, "strategy": {}});
            spec_and_status(spec, json!({}))
        }
        "ReplicaSet" => {
            spec_and_status(json!({"selector": null, "template": template}), json!({"replicas": 0}))
        }
        "StatefulSet" => {
            let spec =
                json!({"selector": null, "template": template, "serviceName": "", "updateStrategy": {}});
            spec_and_status(spec, json!({"replicas": 0, "availableReplicas": 0}))
        }
        "DaemonSet" => {
            let status = json!({
                "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
            });
            spec_and_status(json!({"selector": null, "template": template, "updateStrategy": {}}), status)
        }
        "Job" => spec_and_status(json!({"template": template}), json!({})),
        "CronJob" => {
            let job = json!({"metadata": {}, "spec": {"template": template}});
            spec_and_status(json!({"schedule": "", "jobTemplate": job}), json!({}))
        }
        "Service" | "Ingress" => spec_and_status(json!({}), json!({"loadBalancer": {}})),
        "PersistentVolumeClaim" => spec_and_status(json!({"resources": {}}), json!({})),
        "NetworkPolicy" => json!({"spec": {"podSelector": {}}}),
        "PodDisruptionBudget" => {
            let status =
                json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0});
            spec_and_status(json!({}), status)
        }
        "HorizontalPodAutoscaler" => spec_and_status(
            json!({"scaleTargetRef": {"kind": "", "name": ""}, "maxReplicas": 0}),
            json!({"desiredReplicas": 0, "currentMetrics": null}),
        ),
        "CustomResourceDefinition" => {
            let names = json!({"plural": "", "kind": ""});
            let status = json!({"conditions": null, "acceptedNames": names, "storedVersions": null});
            spec_and_status(json!({"group": "", "names": names, "scope": "", "versions": null}), status)
        }
        "Role" | "ClusterRole" => json!({"rules": null}),
        "RoleBinding" | "ClusterRoleBinding" => json!({"roleRef": {"apiGroup": "", "kind": "", "name": ""}}),
        "Namespace" | "PersistentVolume" => spec_and_status(json!({}), json!({})),
        "StorageClass" => json!({"provisioner": ""}),
        "Lease" => json!({"spec": {}}),
        _ => json!({}),
    }
}

/// Gives a new object what the server decides about its kind.
pub(super) fn prepare_for_create(t: &Transaction<'_>, kind: &Kind, object: &mut Value) -> Result<(), Status> {
    // Only nodes may come with a status: their kubelets post both at once.
    let comes_with_status = kind.group.is_empty() && kind.kind == "Node";
    if kind.subresource("status").is_some() && !comes_with_status {
        super::write::remove(object, "status");
    }
    if let Some(status) = first_status(&kind.kind).filter(|_| !kind.custom) {
        object["status"] = status;
    }
    match (&*kind.group, &*kind.kind) {
        ("", "Namespace") => namespace::prepare_for_create(object),
        ("", "Service") => service::prepare_for_create(t, object)?,
        ("", "Pod") => {
            workload::prepare_pod(object);
            workload::label_place(t, object);
        }
        ("", "PersistentVolume") => {
            object["status"] = json!({"phase": "Pending"});
            tell_phase_change(t, &Value::Null, object);
        }
        ("apps", "DaemonSet") => workload::prepare_daemon_set(None, object),
        ("batch", "Job") => workload::prepare_job(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => super::custom::prepare_for_create(object),
        ("apiregistration.k8s.io", "APIService") => prepare_api_service(t, object),
        _ => {}
    }
    Ok(())
}

/// What is served here is available at once.
fn prepare_api_service(t: &Transaction<'_>, object: &mut Value) {
    object["status"] = json!({});
    if !object["spec"]["service"].is_object() {
        object["status"]["conditions"] = json!([{
            "type": "Available", "status": "True", "lastTransitionTime": t.ambient().timestamp(),
            "reason": "Local", "message": "Local APIServices are always available",
        }]);
    }
}

/// Gives a changed object what the server decides about its kind.
pub(super) fn prepare_for_update(t: &Transaction<'_>, kind: &Kind, old: &Value, new: &mut Value) {
    match (&*kind.group, &*kind.kind) {
        ("", "Namespace") => namespace::prepare_for_update(old, new),
        ("", "Service") => service::prepare_for_update(t, old, new),
        ("apps", "DaemonSet") => workload::prepare_daemon_set(Some(old), new),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => super::custom::prepare_for_update(new),
        _ => {}
    }
}

/// Gives a changed status what the server decides about its kind.
pub(super) fn prepare_status(t: &Transaction<'_>, kind: &Kind, old: &Value, new: &mut Value) {
    if kind.group.is_empty() && kind.kind == "PersistentVolume" {
        tell_phase_change(t, old, new);
    }
}

/// A volume remembers when its phase last changed.
fn tell_phase_change(t: &Transaction<'_>, old: &Value, new: &mut Value) {
    let time = match old["status"]["phase"] == new["status"]["phase"] {
        true => old["status"]["lastPhaseTransitionTime"].clone(),
        false => t.ambient().timestamp().into(),
    };
    if !time.is_null() {
        new["status"]["lastPhaseTransitionTime"] = time;
    }
}

/// What is wrong with an object beyond its schema; `old` is none for a new one.
pub(super) fn validate(t: &Transaction<'_>, kind: &Kind, old: Option<&Value>, new: &Value) -> Vec<Cause> {
    match (&*kind.group, &*kind.kind) {
        ("", "ConfigMap") => configuration::config_map_problems(old, new),
        ("", "Secret") => configuration::secret_problems(old, new),
        ("", "Service") => service::problems(t, old, new),
        ("", "Pod") => workload::pod_problems(old, new),
        ("apps" | "batch", _) => workload::selector_problems(kind, old, new),
        _ => Vec::new(),
    }
}

/// Kinds that a PUT to an absent name creates.
pub(super) fn may_create_by_update(kind: &Kind) -> bool {
    matches!(
        (&*kind.group, &*kind.kind),
        ("", "Event" | "Endpoints" | "LimitRange")
            | ("coordination.k8s.io", "Lease")
            | ("events.k8s.io", "Event")
            | ("rbac.authorization.k8s.io", _)
    )
}

/// What of the metadata a write of the status leaves alone: all of it for custom kinds, labels for most others.
pub(super) fn kept_by_status(kind: &Kind) -> &'static [&'static str] {
    match (kind.custom, &*kind.kind) {
        (true, _) => &["metadata"],
        (false, "Node") => &[],
        (false, _) => &["metadata.labels"],
    }
}

/// What a subresource writes of its parent.
pub(super) fn parts_of(subresource: &str) -> &'static [&'static str] {
    match subresource {
        "status" | "approval" => &["status"],
        "finalize" | "resize" | "ephemeralcontainers" => &["spec"],
        _ => &[],
    }
}

/// Refuses to delete what the cluster cannot do without.
pub(super) fn check_delete(kind: &Kind, name: &str) -> Result<(), Status> {
    let is_kept = kind.kind == "Namespace" && matches!(name, "default" | "kube-system" | "kube-public");
    match is_kept && kind.group.is_empty() {
        true => Err(Status::forbidden(kind, name, "this namespace may not be deleted")),
        false => Ok(()),
    }
}

/// Rewrites a stored object into the version of `kind`, where versions differ in more than a name.
pub(super) fn to_version(object: &mut Value, kind: &Kind) {
    match (&*kind.group, &*kind.version, &*kind.kind) {
        ("events.k8s.io", _, "Event") => workload::event_to_grouped(object),
        ("autoscaling", "v1", _) => workload::autoscaler_to_v1(object),
        _ => {}
    }
}

/// Rewrites an object of `kind` into the version it is stored in.
pub(super) fn to_storage(mut object: Value, kind: &Kind) -> Value {
    match (&*kind.group, &*kind.version, &*kind.kind) {
        ("events.k8s.io", _, "Event") => {
            workload::event_to_core(&mut object);
            object["apiVersion"] = "v1".into();
        }
        ("autoscaling", "v1", _) => {
            workload::autoscaler_to_v2(&mut object);
            object["apiVersion"] = "autoscaling/v2".into();
        }
        _ => {}
    }
    object
}
