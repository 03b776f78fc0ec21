//! Binding a pod to a node.

use axum::response::Response;
use serde_json::{Value, json};

use crate::admission::Operation;
use crate::api::admit::admit_sent;
use crate::api::answer::value_response;
use crate::api::query::WriteOptions;
use crate::api::status::{Cause, Status};
use crate::api::{Api, Call};
use crate::store::{Resource, Transaction};

/// Labels that a pod gets from the node it is bound to.
pub(in crate::api) const TOPOLOGY: [&str; 2] =
    ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];

impl Api {
    /// Puts a pod on a node.
    pub(in crate::api) fn bind(&self, call: &Call, name: &str, binding: Value) -> Result<Response, Status> {
        let mut binding = binding;
        let options = WriteOptions::read(&call.query, "CreateOptions")?;
        self.commit(&options, |t| {
            admit_sent(t, call, Operation::Create, &mut binding, options.dry_run)?;
            let node = binding["target"]["name"].as_str().unwrap_or_default();
            if node.is_empty() {
                let cause = Cause::required("target.name", "");
                return Err(Status::invalid_named("", "Binding", name, &[cause]));
            }
            bind_in(t, &call.path.namespace, name, node)
        })?;
        let done =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        value_response(call, 201, &done)
    }
}

/// Binds a pod in a transaction; a pod is bound once.
pub(in crate::api) fn bind_in(
    t: &mut Transaction<'_>,
    namespace: &str,
    name: &str,
    node: &str,
) -> Result<(), Status> {
    let pods = Resource::core("pods");
    let kind = t.kinds().of(&pods).ok_or_else(Status::no_such_path)?;
    let key = pods.key(namespace, name);
    let pod = t.get(&key).ok_or_else(|| Status::not_found(&kind, name))?;
    let refuse = |problem: String| {
        let message = format!("Operation cannot be fulfilled on pods/binding {name:?}: {problem}");
        let mut status = Status::new(409, "Conflict", message);
        status.details = Some(json!({"name": name, "kind": "pods/binding"}));
        status
    };
    if crate::store::lifecycle::is_terminating(&pod) {
        return Err(refuse(format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    if let Some(present) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
        return Err(refuse(format!("pod {name} is already assigned to node {present:?}")));
    }
    let mut bound = Value::clone(&pod);
    bound["spec"]["nodeName"] = node.into();
    let labels = t.get(&Resource::core("nodes").key("", node)).map(|node| node["metadata"]["labels"].clone());
    for label in TOPOLOGY {
        if let Some(value) = labels.as_ref().and_then(|labels| labels[label].as_str()) {
            bound["metadata"]["labels"][label] = value.into();
        }
    }
    let mut conditions = bound["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|condition| condition["type"] != "PodScheduled");
    conditions.push(json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": t.ambient().timestamp(),
        "observedGeneration": bound["metadata"]["generation"],
    }));
    bound["status"]["conditions"] = conditions.into();
    // It is where it was meant to go.
    if let Some(status) = bound["status"].as_object_mut() {
        status.remove("nominatedNodeName");
    }
    // Being bound is no new wish: the generation stays.
    t.update_quietly(&key, bound).map(|_| ()).map_err(|error| Status::from_store(&error, &kind))
}
