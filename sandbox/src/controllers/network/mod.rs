//! Network: who answers for a Service, and at which address.

pub mod endpoint_slices;
pub mod endpoints;
pub mod load_balancer;

use serde_json::{Value, json};

use super::cache::{Cache, Key};
use super::controller::Change;
use super::fields::{Fields, Object};
use super::{pods, selector};

/// The Services a change may concern: itself, those that select the pod (now or before), and the
/// owner of a derived object.
fn services(change: &Change<'_>, cache: &Cache, derived: &str) -> Vec<Key> {
    if change.kind == derived {
        return vec![Key::new("Service", change.object.namespace(), service_of(change.object))];
    }
    if change.kind != "Pod" {
        return change.itself("Service");
    }
    let states: Vec<&Object> = std::iter::once(change.object).chain(change.previous).collect();
    cache
        .list_in("Service", change.object.namespace())
        .filter(|service| states.iter().any(|pod| selects(service, pod)))
        .map(|service| Key::of(service))
        .collect()
}

fn service_of(derived: &Value) -> &str {
    match derived.label("kubernetes.io/service-name") {
        "" => derived.name(),
        name => name,
    }
}

fn selects(service: &Value, pod: &Value) -> bool {
    let wanted = service.at("/spec/selector");
    wanted.as_object().is_some_and(|wanted| !wanted.is_empty())
        && selector::contains(pod.at("/metadata/labels"), wanted)
}

/// The pods behind a Service that have an address, by name.
fn behind<'a>(service: &Value, cache: &'a Cache) -> Vec<&'a Object> {
    cache
        .list_in("Pod", service.namespace())
        .filter(|pod| {
            selects(service, pod) && !pods::is_finished(pod) && !pod.text("/status/podIP").is_empty()
        })
        .collect()
}

/// The ports a pod answers a Service on; named target ports are looked up in its containers.
fn ports(service: &Value, pod: Option<&Object>) -> Vec<Value> {
    service
        .list("/spec/ports")
        .iter()
        .filter_map(|port| {
            let mut entry = json!({
                "name": port.text("/name"),
                "protocol": if port.text("/protocol").is_empty() { "TCP" } else { port.text("/protocol") },
                "port": target(port, pod)?,
            });
            if !port.text("/appProtocol").is_empty() {
                entry["appProtocol"] = port.at("/appProtocol").clone();
            }
            Some(entry)
        })
        .collect()
}

fn target(port: &Value, pod: Option<&Object>) -> Option<i64> {
    match port.at("/targetPort") {
        Value::Number(number) => number.as_i64(),
        Value::String(name) => {
            let containers =
                pod?.list("/spec/containers").iter().flat_map(|container| container.list("/ports"));
            let mut named = containers.filter(|held| held.text("/name") == name);
            named.next().and_then(|held| held.number("/containerPort"))
        }
        _ => port.number("/port"),
    }
}

fn is_headless(service: &Value) -> bool {
    service.text("/spec/clusterIP") == "None"
}
