//! What is below a pod besides its status: binding it to a node, its logs, and ways into it.

use axum::response::Response;
use serde_json::{Value, json};

use crate::api::answer::{text_response, value_response};
use crate::api::query::WriteOptions;
use crate::api::status::{Cause, Status};
use crate::api::{Api, Call};
use crate::store::{Resource, Transaction};

/// Labels that a pod gets from the node it is bound to.
const TOPOLOGY: [&str; 2] = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];

impl Api {
    /// Puts a pod on a node.
    pub(in crate::api) fn bind(&self, call: &Call, name: &str, binding: &Value) -> Result<Response, Status> {
        let options = WriteOptions::read(&call.query, "CreateOptions")?;
        let node = binding["target"]["name"].as_str().unwrap_or_default();
        if node.is_empty() {
            let cause = Cause::required("target.name", "");
            return Err(Status::invalid_named("", "Binding", name, &[cause]));
        }
        self.commit(&options, |t| bind_in(t, &call.path.namespace, name, node))?;
        let done =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        value_response(call, 201, &done)
    }

    pub(super) fn log(&self, call: &Call) -> Result<Response, Status> {
        let pod = self.find(call)?;
        let container = container(call, &pod)?;
        let status = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
        let state = status.into_iter().find(|status| status["name"] == container.as_str());
        let has_run =
            state.is_some_and(|state| !state["containerID"].as_str().unwrap_or_default().is_empty());
        if !has_run {
            let problem = format!(
                "container {container:?} in pod {:?} is waiting to start: ContainerCreating",
                call.name()
            );
            return Err(Status::bad_request(problem));
        }
        // Played containers run no program, and so have written nothing.
        Ok(text_response(200, "text/plain", String::new()))
    }

    /// Ways into a container need a program behind it.
    pub(super) fn connect(&self, call: &Call, way: &str) -> Result<Response, Status> {
        let pod = self.find(call)?;
        if way != "portforward" {
            container(call, &pod)?;
        }
        match call.headers.contains_key(http::header::UPGRADE) {
            false => Err(Status::bad_request("Upgrade request required")),
            true => Err(Status::not_implemented(&format!("`{way}`: its containers run no programs"))),
        }
    }
}

/// The container a call names, or the only one there is.
fn container(call: &Call, pod: &Value) -> Result<String, Status> {
    let names: Vec<&str> = ["containers", "initContainers", "ephemeralContainers"]
        .iter()
        .flat_map(|field| pod["spec"][*field].as_array().into_iter().flatten())
        .filter_map(|container| container["name"].as_str())
        .collect();
    match call.query.get("container") {
        Some(name) if names.contains(&name) => Ok(name.to_owned()),
        Some(name) => {
            Err(Status::bad_request(format!("container {name} is not valid for pod {}", call.name())))
        }
        None => {
            let regular = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
            match (regular, names.first()) {
                (0 | 1, Some(name)) => Ok((*name).to_owned()),
                _ => Err(Status::bad_request(format!(
                    "a container name must be specified for pod {}, choose one of: [{}]",
                    call.name(),
                    names.join(" ")
                ))),
            }
        }
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
    // Being bound is no new wish: the generation stays.
    t.update_quietly(&key, bound).map(|_| ()).map_err(|error| Status::from_store(&error, &kind))
}
