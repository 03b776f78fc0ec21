//! Volumes, claims and classes.

use super::check::{immutable, items, one_of, required, text};
use crate::schema::cause::Cause;
use crate::schema::internal;
use crate::schema::quantity::Quantity;
use serde_json::Value;

const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// Fields of a volume's spec that are no source.
const NOT_A_SOURCE: &[&str] = &[
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

pub(super) fn volume(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &new["spec"];
    access_modes(spec, &mut causes);
    if spec["capacity"]["storage"].is_null() {
        causes.push(Cause::required("spec.capacity", ""));
    }
    let sources =
        spec.as_object().into_iter().flatten().filter(|(key, _)| !NOT_A_SOURCE.contains(&key.as_str()));
    let sources: Vec<&String> = sources.map(|(key, _)| key).collect();
    if sources.is_empty() {
        causes.push(Cause::required("spec", "must specify a volume type"));
    }
    for extra in sources.iter().skip(1) {
        causes.push(Cause::forbidden(format!("spec.{extra}"), "may not specify more than 1 volume type"));
    }
    one_of(spec, "persistentVolumeReclaimPolicy", "spec", &["Delete", "Recycle", "Retain"], &mut causes);
    one_of(spec, "volumeMode", "spec", &["Block", "Filesystem"], &mut causes);
    causes
}

fn access_modes(spec: &Value, causes: &mut Vec<Cause>) {
    let modes = items(spec, "accessModes");
    if modes.is_empty() {
        causes.push(Cause::required("spec.accessModes", "at least 1 access mode is required"));
    }
    for mode in modes.iter().filter(|mode| !mode.as_str().is_some_and(|mode| ACCESS_MODES.contains(&mode))) {
        causes.push(Cause::unsupported("spec.accessModes", mode, ACCESS_MODES));
    }
}

pub(super) fn claim(old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &new["spec"];
    access_modes(spec, &mut causes);
    if spec["resources"]["requests"]["storage"].is_null() {
        causes.push(Cause::required("spec.resources[storage]", ""));
    }
    if let Some(old) = old {
        claim_update(old, new, &mut causes);
    }
    causes
}

fn claim_update(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let bound = text(&old["status"], "phase") == "Bound";
    let fixed = |claim: &Value| {
        let mut spec = claim["spec"].clone();
        for field in ["volumeAttributesClassName", if bound { "resources" } else { "" }] {
            spec.as_object_mut().map(|spec| spec.remove(field));
        }
        // The binder fills these in.
        if text(&old["spec"], "volumeName").is_empty() {
            spec.as_object_mut().map(|spec| spec.remove("volumeName"));
        }
        if old["spec"]["storageClassName"].is_null() {
            spec.as_object_mut().map(|spec| spec.remove("storageClassName"));
        }
        spec
    };
    if fixed(old) != fixed(new) {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        let differences =
            internal::diff("PersistentVolumeClaimSpec", &before(old, new), &after(old, new, bound));
        causes.push(Cause::forbidden("spec", &format!("{detail}\n{differences}")));
    }
    let size = |claim: &Value| Quantity::from_json(&claim["spec"]["resources"]["requests"]["storage"]);
    if bound && size(old).zip(size(new)).is_some_and(|(old, new)| old.exceeds(new)) {
        let detail = "field can not be less than status.capacity";
        causes.push(Cause::forbidden("spec.resources.requests.storage", detail));
    }
}

/// What a claim's specification was, with what a change may fill in once filled in already.
fn before(old: &Value, new: &Value) -> Value {
    let mut spec = old["spec"].clone();
    for field in ["volumeName", "storageClassName"] {
        if spec[field].as_str().unwrap_or_default().is_empty() && new["spec"][field].is_string() {
            spec[field] = new["spec"][field].clone();
        }
    }
    spec
}

/// What a claim's specification shall be, with what may change left as it was.
fn after(old: &Value, new: &Value, bound: bool) -> Value {
    let mut spec = new["spec"].clone();
    spec["volumeAttributesClassName"] = old["spec"]["volumeAttributesClassName"].clone();
    if bound && spec["resources"]["requests"].is_object() {
        spec["resources"]["requests"]["storage"] = old["spec"]["resources"]["requests"]["storage"].clone();
    }
    spec
}

pub(super) fn class(old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    required(new, "provisioner", "", &mut causes);
    one_of_top(new, "reclaimPolicy", &["Delete", "Retain"], &mut causes);
    one_of_top(new, "volumeBindingMode", &["Immediate", "WaitForFirstConsumer"], &mut causes);
    if old.is_some_and(|old| old["parameters"] != new["parameters"]) {
        causes.push(Cause::forbidden("parameters", "updates to parameters are forbidden."));
    }
    if old.is_some_and(|old| old["provisioner"] != new["provisioner"]) {
        causes.push(Cause::forbidden("provisioner", "updates to provisioner are forbidden."));
    }
    immutable(old, new, "/reclaimPolicy", "reclaimPolicy", &mut causes);
    immutable(old, new, "/volumeBindingMode", "volumeBindingMode", &mut causes);
    causes
}

fn one_of_top(object: &Value, field: &str, allowed: &[&str], causes: &mut Vec<Cause>) {
    if object[field].as_str().is_some_and(|text| !allowed.contains(&text)) {
        causes.push(Cause::unsupported(field, &object[field], allowed));
    }
}
