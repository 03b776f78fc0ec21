//! Aggregated APIs: what another server would answer for a group that an APIService hands to it.
//!
//! Of those, `metrics.k8s.io` is played: once metrics-server is installed and its APIService is available,
//! nodes and pods have the simulated numbers of `controllers::metrics`. A group whose server is not there
//! answers 503 as a real one does; one whose server is there and unknown to us answers 501.

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Value, json};

use super::answer::{Listed, list_response, object_response};
use super::fields::Selection;
use super::status::Status;
use super::{Api, Call};
use crate::ambient::format_seconds;
use crate::controllers::fields::Fields;
use crate::controllers::usage::Usage;
use crate::controllers::{metrics, pods, quantity};
use crate::kinds::{Kind, Kinds};
use crate::store::{EventKind, Object, Resource, Store};

const GROUP: &str = "metrics.k8s.io";
const VERSION: &str = "v1beta1";
/// Over how long metrics-server measures, as it reports it with its default resolution.
const WINDOW: &str = "15s";

/// The kinds of `metrics.k8s.io`: plural, kind, whether namespaced.
const KINDS: [(&str, &str, bool); 2] = [("nodes", "NodeMetrics", false), ("pods", "PodMetrics", true)];

/// Serves the played APIs that a store's APIServices offer, now and from now on.
pub(super) fn serve_all(store: &Store) {
    for service in store.list(&services(), None).objects() {
        follow(store.kinds(), &service, true);
    }
    let kinds = store.kinds().clone();
    store.observe(move |event| {
        if event.key.resource == services() {
            follow(&kinds, &event.object(), event.kind != EventKind::Deleted);
        }
    });
}

fn services() -> Resource {
    Resource::new("apiregistration.k8s.io", "apiservices")
}

fn follow(kinds: &Kinds, service: &Value, present: bool) {
    if service.text("/spec/group") != GROUP || service.text("/spec/version") != VERSION {
        return;
    }
    let answers = present && service.at("/spec/service").is_object() && service.is("Available");
    for (plural, kind, namespaced) in KINDS {
        let served = answers.then(|| metrics_kind(plural, kind, namespaced));
        kinds.define(&Resource::new(GROUP, plural), served.into_iter().collect());
    }
}

fn metrics_kind(plural: &str, kind: &str, namespaced: bool) -> Kind {
    let column = |name: &str, path: &str| json!({ "name": name, "type": "string", "jsonPath": path, "description": "" });
    // A pod's columns would be sums, which no path can say; its containers are in the object.
    let columns = match plural {
        "nodes" => vec![column("CPU", ".usage.cpu"), column("Memory", ".usage.memory")],
        _ => Vec::new(),
    };
    let columns: Vec<Value> = columns.into_iter().chain([column("Window", ".window")]).collect();
    Kind {
        group: GROUP.into(),
        version: VERSION.into(),
        kind: kind.into(),
        list_kind: format!("{kind}List"),
        plural: plural.into(),
        singular: String::new(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced,
        verbs: vec!["get", "list"],
        subresources: Vec::new(),
        generation: false,
        selectable_fields: Vec::new(),
        custom: true,
        definition: Arc::new(json!({ "additionalPrinterColumns": columns })),
        custom_type: None,
        storage: Resource::new(GROUP, plural),
    }
}

impl Api {
    /// Why a path below `/apis` is not served though an APIService is there for it.
    pub(super) fn unserved(&self, path: &str) -> Option<Status> {
        let mut segments = path.trim_start_matches('/').split('/');
        let (Some("apis"), Some(group), Some(version)) = (segments.next(), segments.next(), segments.next())
        else {
            return None;
        };
        let service = self.store().get(&services().key("", &format!("{version}.{group}")))?;
        if !service.at("/spec/service").is_object() || group == GROUP && service.is("Available") {
            return None;
        }
        if service.is("Available") {
            return Some(Status::not_implemented(&format!("the aggregated API `{group}/{version}`")));
        }
        Some(Status { plain: true, ..Status::new(503, "ServiceUnavailable", "service unavailable\n") })
    }

    /// Reads or lists what nodes or pods use now.
    pub(super) fn metrics(&self, call: &Call) -> Result<Response, Status> {
        let selection = Selection::of(call)?;
        let of_nodes = !call.path.kind.namespaced;
        let mut items = if of_nodes { self.node_metrics() } else { self.pod_metrics(&call.path.namespace) };
        match call.path.name.as_deref() {
            Some(name) => {
                let found = items.into_iter().find(|item| item.name() == name);
                let found = found.ok_or_else(|| Status::not_found(&call.path.kind, name))?;
                object_response(call, 200, &found)
            }
            None => {
                items.retain(|item| selection.matches(item));
                list_response(call, items.into_iter().map(Listed::Object), &json!({}))
            }
        }
    }

    fn node_metrics(&self) -> Vec<Object> {
        let objects = |plural| self.store().list(&Resource::core(plural), None).objects().collect::<Vec<_>>();
        let (pods, nodes) = (objects("pods"), objects("nodes"));
        // A node that does not answer has no numbers.
        let answering = nodes.iter().filter(|node| node.is("Ready"));
        let measured = answering.map(|node| {
            let own = pods.iter().filter(|pod| pod.text("/spec/nodeName") == node.name());
            let mut item = self.measured("NodeMetrics", node);
            item["usage"] = printed(&metrics::of_node(own));
            Arc::new(item)
        });
        measured.collect()
    }

    fn pod_metrics(&self, namespace: &str) -> Vec<Object> {
        let namespace = Some(namespace).filter(|name| !name.is_empty());
        let pods = self.store().list(&Resource::core("pods"), namespace);
        let running =
            pods.objects().filter(|pod| pod.text("/status/phase") == "Running" && pods::is_active(pod));
        let measured = running.map(|pod| {
            let containers = metrics::of_containers(&pod);
            let containers =
                containers.iter().map(|(name, usage)| json!({ "name": name, "usage": printed(usage) }));
            let mut item = self.measured("PodMetrics", &pod);
            item["containers"] = containers.collect();
            Arc::new(item)
        });
        measured.collect()
    }

    fn measured(&self, kind: &str, object: &Value) -> Value {
        let now = format_seconds(self.store().ambient().now());
        let mut metadata = json!({ "name": object.name(), "creationTimestamp": now });
        for field in ["namespace", "labels"] {
            if let Some(value) = object["metadata"].get(field) {
                metadata[field] = value.clone();
            }
        }
        json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind, "metadata": metadata,
            "timestamp": now, "window": WINDOW,
        })
    }
}

fn printed(usage: &Usage) -> Value {
    json!({
        "cpu": quantity::print(usage.get("cpu"), false),
        "memory": format!("{}Ki", usage.get("memory") / 1000 / 1024),
    })
}
