//! Endpoints: the older form of what EndpointSlices say, which some clients still read.

use std::cell::LazyCell;

use serde_json::{Value, json};

use super::{behind, is_headless, ports, services, stamp, trigger};
use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object, remove_key, set, set_key};
use crate::controllers::pods;

const KIND: &str = "Endpoints";

/// Keeps Endpoints.
pub const CONTROLLER: Controller =
    Controller { name: "endpoint-controller", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    services(change, cache, KIND)
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let held = world.cache.get(KIND, &key.namespace, &key.name);
    let Some(service) = world.cache.find(key).filter(|service| !service.is_terminating()) else {
        // Endpoints without an owner go with their Service by name.
        if let Some(held) = held.filter(|held| held.label(MANAGED_BY) == OURS) {
            plan.push(Write::delete(held));
        }
        return plan;
    };
    if service.at("/spec/selector").is_null() || service.text("/spec/type") == "ExternalName" {
        return plan;
    }
    let trigger = LazyCell::new(|| trigger(service, CONTROLLER.name, world));
    match held {
        None => {
            let mut first = filled(service, new(service), world);
            stamp(&mut first, trigger.as_deref());
            plan.push(Write::Ensure(first));
        }
        Some(held) => {
            let mut wanted = filled(service, Value::clone(held), world);
            if wanted != **held {
                stamp(&mut wanted, trigger.as_deref());
                plan.push(Write::Replace(wanted));
            }
        }
    }
    plan
}

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const OURS: &str = "endpoint-controller";

fn new(service: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": KIND,
        "metadata": { "name": service.name(), "namespace": service.namespace() },
    })
}

fn filled(service: &Value, mut endpoints: Value, world: &World<'_>) -> Value {
    for (key, value) in service.entries("/metadata/labels") {
        set_key(&mut endpoints, "/metadata/labels", key, value.clone());
    }
    set_key(&mut endpoints, "/metadata/labels", MANAGED_BY, OURS);
    if is_headless(service) {
        set_key(&mut endpoints, "/metadata/labels", "service.kubernetes.io/headless", "");
    }
    let (ready, unready): (Vec<&Object>, Vec<&Object>) = behind(service, world.cache)
        .into_iter()
        .filter(|pod| !pod.is_terminating())
        .partition(|pod| pods::is_ready(pod) || service.flag("/spec/publishNotReadyAddresses"));
    let ports = ports(service, ready.first().or(unready.first()).copied());
    if ready.is_empty() && unready.is_empty() {
        remove_key(&mut endpoints, "", "subsets");
        return endpoints;
    }
    let mut subset = json!({ "ports": ports });
    for (field, pods) in [("addresses", ready), ("notReadyAddresses", unready)] {
        if !pods.is_empty() {
            subset[field] = pods.iter().map(|pod| address(pod)).collect();
        }
    }
    set(&mut endpoints, "/subsets", json!([subset]));
    endpoints
}

fn address(pod: &Value) -> Value {
    let mut address = json!({
        "ip": pod.text("/status/podIP"),
        "nodeName": pod.text("/spec/nodeName"),
        "targetRef": { "kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid() },
    });
    if !pod.text("/spec/hostname").is_empty() {
        address["hostname"] = pod.at("/spec/hostname").clone();
    }
    address
}
