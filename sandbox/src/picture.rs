//! A cluster at a glance: nodes by zone, workloads, what is broken on purpose, and which webhooks are taken
//! to say yes.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::admission::Counts;
use crate::controllers::fields::Fields;

/// The objects a picture is made of, all namespaces.
#[derive(Debug, Default)]
pub struct World {
    /// Nodes.
    pub nodes: Vec<Value>,
    /// Pods.
    pub pods: Vec<Value>,
    /// Deployments, StatefulSets and DaemonSets.
    pub workloads: Vec<Value>,
    /// Faults.
    pub faults: Vec<Value>,
    /// What webhooks were asked, or taken to say.
    pub webhooks: Counts,
}

/// A cluster at a glance.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Picture {
    /// By region and zone, the control plane's among them.
    pub zones: Vec<Zone>,
    /// By namespace.
    pub namespaces: Vec<Namespace>,
    /// What is broken on purpose: name, and what in words.
    pub faults: Vec<(String, String)>,
    /// Webhooks that were taken to say yes, and to how many requests: nothing runs behind their Services.
    pub webhooks_assumed_allowed: BTreeMap<String, u64>,
    /// Webhooks that were called, and how often.
    pub webhooks_called: BTreeMap<String, u64>,
}

/// The nodes of a zone.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Zone {
    /// The region.
    pub region: String,
    /// The zone.
    pub zone: String,
    /// Each node with its state in a word.
    pub nodes: Vec<(String, String)>,
    /// How many pods run there.
    pub pods: usize,
}

/// What a namespace holds.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Workloads, and those of them that are ready.
    pub workloads: usize,
    /// Workloads with all they want.
    pub ready: usize,
    /// Those that are not, with how many they have of how many.
    pub waiting: Vec<String>,
    /// Pods that have not ended.
    pub pods: usize,
}

/// Looks at a cluster.
pub fn picture(world: &World) -> Picture {
    Picture {
        zones: zones(world),
        namespaces: namespaces(world),
        faults: world.faults.iter().map(|fault| (fault.name().to_owned(), in_words(fault))).collect(),
        webhooks_assumed_allowed: world.webhooks.assumed.clone(),
        webhooks_called: world.webhooks.called.clone(),
    }
}

fn zones(world: &World) -> Vec<Zone> {
    let mut zones: BTreeMap<(String, String), Zone> = BTreeMap::new();
    for node in &world.nodes {
        let label = |name: &str| node.label(&format!("topology.kubernetes.io/{name}")).to_owned();
        let (region, zone) = (label("region"), label("zone"));
        let key = (region.clone(), zone.clone());
        let zone = zones.entry(key).or_insert_with(|| Zone { region, zone, nodes: Vec::new(), pods: 0 });
        zone.nodes.push((node.name().to_owned(), state(node)));
        zone.pods += living(world).filter(|pod| pod.text("/spec/nodeName") == node.name()).count();
    }
    zones.into_values().collect()
}

fn state(node: &Value) -> String {
    let fault = node.annotation(crate::controllers::nodes::FAULT);
    let ready = if node.is("Ready") { "Ready" } else { "NotReady" };
    let cordoned = if node.flag("/spec/unschedulable") { ",cordoned" } else { "" };
    let suffers = if fault.is_empty() { String::new() } else { format!(",{fault}") };
    format!("{ready}{cordoned}{suffers}")
}

fn living(world: &World) -> impl Iterator<Item = &Value> {
    world.pods.iter().filter(|pod| !matches!(pod.text("/status/phase"), "Succeeded" | "Failed"))
}

fn namespaces(world: &World) -> Vec<Namespace> {
    let mut spaces: BTreeMap<&str, Namespace> = BTreeMap::new();
    let new = |name: &str| Namespace {
        name: name.to_owned(),
        workloads: 0,
        ready: 0,
        waiting: Vec::new(),
        pods: 0,
    };
    for pod in living(world) {
        spaces.entry(pod.namespace()).or_insert_with(|| new(pod.namespace())).pods += 1;
    }
    for workload in &world.workloads {
        let space = spaces.entry(workload.namespace()).or_insert_with(|| new(workload.namespace()));
        let (has, wants) = sizes(workload);
        space.workloads += 1;
        match has >= wants {
            true => space.ready += 1,
            false => space.waiting.push(format!("{} {has}/{wants}", workload.name())),
        }
    }
    spaces.into_values().collect()
}

fn sizes(workload: &Value) -> (i64, i64) {
    match workload.number("/status/desiredNumberScheduled") {
        Some(wants) => (workload.count("/status/numberReady"), wants),
        None => (workload.count("/status/readyReplicas"), workload.number("/spec/replicas").unwrap_or(1)),
    }
}

/// `node-kill: zone seoul-a, lasts 10m`.
fn in_words(fault: &Value) -> String {
    let words: Vec<String> = fault
        .entries("/spec")
        .filter(|(name, _)| *name != "kind")
        .map(|(name, value)| match value {
            Value::Array(items) => {
                let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                format!("{name} {}", items.join("+"))
            }
            Value::String(text) => format!("{name} {text}"),
            other => format!("{name} {other}"),
        })
        .collect();
    match words.is_empty() {
        true => fault.text("/spec/kind").to_owned(),
        false => format!("{}: {}", fault.text("/spec/kind"), words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_picture_names_what_is_not_as_it_should_be() {
        let node = |name: &str, zone: &str, annotations: Value| {
            json!({"metadata": {"name": name, "annotations": annotations, "labels": {
                "topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": zone}},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
        };
        let world = World {
            nodes: vec![
                node("a", "z1", json!({})),
                node("b", "z2", json!({"sandbox.aegis.dev/fault": "node-freeze"})),
            ],
            pods: vec![json!({"metadata": {"namespace": "shop", "name": "p"}, "spec": {"nodeName": "a"}})],
            workloads: vec![
                json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": {"replicas": 3}, "status": {"readyReplicas": 1}}),
            ],
            faults: vec![
                json!({"metadata": {"name": "f"}, "spec": {"kind": "api-error", "error": "429", "verbs": ["get", "list"]}}),
            ],
            webhooks: Counts { assumed: [("a/b/c".to_owned(), 2)].into(), ..Counts::default() },
        };
        let picture = picture(&world);
        assert_eq!(picture.zones[1].nodes, [("b".to_owned(), "Ready,node-freeze".to_owned())]);
        assert_eq!((picture.zones[0].pods, picture.zones[1].pods), (1, 0));
        assert_eq!(picture.namespaces[0].waiting, ["web 1/3"]);
        assert_eq!(picture.faults[0].1, "api-error: error 429, verbs get+list");
        assert_eq!(picture.webhooks_assumed_allowed["a/b/c"], 2);
    }
}
