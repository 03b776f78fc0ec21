//! Which nodes can take a pod, and the words a real scheduler has for those that cannot.

use serde_json::Value;

use super::super::controller::World;
use super::super::fields::{Fields, Object};
use super::super::selector;
use super::{Search, volumes};

const TAINTS: &str = "node(s) had untolerated taint(s)";
const UNSCHEDULABLE: &str = "node(s) were unschedulable";
const AFFINITY: &str = "node(s) didn't match Pod's node affinity/selector";
const PORTS: &str = "node(s) didn't have free ports for the requested pod ports";

/// Why a node cannot take a pod; none when it can.
pub(super) fn refuse(search: &Search<'_>, node: &Object) -> Option<String> {
    let Search { pod, world, .. } = search;
    if node.flag("/spec/unschedulable") && !tolerates_key(pod, "node.kubernetes.io/unschedulable") {
        return Some(UNSCHEDULABLE.to_owned());
    }
    let taints = node.list("/spec/taints").iter();
    if taints
        .filter(|taint| taint.text("/effect") != "PreferNoSchedule")
        .any(|taint| !is_tolerated(pod, taint))
    {
        return Some(TAINTS.to_owned());
    }
    if !wants(pod, node) {
        return Some(AFFINITY.to_owned());
    }
    ports_taken(pod, node, world)
        .or_else(|| too_small(search, node))
        .or_else(|| volumes::refuse(pod, node, world.cache))
        .or_else(|| search.others.refuse(pod, node))
}

fn is_tolerated(pod: &Value, taint: &Value) -> bool {
    pod.list("/spec/tolerations").iter().any(|held| tolerates(held, taint))
}

fn tolerates_key(pod: &Value, key: &str) -> bool {
    let taint = serde_json::json!({ "key": key, "effect": "NoSchedule" });
    is_tolerated(pod, &taint)
}

/// Whether a toleration covers a taint.
pub fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let (key, effect) = (toleration.text("/key"), toleration.text("/effect"));
    let covers = |held: &str, wanted: &str| held.is_empty() || held == wanted;
    covers(effect, taint.text("/effect"))
        && covers(key, taint.text("/key"))
        && match toleration.text("/operator") {
            "Exists" => true,
            _ => !key.is_empty() && toleration.text("/value") == taint.text("/value"),
        }
}

/// Whether `nodeSelector` and the required node affinity hold.
pub fn wants(pod: &Value, node: &Value) -> bool {
    let labels = node.at("/metadata/labels");
    let required = pod.at("/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution");
    selector::contains(labels, pod.at("/spec/nodeSelector"))
        && (required.is_null() || any_term(required, node))
}

/// Whether one of a node selector's terms holds; a term holds when all its requirements do.
pub(super) fn any_term(node_selector: &Value, node: &Value) -> bool {
    node_selector.list("/nodeSelectorTerms").iter().any(|term| term_holds(term, node))
}

pub(super) fn term_holds(term: &Value, node: &Value) -> bool {
    let expressions = term.list("/matchExpressions");
    let fields = term.list("/matchFields");
    let names = serde_json::json!({ "metadata.name": node.name() });
    (!expressions.is_empty() || !fields.is_empty())
        && expressions.iter().all(|wanted| selector::expression(wanted, node.at("/metadata/labels")))
        && fields.iter().all(|wanted| selector::expression(wanted, &names))
}

fn too_small(search: &Search<'_>, node: &Object) -> Option<String> {
    let (used, offered) = (search.world.cache.usage(node.name()), search.world.cache.offered(node.name()));
    let mut wanted = search.wanted.0.iter();
    let short = wanted
        .find(|(resource, amount)| **amount > 0 && used.get(resource) + **amount > offered.get(resource))?;
    Some(match short.0.as_str() {
        "pods" => "Too many pods".to_owned(),
        resource => format!("Insufficient {resource}"),
    })
}

fn ports_taken(pod: &Object, node: &Object, world: &World<'_>) -> Option<String> {
    let wanted: Vec<(i64, &str)> = host_ports(pod).collect();
    if wanted.is_empty() {
        return None;
    }
    let mut others = world.cache.pods_on(node.name()).filter(|other| !super::pods::is_finished(other));
    others.any(|other| host_ports(other).any(|port| wanted.contains(&port))).then(|| PORTS.to_owned())
}

fn host_ports(pod: &Value) -> impl Iterator<Item = (i64, &str)> {
    pod.list("/spec/containers")
        .iter()
        .flat_map(|container| container.list("/ports"))
        .map(|port| (port.count("/hostPort"), port.text("/protocol")))
        .filter(|(port, _)| *port > 0)
}
