//! Nodes, namespaces and events.

use super::check::{items, text};
use crate::schema::cause::Cause;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const TAINT_EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub(super) fn node(old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (at, taint) in items(&new["spec"], "taints").iter().enumerate() {
        if !TAINT_EFFECTS.contains(&text(taint, "effect")) {
            let path = format!("metadata.taints[{at}].effect");
            causes.push(Cause::unsupported(path, &taint["effect"], TAINT_EFFECTS));
        }
    }
    let Some(old) = old else { return causes };
    let changed = |field: &str| {
        let (before, after) = (&old["spec"][field], &new["spec"][field]);
        !before.is_null() && *before != json!("") && before != after
    };
    if changed("providerID") {
        let detail = "node updates may not change providerID except from \"\" to valid";
        causes.push(Cause::forbidden("spec.providerID", detail));
    }
    if changed("podCIDRs") {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        causes.push(Cause::forbidden("spec.podCIDRs", detail));
    }
    // An update is checked once by itself and once against the old object.
    let taints: Vec<Cause> =
        causes.iter().filter(|cause| cause.field.starts_with("metadata.taints")).cloned().collect();
    causes.extend(taints);
    causes
}

pub(super) fn namespace(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let prefix = "pod-security.kubernetes.io/";
    for (label, value) in new["metadata"]["labels"].as_object().into_iter().flatten() {
        let Some(name) = label.strip_prefix(prefix) else { continue };
        let level = matches!(name, "enforce" | "audit" | "warn");
        let known = matches!(value.as_str(), Some("privileged" | "baseline" | "restricted"));
        if level && !known {
            let detail = "must be one of privileged, baseline, restricted";
            causes.push(Cause::invalid(format!("metadata.labels[{label}]"), value, detail));
        }
    }
    causes
}

pub(super) fn event(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let namespace = text(&new["involvedObject"], "namespace");
    let own = text(&new["metadata"], "namespace");
    let fits = namespace == own || (namespace.is_empty() && own == "default");
    if !fits {
        let path = "involvedObject.namespace";
        causes.push(Cause::invalid(path, &json!(namespace), "does not match event.namespace"));
    }
    causes
}

pub(super) fn grouped_event(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if new["eventTime"].is_null() {
        causes.push(Cause::required("eventTime", ""));
    }
    let kind = text(new, "type");
    if !matches!(kind, "Normal" | "Warning") {
        causes.push(Cause::invalid("type", &json!(""), format!("has invalid value: {kind}")));
    }
    causes
}

/// A request for a certificate is PEM inside of base64.
pub(super) fn signing_request(old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let request = &new["spec"]["request"];
    let text = STANDARD.decode(request.as_str().unwrap_or_default()).unwrap_or_default();
    let is_request = String::from_utf8_lossy(&text).contains("-----BEGIN CERTIFICATE REQUEST-----");
    match old.is_some() || is_request {
        true => Vec::new(),
        false => vec![Cause::invalid("spec.request", request, "PEM block type must be CERTIFICATE REQUEST")],
    }
}
