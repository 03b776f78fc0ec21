//! Admission webhooks: who would be asked, and what the sandbox takes for the answer.
//!
//! A webhook behind a Service answers "allowed" once the Service has a ready pod, or when no pod can ever
//! stand behind it; before that it fails as it does on a real cluster, and its failure policy decides.
//! Webhooks given by URL are not called: they always fail, loudly.

use super::{Denial, Operation, Request, items};
use crate::store::selector::LabelSelector;
use crate::store::{Object, Resource};
use serde_json::Value;

const GROUP: &str = "admissionregistration.k8s.io";

pub(super) fn admit(request: &Request<'_>, object: &mut Value, _: &mut Vec<String>) -> Result<(), Denial> {
    // Configurations cannot keep themselves from being changed.
    if request.kind.group == GROUP {
        return Ok(());
    }
    for plural in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        for configuration in request.all(GROUP, plural) {
            for webhook in items(&configuration, "/webhooks") {
                ask(request, webhook, object)?;
            }
        }
    }
    Ok(())
}

fn ask(request: &Request<'_>, webhook: &Value, object: &Value) -> Result<(), Denial> {
    if !concerns(request, webhook, object) {
        return Ok(());
    }
    let Err(problem) = call(request, webhook) else { return Ok(()) };
    let name = webhook["name"].as_str().unwrap_or_default();
    if webhook["failurePolicy"] == "Ignore" {
        tracing::debug!(webhook = name, problem, "an admission webhook is ignored");
        return Ok(());
    }
    Err(Denial::Webhook(format!("failed calling webhook {name:?}: failed to call webhook: {problem}")))
}

/// Whether the webhook's rules and selectors are about this write.
fn concerns(request: &Request<'_>, webhook: &Value, object: &Value) -> bool {
    items(webhook, "/rules").iter().any(|rule| rule_matches(request, rule))
        && (selected(&webhook["objectSelector"], object)
            || request.old.is_some_and(|old| selected(&webhook["objectSelector"], old)))
        && in_selected_namespace(request, &webhook["namespaceSelector"], object)
}

/// Whether an object has the labels a selector wants; an empty one wants none.
pub(super) fn selected(selector: &Value, object: &Value) -> bool {
    LabelSelector::from_object(selector).is_none_or(|selector| selector.matches(object))
}

/// The selector is about the namespace an object lives in, or the namespace it is.
pub(super) fn in_selected_namespace(request: &Request<'_>, selector: &Value, object: &Value) -> bool {
    let Some(selector) = LabelSelector::from_object(selector).filter(|selector| !selector.is_empty()) else {
        return true;
    };
    if request.kind.group.is_empty() && request.kind.kind == "Namespace" {
        return selector.matches(object);
    }
    if !request.kind.namespaced {
        return true;
    }
    request.own_namespace().is_some_and(|namespace| selector.matches(&namespace))
}

pub(super) fn rule_matches(request: &Request<'_>, rule: &Value) -> bool {
    let lists = |field: &str, wanted: &str| {
        items(rule, field).iter().filter_map(Value::as_str).any(|value| value == "*" || value == wanted)
    };
    let operation = match request.operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
    };
    let scope = match rule["scope"].as_str() {
        Some("Namespaced") => request.kind.namespaced,
        Some("Cluster") => !request.kind.namespaced,
        _ => true,
    };
    scope
        && lists("/operations", operation)
        && lists("/apiGroups", &request.kind.group)
        && lists("/apiVersions", &request.kind.version)
        && items(rule, "/resources")
            .iter()
            .filter_map(Value::as_str)
            .any(|pattern| resource_matches(request, pattern))
}

/// `pods`, `pods/status`, `*`, `*/status`, `pods/*`, `*/*`.
fn resource_matches(request: &Request<'_>, pattern: &str) -> bool {
    let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
    let same = |pattern: &str, value: &str| pattern == "*" || pattern == value;
    same(resource, &request.kind.plural) && same(subresource, request.subresource)
}

/// Asks the webhook; the error is what the server says about the call.
fn call(request: &Request<'_>, webhook: &Value) -> Result<(), String> {
    let config = &webhook["clientConfig"];
    if let Some(url) = config["url"].as_str() {
        return Err(format!("Post {url:?}: the sandbox does not call webhooks by URL"));
    }
    let service = &config["service"];
    let text = |field: &str| service[field].as_str().unwrap_or_default();
    let (name, namespace) = (text("name"), text("namespace"));
    let address = format!(
        "https://{name}.{namespace}.svc:{}{}?timeout={}s",
        service["port"].as_i64().unwrap_or(443),
        text("path"),
        webhook["timeoutSeconds"].as_i64().unwrap_or(10)
    );
    let Some(found) = request.find("", "services", namespace, name) else {
        return Err(format!("Post {address:?}: service {name:?} not found"));
    };
    match can_answer(request, &found, namespace) {
        true => Ok(()),
        false => Err(format!("Post {address:?}: no endpoints available for service {name:?}")),
    }
}

/// A ready pod stands behind the Service, or none ever can.
fn can_answer(request: &Request<'_>, service: &Value, namespace: &str) -> bool {
    let labels = &service["spec"]["selector"];
    if !labels.is_object() {
        return true;
    }
    let selector = LabelSelector::equal_to(labels);
    let list = |group: &str, plural: &str| request.store.list(&Resource::new(group, plural), Some(namespace));
    let pods: Vec<Object> = list("", "pods").into_iter().filter(|pod| selector.matches(pod)).collect();
    if pods.iter().any(|pod| is_ready(pod)) {
        return true;
    }
    let makers = [
        ("apps", "deployments"),
        ("apps", "statefulsets"),
        ("apps", "daemonsets"),
        ("apps", "replicasets"),
        ("", "replicationcontrollers"),
        ("batch", "jobs"),
    ];
    let made = makers.iter().any(|(group, plural)| {
        list(group, plural).iter().any(|maker| selector.matches(&maker["spec"]["template"]))
    });
    pods.is_empty() && !made
}

fn is_ready(pod: &Value) -> bool {
    items(pod, "/status/conditions")
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
