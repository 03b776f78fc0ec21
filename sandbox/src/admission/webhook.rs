//! Admission webhooks: who is asked, and what the answer does.
//!
//! A webhook by URL is called, and so is one behind a Service whose pod runs a program (a process pod). One
//! behind a Service of simulated pods is taken to answer "allowed" once a pod is ready, or when no pod can ever
//! stand there; before that it fails as it does on a real cluster, and its failure policy decides. Istio's
//! injector does its part when it is taken to answer.
//!
//! A write holds the store, and nobody may wait for a server meanwhile: a question that has no answer yet stops
//! the write, is asked, and the write is made again with the answer (see `Webhooks`).

use super::answer::Question;
use super::{Denial, Operation, Request, answer, items, name_of};
use crate::players::injection;
use crate::store::selector::LabelSelector;
use crate::store::{Object, Resource};
use serde_json::Value;

const GROUP: &str = "admissionregistration.k8s.io";

pub(super) fn mutate(
    request: &Request<'_>,
    object: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), Denial> {
    each(request, "mutatingwebhookconfigurations", object, warnings)
}

pub(super) fn validate(
    request: &Request<'_>,
    object: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), Denial> {
    each(request, "validatingwebhookconfigurations", object, warnings)
}

fn each(
    request: &Request<'_>,
    plural: &str,
    object: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), Denial> {
    // Configurations cannot keep themselves from being changed.
    if request.kind.group == GROUP {
        return Ok(());
    }
    for configuration in request.all(GROUP, plural) {
        for webhook in items(&configuration, "/webhooks") {
            let place = format!("{plural}/{}", name_of(&configuration));
            if concerns(request, webhook, object) {
                ask(request, &place, webhook, object, warnings)?;
            }
        }
    }
    Ok(())
}

fn ask(
    request: &Request<'_>,
    place: &str,
    webhook: &Value,
    object: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), Denial> {
    let name = webhook["name"].as_str().unwrap_or_default();
    let problem = match call(request, place, webhook, object) {
        Call::Assumed => {
            if place.starts_with("mutating") && injection::is_injector(webhook) && request.creates("", "Pod")
            {
                injection::inject(object);
                request.webhooks.note_change();
            }
            return Ok(());
        }
        Call::Unasked => return Err(Denial::Unasked),
        Call::Answered(Ok(review)) => return answer::take(request, place, name, &review, object, warnings),
        Call::Answered(Err(problem)) | Call::Fails(problem) => problem,
    };
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

/// How a webhook stands towards a write.
enum Call {
    /// It cannot be called and is taken to say yes.
    Assumed,
    /// It has to be asked, which nobody can do while the store is held.
    Unasked,
    /// It was asked.
    Answered(Result<Value, String>),
    /// It cannot be called, and would not be on a real cluster.
    Fails(String),
}

fn call(request: &Request<'_>, place: &str, webhook: &Value, object: &Value) -> Call {
    let config = &webhook["clientConfig"];
    let timeout = webhook["timeoutSeconds"].as_u64().unwrap_or(10);
    let really = |url: &str, connect: Option<u16>| {
        let key = format!("{place}/{}", name_of_webhook(webhook));
        let question = || Question {
            key: key.clone(),
            url: url.to_owned(),
            connect,
            bundle: config["caBundle"].as_str().unwrap_or_default().to_owned(),
            timeout: std::time::Duration::from_secs(timeout),
            review: answer::review(request, object),
        };
        request.webhooks.answer_of(&key, question).map_or(Call::Unasked, Call::Answered)
    };
    if let Some(url) = config["url"].as_str() {
        return really(&format!("{url}?timeout={timeout}s"), None);
    }
    let service = &config["service"];
    let text = |field: &str| service[field].as_str().unwrap_or_default();
    let (name, namespace) = (text("name"), text("namespace"));
    let port = service["port"].as_i64().unwrap_or(443);
    let address = format!("https://{name}.{namespace}.svc:{port}{}?timeout={timeout}s", text("path"));
    let Some(found) = request.find("", "services", namespace, name) else {
        return Call::Fails(format!("Post {address:?}: service {name:?} not found"));
    };
    if let Some(local) = program_behind(request, &found, namespace, port) {
        return really(&address, Some(local));
    }
    match can_answer(request, &found, namespace) {
        true => Call::Assumed,
        false => Call::Fails(format!("Post {address:?}: no endpoints available for service {name:?}")),
    }
}

fn name_of_webhook(webhook: &Value) -> &str {
    webhook["name"].as_str().unwrap_or_default()
}

/// The port of this machine where a pod behind a Service runs a program, if one does.
fn program_behind(request: &Request<'_>, service: &Value, namespace: &str, port: i64) -> Option<u16> {
    let selector = LabelSelector::equal_to(&service["spec"]["selector"]);
    let pods = request.store.list(&Resource::new("", "pods"), Some(namespace));
    let annotation = &crate::processes::ANNOTATION;
    let pod = pods.iter().find(|pod| {
        !selector.is_empty()
            && selector.matches(pod)
            && pod["metadata"]["annotations"][*annotation] == "true"
            && is_ready(pod)
    })?;
    let asked = items(service, "/spec/ports").iter().find(|held| held["port"].as_i64() == Some(port))?;
    let number = match &asked["targetPort"] {
        Value::String(name) => items(pod, "/spec/containers")
            .iter()
            .flat_map(|container| items(container, "/ports"))
            .find(|held| held["name"] == **name)?["containerPort"]
            .as_i64(),
        Value::Number(number) => number.as_i64(),
        _ => Some(port),
    };
    number.and_then(|number| u16::try_from(number).ok())
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
