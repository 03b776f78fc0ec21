//! The pod spec, wherever it stands: containers, ports, probes, resources and volumes.

use super::check::{items, label, not_negative, one_of, port, required, text};
use crate::schema::cause::Cause;
use crate::schema::quantity::Quantity;
use serde_json::{Value, json};

/// Fields of a volume that are no source.
const NOT_A_SOURCE: &[&str] = &["name"];

/// What is wrong with the pod spec at `path`.
pub(super) fn spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let volumes = volumes(spec, path, causes);
    let containers = items(spec, "containers");
    if containers.is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let mut names: Vec<&str> = Vec::new();
    for list in ["containers", "initContainers"] {
        for (at, container) in items(spec, list).iter().enumerate() {
            let path = format!("{path}.{list}[{at}]");
            container_rules(container, &path, &volumes, causes);
            let name = text(container, "name");
            if !name.is_empty() && names.contains(&name) {
                causes.push(Cause::duplicate(format!("{path}.name"), &container["name"]));
            }
            names.push(name);
        }
    }
    one_of(spec, "restartPolicy", path, &["Always", "OnFailure", "Never"], causes);
    one_of(spec, "dnsPolicy", path, &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], causes);
    not_negative(spec, "terminationGracePeriodSeconds", path, causes);
}

fn volumes<'a>(spec: &'a Value, path: &str, causes: &mut Vec<Cause>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for (at, volume) in items(spec, "volumes").iter().enumerate() {
        let path = format!("{path}.volumes[{at}]");
        let name = text(volume, "name");
        if required(volume, "name", &path, causes) {
            label(&volume["name"], &format!("{path}.name"), causes);
            if names.contains(&name) {
                causes.push(Cause::duplicate(format!("{path}.name"), &volume["name"]));
            }
        }
        let sources = volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        let mut sources: Vec<&str> = sources.filter(|key| !NOT_A_SOURCE.contains(key)).collect();
        // The server looks at emptyDir first, so the other source is the one too many.
        sources.sort_by_key(|source| *source != "emptyDir");
        for extra in sources.iter().skip(1) {
            causes
                .push(Cause::forbidden(format!("{path}.{extra}"), "may not specify more than 1 volume type"));
        }
        if sources.is_empty() {
            causes.push(Cause::required(path, "must specify a volume type"));
        }
        names.push(name);
    }
    names
}

fn container_rules(container: &Value, path: &str, volumes: &[&str], causes: &mut Vec<Cause>) {
    if required(container, "name", path, causes) {
        label(&container["name"], &format!("{path}.name"), causes);
    }
    required(container, "image", path, causes);
    ports(container, path, causes);
    environment(container, path, causes);
    mounts(container, path, volumes, causes);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        probe_rules(&container[probe], &format!("{path}.{probe}"), causes);
    }
    one_of(container, "imagePullPolicy", path, &["Always", "IfNotPresent", "Never"], causes);
    one_of(container, "terminationMessagePolicy", path, &["FallbackToLogsOnError", "File"], causes);
    resources(&container["resources"], &format!("{path}.resources"), causes);
}

fn ports(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut names: Vec<&str> = Vec::new();
    for (at, entry) in items(container, "ports").iter().enumerate() {
        let path = format!("{path}.ports[{at}]");
        let name = text(entry, "name");
        if !name.is_empty() && names.contains(&name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &entry["name"]));
        }
        names.push(name);
        if entry["containerPort"].is_null() || entry["containerPort"] == 0 {
            causes.push(Cause::required(format!("{path}.containerPort"), ""));
        } else {
            port(&entry["containerPort"], &format!("{path}.containerPort"), causes);
        }
        port(&entry["hostPort"], &format!("{path}.hostPort"), causes);
        one_of(entry, "protocol", &path, &["SCTP", "TCP", "UDP"], causes);
    }
}

fn environment(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (at, variable) in items(container, "env").iter().enumerate() {
        let path = format!("{path}.env[{at}]");
        required(variable, "name", &path, causes);
        if !text(variable, "value").is_empty() && variable["valueFrom"].is_object() {
            let detail = "may not be specified when `value` is not empty";
            causes.push(Cause::invalid(format!("{path}.valueFrom"), &json!(""), detail));
        }
    }
}

fn mounts(container: &Value, path: &str, volumes: &[&str], causes: &mut Vec<Cause>) {
    let mut paths: Vec<&str> = Vec::new();
    for (at, mount) in items(container, "volumeMounts").iter().enumerate() {
        let path = format!("{path}.volumeMounts[{at}]");
        if required(mount, "name", &path, causes) && !volumes.contains(&text(mount, "name")) {
            causes.push(Cause::not_found(format!("{path}.name"), &mount["name"]));
        }
        let place = text(mount, "mountPath");
        if required(mount, "mountPath", &path, causes) && paths.contains(&place) {
            causes.push(Cause::invalid(format!("{path}.mountPath"), &mount["mountPath"], "must be unique"));
        }
        paths.push(place);
    }
}

fn probe_rules(probe: &Value, path: &str, causes: &mut Vec<Cause>) {
    if !probe.is_object() {
        return;
    }
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
    match handlers.iter().filter(|name| probe[**name].is_object()).count() {
        0 => causes.push(Cause::required(path, "must specify a handler type")),
        1 => {}
        _ => causes.push(Cause::forbidden(path, "may not specify more than 1 handler type")),
    }
    for field in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        not_negative(probe, field, path, causes);
    }
}

fn resources(resources: &Value, path: &str, causes: &mut Vec<Cause>) {
    for part in ["limits", "requests"] {
        for (name, amount) in resources[part].as_object().into_iter().flatten() {
            if Quantity::from_json(amount).is_some_and(|amount| amount.nanos() < 0) {
                causes.push(Cause::invalid(
                    format!("{path}.{part}[{name}]"),
                    amount,
                    "must be greater than or equal to 0",
                ));
            }
        }
    }
    for (name, request) in resources["requests"].as_object().into_iter().flatten() {
        let limit = &resources["limits"][name];
        let both = Quantity::from_json(request).zip(Quantity::from_json(limit));
        if let Some((request, limit)) = both.filter(|(request, limit)| request.exceeds(*limit)) {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            causes.push(Cause::invalid(format!("{path}.requests"), &json!(request.to_string()), detail));
        }
    }
}
