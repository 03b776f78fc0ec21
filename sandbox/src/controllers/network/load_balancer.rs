//! Load balancers: an outside address for Services of type LoadBalancer.
//!
//! A Service that names another implementation in `loadBalancerClass` is left alone.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World};
use crate::controllers::fields::Fields;

/// Gives addresses.
pub const CONTROLLER: Controller =
    Controller { name: "service-controller", manager: "cloud-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    change.itself("Service")
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(service) = world.cache.find(key).filter(|service| !service.is_terminating()) else {
        return plan;
    };
    let has_address = !service.list("/status/loadBalancer/ingress").is_empty();
    let wants =
        service.text("/spec/type") == "LoadBalancer" && service.text("/spec/loadBalancerClass").is_empty();
    if !wants {
        if has_address && service.text("/spec/type") != "LoadBalancer" {
            plan.status(service, json!({ "loadBalancer": {} }));
        }
        return plan;
    }
    if has_address {
        return plan;
    }
    if world.stopwatch(service.uid(), "load balancer").is_zero() {
        plan.note(service, "EnsuringLoadBalancer", "Ensuring load balancer");
    }
    match world.left_since(world.settings.provision_delay, service.uid(), "load balancer") {
        Some(left) => plan.soon(left),
        None => {
            let address = address(service, world);
            plan.status(
                service,
                json!({ "loadBalancer": { "ingress": [{ "ip": address, "ipMode": "VIP" }] } }),
            );
            plan.note(service, "EnsuredLoadBalancer", "Ensured load balancer");
        }
    }
    plan
}

/// The address the Service asks for, else the lowest free one.
fn address(service: &Value, world: &World<'_>) -> String {
    let wished = service.text("/spec/loadBalancerIP");
    if !wished.is_empty() {
        return wished.to_owned();
    }
    let taken: BTreeSet<&str> = world
        .cache
        .list("Service")
        .flat_map(|other| other.list("/status/loadBalancer/ingress"))
        .map(|ingress| ingress.text("/ip"))
        .collect();
    let [a, b, c] = world.settings.load_balancer_prefix;
    let free =
        (1..=254).map(|last| format!("{a}.{b}.{c}.{last}")).find(|address| !taken.contains(address.as_str()));
    free.unwrap_or_else(|| format!("{a}.{b}.{c}.254"))
}
