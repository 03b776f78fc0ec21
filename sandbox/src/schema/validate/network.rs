//! Ingresses and network policies.

use super::check::{cidr, items, one_of, port, text};
use crate::schema::cause::Cause;
use serde_json::{Value, json};

pub(super) fn ingress(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &new["spec"];
    if items(spec, "rules").is_empty() && !spec["defaultBackend"].is_object() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        causes.push(Cause::invalid("spec", &json!([]), detail));
    }
    for (at, rule) in items(spec, "rules").iter().enumerate() {
        for (number, path) in items(&rule["http"], "paths").iter().enumerate() {
            ingress_path(path, &format!("spec.rules[{at}].http.paths[{number}]"), &mut causes);
        }
    }
    if spec["defaultBackend"].is_object() {
        backend(&spec["defaultBackend"], "spec.defaultBackend", &mut causes);
    }
    causes
}

fn ingress_path(path: &Value, place: &str, causes: &mut Vec<Cause>) {
    let kind = text(path, "pathType");
    if kind.is_empty() {
        causes.push(Cause::required(format!("{place}.pathType"), "pathType must be specified"));
        return;
    }
    one_of(path, "pathType", place, &["Exact", "ImplementationSpecific", "Prefix"], causes);
    let route = text(path, "path");
    let must_be_absolute = matches!(kind, "Exact" | "Prefix") || !route.is_empty();
    if must_be_absolute && !route.starts_with('/') {
        causes.push(Cause::invalid(format!("{place}.path"), &json!(route), "must be an absolute path"));
    }
    backend(&path["backend"], &format!("{place}.backend"), causes);
}

fn backend(backend: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (service, resource) = (&backend["service"], &backend["resource"]);
    if service.is_object() && resource.is_object() {
        causes.push(Cause::invalid(path, &json!(""), "cannot set both resource and service backends"));
        return;
    }
    if !service.is_object() {
        if !resource.is_object() {
            causes.push(Cause::required(path, "resource or service backend is required"));
        }
        return;
    }
    if text(service, "name").is_empty() {
        causes.push(Cause::required(format!("{path}.service.name"), ""));
    }
    let (name, number) = (text(&service["port"], "name"), service["port"]["number"].as_i64().unwrap_or(0));
    match (name.is_empty(), number) {
        (false, 1..) => {
            causes.push(Cause::invalid(path, &json!(""), "cannot set both port name & port number"))
        }
        (true, 0) => causes.push(Cause::required(path, "port name or number is required")),
        _ => port(&service["port"]["number"], &format!("{path}.service.port.number"), causes),
    }
}

pub(super) fn network_policy(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (at, rule) in items(&new["spec"], direction).iter().enumerate() {
            let path = format!("spec.{direction}[{at}]");
            for (number, entry) in items(rule, "ports").iter().enumerate() {
                policy_port(entry, &format!("{path}.ports[{number}]"), &mut causes);
            }
            for (number, peer) in items(rule, peers).iter().enumerate() {
                policy_peer(peer, &format!("{path}.{peers}[{number}]"), &mut causes);
            }
        }
    }
    causes
}

fn policy_port(entry: &Value, path: &str, causes: &mut Vec<Cause>) {
    one_of(entry, "protocol", path, &["TCP", "UDP", "SCTP"], causes);
    port(&entry["port"], &format!("{path}.port"), causes);
}

fn policy_peer(peer: &Value, path: &str, causes: &mut Vec<Cause>) {
    let block = &peer["ipBlock"];
    if !block.is_object() {
        return;
    }
    if peer["podSelector"].is_object() || peer["namespaceSelector"].is_object() {
        let detail = "may not specify both ipBlock and another peer";
        causes.push(Cause::forbidden(path, detail));
    }
    cidr(&block["cidr"], &format!("{path}.ipBlock.cidr"), causes);
    for (at, except) in items(block, "except").iter().enumerate() {
        cidr(except, &format!("{path}.ipBlock.except[{at}]"), causes);
    }
}
