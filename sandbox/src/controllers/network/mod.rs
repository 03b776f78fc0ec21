//! Network: who answers for a Service, and at which address.

pub mod endpoint_slices;
pub mod endpoints;
pub mod load_balancer;

use serde_json::{Value, json};

use super::cache::{Cache, Key};
use super::controller::{Change, World};
use super::fields::{Fields, Object, remove_key, set_key};
use super::{pods, selector};

/// Since when endpoints are as they are.
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// The Services a change may concern: itself, those that select the pod (now or before), and the
/// owner of a derived object.
fn services(change: &Change<'_>, cache: &Cache, derived: &str) -> Vec<Key> {
    if change.kind == derived {
        return vec![Key::new("Service", change.object.namespace(), service_of(change.object))];
    }
    if change.kind != "Pod" {
        return change.itself("Service");
    }
    let is_news =
        change.gone || change.previous.is_none_or(|held| endpoint_of(held) != endpoint_of(change.object));
    if !is_news {
        return Vec::new();
    }
    let states: Vec<&Object> = std::iter::once(change.object).chain(change.previous).collect();
    cache
        .list_in("Service", change.object.namespace())
        .filter(|service| states.iter().any(|pod| selects(service, pod)))
        .map(|service| Key::of(service))
        .collect()
}

/// All of a pod that its endpoints show: when none of it changes, nobody has to look. Without an address there are none.
fn endpoint_of(pod: &Value) -> [&Value; 7] {
    if pod.text("/status/podIP").is_empty() {
        return [&Value::Null; 7];
    }
    let ready = pod.condition("Ready").map_or(&Value::Null, |held| held.at("/status"));
    let fields = [
        "/metadata/labels",
        "/metadata/deletionTimestamp",
        "/spec/nodeName",
        "/status/phase",
        "/status/podIP",
        "/spec/hostname",
    ];
    let [labels, deletion, node, phase, address, host] = fields.map(|field| pod.at(field));
    // Of the phase only the end counts.
    let phase = if pods::is_finished(pod) { phase } else { &Value::Null };
    let ready = if ready == "True" { ready } else { &Value::Null };
    [labels, deletion, node, phase, address, host, ready]
}

/// Since when endpoints are as they are now, as the real controllers tell it in an annotation: the earliest moment
/// among those at which the Service was made or one of its pods turned ready or unready since `controller` last
/// wrote; none when nothing of that has happened. To be asked when there is something to write.
fn trigger(service: &Value, controller: &str, world: &World<'_>) -> Option<String> {
    let stage = format!("{controller} {}", service.uid());
    let is_news = |object: &Value, moment: &str| {
        moment.parse().is_ok_and(|moment| world.marks.advances(object.uid(), &stage, moment))
    };
    let of_pods = world.cache.list_in("Pod", service.namespace()).filter(|pod| selects(service, pod));
    let ready =
        |pod: &Object| pod.condition("Ready").map_or("", |held| held.text("/lastTransitionTime")).to_owned();
    let moments = of_pods.map(|pod| (&**pod, ready(pod)));
    let made = (service, service.text("/metadata/creationTimestamp").to_owned());
    let news = std::iter::once(made).chain(moments).filter(|(object, moment)| is_news(object, moment));
    news.map(|(_, moment)| moment).min()
}

/// Writes that moment, or takes it away.
fn stamp(endpoints: &mut Value, trigger: Option<&str>) {
    match trigger {
        Some(moment) => set_key(endpoints, "/metadata/annotations", TRIGGER, moment),
        None => remove_key(endpoints, "/metadata/annotations", TRIGGER),
    }
    if endpoints.at("/metadata/annotations").as_object().is_some_and(|annotations| annotations.is_empty()) {
        remove_key(endpoints, "/metadata", "annotations");
    }
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
