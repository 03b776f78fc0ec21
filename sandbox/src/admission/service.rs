//! What stands behind the Service of a webhook: a program of this machine, pods that only seem to run, or nothing yet.

use super::{Request, items};
use crate::store::selector::LabelSelector;
use crate::store::{Object, Resource};
use serde_json::Value;

/// What a call to a Service would meet.
pub(super) enum Behind {
    /// A program on this port of this machine.
    Program(u16),
    /// Pods that run nothing, or none that could ever run: nobody to ask.
    Nobody,
    /// What should answer is not there yet, in the words of the real server.
    NotYet(String),
}

/// Looks behind a port of a Service.
pub(super) fn behind(request: &Request<'_>, namespace: &str, name: &str, port: i64) -> Behind {
    let Some(service) = request.find("", "services", namespace, name) else {
        return Behind::NotYet(format!("service {name:?} not found"));
    };
    if let Some(port) = program_behind(request, &service, namespace, port) {
        return Behind::Program(port);
    }
    match can_answer(request, &service, namespace) {
        true => Behind::Nobody,
        false => Behind::NotYet(format!("no endpoints available for service {name:?}")),
    }
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
