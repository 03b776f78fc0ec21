//! Defaults that look at their neighbours: an image's tag, a service's type, a job's parallelism.

use base64::Engine;
use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

fn default(map: &mut Object, field: &str, value: Value) {
    if !map.contains_key(field) {
        map.insert(field.to_owned(), value);
    }
}

fn text<'a>(map: &'a Object, field: &str) -> &'a str {
    map.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Rules for a whole object, before its parts are filled in.
pub(super) fn kind(kind: &str, object: &mut Object) {
    match kind {
        "Secret" => merge_string_data(object),
        "Namespace" => label_with_name(object),
        "Job" => job(object),
        "ReplicationController" => replication_controller(object),
        "CustomResourceDefinition" => custom_resource_definition(object),
        "Service" => spec(object, service),
        "NetworkPolicy" => spec(object, network_policy),
        "HorizontalPodAutoscaler" => horizontal_pod_autoscaler(object),
        _ => {}
    }
}

/// Rules for a whole object, after its parts were filled in.
pub(super) fn after(kind: &str, object: &mut Value) {
    match kind {
        "Pod" => pod(object),
        "Event" => event(object),
        "StatefulSet" => claim_templates(object),
        _ => {}
    }
}

/// Rules for an object of a type, wherever it stands.
pub(super) fn typed(name: &str, map: &mut Object) {
    match name {
        "core.v1.Container" | "core.v1.EphemeralContainer" => pull_policy(map),
        "core.v1.PodSpec" => pod_spec(map),
        "core.v1.Volume" => volume(map),
        "core.v1.ServicePort" => service_port(map),
        "core.v1.LimitRangeItem" => limit_range_item(map),
        "apps.v1.DeploymentStrategy" => rolling(map, &json!({"maxUnavailable": "25%", "maxSurge": "25%"})),
        "apps.v1.DaemonSetUpdateStrategy" => rolling(map, &json!({"maxUnavailable": 1, "maxSurge": 0})),
        "apps.v1.StatefulSetUpdateStrategy" => rolling(map, &json!({"partition": 0})),
        "rbac.v1.Subject" => subject(map),
        "batch.v1.CronJobSpec" => with_metadata(map.get_mut("jobTemplate")),
        "batch.v1.JobSpec" => with_metadata(map.get_mut("template")),
        _ => {}
    }
}

fn with_metadata(template: Option<&mut Value>) {
    if let Some(template) = template.and_then(Value::as_object_mut) {
        default(template, "metadata", json!({}));
    }
}

fn spec(object: &mut Object, rule: fn(&mut Object)) {
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        rule(spec);
    }
}

fn merge_string_data(object: &mut Object) {
    let Some(Value::Object(plain)) = object.remove("stringData") else { return };
    let data = object.entry("data").or_insert_with(|| json!({}));
    for (key, value) in plain {
        let encoded = base64::engine::general_purpose::STANDARD.encode(value.as_str().unwrap_or_default());
        data[key] = json!(encoded);
    }
}

fn label_with_name(object: &mut Object) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let name = text(metadata, "name").to_owned();
    if name.is_empty() {
        return;
    }
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    labels["kubernetes.io/metadata.name"] = json!(name);
}

fn job(object: &mut Object) {
    spec(object, |spec| {
        if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
            spec.insert("completions".to_owned(), json!(1));
        }
        let per_index = spec.contains_key("backoffLimitPerIndex");
        let policy = if spec.contains_key("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
        default(spec, "parallelism", json!(1));
        default(spec, "backoffLimit", if per_index { json!(i32::MAX) } else { json!(6) });
        default(spec, "completionMode", json!("NonIndexed"));
        default(spec, "suspend", json!(false));
        default(spec, "manualSelector", json!(false));
        default(spec, "podReplacementPolicy", json!(policy));
    });
}

fn replication_controller(object: &mut Object) {
    let labels = object.get("spec").and_then(|spec| spec.pointer("/template/metadata/labels")).cloned();
    spec(object, |spec| default(spec, "replicas", json!(1)));
    let Some(labels) = labels else { return };
    if let Some(Value::Object(spec)) = object.get_mut("spec") {
        default(spec, "selector", labels.clone());
    }
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        default(metadata, "labels", labels);
    }
}

fn custom_resource_definition(object: &mut Object) {
    spec(object, |spec| {
        let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) else { return };
        let kind = text(names, "kind").to_owned();
        if !kind.is_empty() {
            default(names, "singular", json!(kind.to_lowercase()));
            default(names, "listKind", json!(format!("{kind}List")));
        }
    });
}

fn service(spec: &mut Object) {
    let kind = text(spec, "type").to_owned();
    let external = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
    if kind != "ExternalName" {
        default(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if external {
        default(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    if text(spec, "sessionAffinity") == "ClientIP" {
        default(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10800}}));
    }
}

fn service_port(port: &mut Object) {
    if let Some(number) = port.get("port").cloned() {
        default(port, "targetPort", number);
    }
}

fn network_policy(spec: &mut Object) {
    let types = if spec.contains_key("egress") { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    default(spec, "policyTypes", types);
}

fn horizontal_pod_autoscaler(object: &mut Object) {
    if text(object, "apiVersion") != "autoscaling/v2" {
        return;
    }
    let utilization = json!([{"type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    if let Some(Value::Object(spec)) = object.get_mut("spec") {
        default(spec, "metrics", utilization);
        if let Some(Value::Object(behavior)) = spec.get_mut("behavior") {
            scaling_behavior(behavior);
        }
    }
}

/// Who says something about scaling gets the rest of the rules written out.
fn scaling_behavior(behavior: &mut Object) {
    let policy = |kind: &str, value: u32| json!({"type": kind, "value": value, "periodSeconds": 15});
    let (up, down) = (json!([policy("Pods", 4), policy("Percent", 100)]), json!([policy("Percent", 100)]));
    for (direction, window, policies) in [("scaleUp", Some(0), up), ("scaleDown", None, down)] {
        default(behavior, direction, json!({}));
        let Some(Value::Object(rules)) = behavior.get_mut(direction) else { continue };
        if let Some(window) = window {
            default(rules, "stabilizationWindowSeconds", json!(window));
        }
        default(rules, "selectPolicy", json!("Max"));
        default(rules, "policies", policies);
    }
}

/// `Always` for `latest` or no tag, else `IfNotPresent`.
fn pull_policy(container: &mut Object) {
    let image = text(container, "image");
    if image.is_empty() && !container.contains_key("name") {
        return;
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    let moving = !image.contains('@') && last.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    default(container, "imagePullPolicy", json!(if moving { "Always" } else { "IfNotPresent" }));
}

fn pod_spec(spec: &mut Object) {
    match (spec.get("serviceAccountName").cloned(), spec.get("serviceAccount").cloned()) {
        (Some(name), _) => drop(spec.insert("serviceAccount".to_owned(), name)),
        (None, Some(old)) => drop(spec.insert("serviceAccountName".to_owned(), old)),
        _ => {}
    }
    if spec.get("hostNetwork") == Some(&Value::Bool(true)) {
        for list in ["containers", "initContainers"] {
            host_ports(spec.get_mut(list));
        }
    }
}

fn host_ports(containers: Option<&mut Value>) {
    let containers = containers.and_then(Value::as_array_mut).into_iter().flatten();
    let ports = containers.filter_map(|container| container.get_mut("ports")?.as_array_mut()).flatten();
    for port in ports.filter_map(Value::as_object_mut) {
        if let Some(number) = port.get("containerPort").cloned() {
            default(port, "hostPort", number);
        }
    }
}

fn volume(volume: &mut Object) {
    if volume.len() == 1 && volume.contains_key("name") {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
}

fn limit_range_item(item: &mut Object) {
    if text(item, "type") != "Container" {
        return;
    }
    copy_missing(item, "max", "default");
    copy_missing(item, "default", "defaultRequest");
    copy_missing(item, "min", "defaultRequest");
}

/// Fills resources `to` lacks from `from`.
fn copy_missing(item: &mut Object, from: &str, to: &str) {
    let Some(Value::Object(source)) = item.get(from).cloned() else { return };
    let target = item.entry(to).or_insert_with(|| json!({}));
    if let Value::Object(target) = target {
        for (name, amount) in source {
            target.entry(name).or_insert(amount);
        }
    }
}

/// Parameters of a rolling update, where the strategy is one.
fn rolling(strategy: &mut Object, parameters: &Value) {
    if text(strategy, "type") != "RollingUpdate" {
        return;
    }
    let rolling = strategy.entry("rollingUpdate").or_insert_with(|| json!({}));
    if let (Value::Object(rolling), Value::Object(parameters)) = (rolling, parameters) {
        for (name, value) in parameters {
            default(rolling, name, value.clone());
        }
    }
}

fn subject(subject: &mut Object) {
    if matches!(text(subject, "kind"), "User" | "Group") {
        default(subject, "apiGroup", json!("rbac.authorization.k8s.io"));
    }
}

fn pod(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    default(spec, "enableServiceLinks", json!(true));
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for resources in containers.filter_map(|container| container.get_mut("resources")?.as_object_mut()) {
            copy_missing(resources, "limits", "requests");
        }
    }
}

/// Times and sources of an event are answered even when absent; its two groups name them differently.
fn event(object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    let core = text(map, "apiVersion") == "v1";
    default(map, "eventTime", Value::Null);
    let (times, source) = match core {
        true => (["firstTimestamp", "lastTimestamp"], "source"),
        false => (["deprecatedFirstTimestamp", "deprecatedLastTimestamp"], "deprecatedSource"),
    };
    for field in times {
        default(map, field, Value::Null);
    }
    default(map, source, json!({}));
    if core {
        default(map, "reportingComponent", json!(""));
        default(map, "reportingInstance", json!(""));
    }
}

fn claim_templates(object: &mut Value) {
    let templates = object.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut);
    for template in templates.into_iter().flatten().filter_map(Value::as_object_mut) {
        template.insert("kind".to_owned(), json!("PersistentVolumeClaim"));
        template.insert("apiVersion".to_owned(), json!("v1"));
        template.insert("status".to_owned(), json!({"phase": "Pending"}));
    }
}
