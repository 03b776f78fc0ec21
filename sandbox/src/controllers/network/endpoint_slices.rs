//! EndpointSlices: the addresses behind each Service with a selector.
//!
//! One slice a Service, up to the real limit of 100 endpoints a slice; more are cut into further slices.

use std::cell::LazyCell;

use serde_json::{Value, json};

use super::{behind, is_headless, ports, services, stamp, trigger};
use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object, controlled_by, set, set_key};
use crate::controllers::pods;

const KIND: &str = "EndpointSlice.discovery.k8s.io";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const OURS: &str = "endpointslice-controller.k8s.io";
const MOST: usize = 100;

/// Keeps EndpointSlices.
pub const CONTROLLER: Controller =
    Controller { name: "endpoint-slice-controller", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    services(change, cache, KIND)
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(service) = world.cache.find(key).filter(|service| !service.is_terminating()) else {
        return plan;
    };
    if service.at("/spec/selector").is_null() || service.text("/spec/type") == "ExternalName" {
        return plan;
    }
    let held: Vec<&Object> = world
        .cache
        .controlled(KIND, service.uid())
        .into_iter()
        .filter(|slice| slice.label(MANAGED_BY) == OURS)
        .collect();
    let answering = behind(service, world.cache);
    let endpoints: Vec<Value> = answering.iter().map(|pod| endpoint(service, pod, world.cache)).collect();
    let ports = ports(service, answering.first().copied());
    let trigger = LazyCell::new(|| trigger(service, CONTROLLER.name, world));
    let mut parts: Vec<&[Value]> = endpoints.chunks(MOST).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    for (index, part) in parts.iter().enumerate() {
        match held.get(index) {
            Some(slice) => {
                let mut wanted = Value::clone(slice);
                write(service, &mut wanted, part, &ports);
                if wanted != ***slice {
                    stamp(&mut wanted, trigger.as_deref());
                    plan.push(Write::Replace(wanted));
                }
            }
            None => {
                let mut first = new(service, part, &ports, world);
                stamp(&mut first, trigger.as_deref());
                plan.push(Write::Create(first));
            }
        }
    }
    for slice in held.iter().skip(parts.len()) {
        plan.push(Write::delete(slice));
    }
    plan
}

fn new(service: &Value, endpoints: &[Value], ports: &[Value], world: &World<'_>) -> Value {
    let prefix = format!("{}-", service.name());
    let purpose = format!("endpointslices/{}/{prefix}", service.namespace());
    let name = format!("{}{}", pods::cut(&prefix, 58), world.ambient.suffix(&purpose, 5));
    let mut slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "generateName": prefix,
            "namespace": service.namespace(),
            "ownerReferences": controlled_by(service),
        },
        "addressType": "IPv4",
    });
    write(service, &mut slice, endpoints, ports);
    slice
}

fn write(service: &Value, slice: &mut Value, endpoints: &[Value], ports: &[Value]) {
    for (key, value) in service.entries("/metadata/labels") {
        set_key(slice, "/metadata/labels", key, value.clone());
    }
    set_key(slice, "/metadata/labels", MANAGED_BY, OURS);
    set_key(slice, "/metadata/labels", "kubernetes.io/service-name", service.name());
    if is_headless(service) {
        set_key(slice, "/metadata/labels", "service.kubernetes.io/headless", "");
    }
    // Without endpoints there are no ports either, and both are null.
    let (endpoints, ports) = match endpoints.is_empty() {
        true => (Value::Null, Value::Null),
        false => (endpoints.into(), ports.into()),
    };
    set(slice, "/endpoints", endpoints);
    set(slice, "/ports", ports);
}

fn endpoint(service: &Value, pod: &Object, cache: &Cache) -> Value {
    let serving = pods::is_ready(pod);
    let ready = service.flag("/spec/publishNotReadyAddresses") || (serving && !pod.is_terminating());
    let mut endpoint = json!({
        "addresses": [pod.text("/status/podIP")],
        "conditions": { "ready": ready, "serving": serving, "terminating": pod.is_terminating() },
        "targetRef": { "kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid() },
        "nodeName": pod.text("/spec/nodeName"),
    });
    let hostname = pod.text("/spec/hostname");
    if !hostname.is_empty() && pod.text("/spec/subdomain") == service.name() {
        endpoint["hostname"] = hostname.into();
    }
    let node = cache.get("Node", "", pod.text("/spec/nodeName"));
    let zone = node.map_or("", |node| node.label("topology.kubernetes.io/zone"));
    if !zone.is_empty() {
        endpoint["zone"] = zone.into();
    }
    endpoint
}
