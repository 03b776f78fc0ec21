//! The nodes a new cluster starts with.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::fields::{set, set_key};
use super::super::names::fnv1a;

/// How many nodes of what size where.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Topology {
    /// Nodes with the control-plane role and its taint.
    pub control_planes: u16,
    /// Nodes for workloads.
    pub workers: u16,
    /// The region all nodes are in.
    pub region: String,
    /// The zones, filled in turn.
    pub zones: Vec<String>,
    /// What each node offers.
    pub cpu: String,
    /// What each node offers.
    pub memory: String,
    /// How many pods a node takes.
    pub pods: u16,
    /// The kubelet's version.
    pub version: String,
    /// More nodes: of another size or version, in other zones or regions, with labels and taints.
    pub pools: Vec<Pool>,
}

/// A group of nodes that are alike; what it does not say is as the topology has it.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pool {
    /// Its name, and the beginning of its nodes' names.
    pub name: String,
    /// How many nodes.
    pub count: u16,
    /// The region they are in.
    pub region: Option<String>,
    /// The zones they are put into in turn.
    pub zones: Option<Vec<String>>,
    /// What each offers.
    pub cpu: Option<String>,
    /// What each offers.
    pub memory: Option<String>,
    /// How many pods each takes.
    pub pods: Option<u16>,
    /// The kubelets' version.
    pub version: Option<String>,
    /// Labels of each.
    pub labels: BTreeMap<String, String>,
    /// Taints of each, as `key=value:Effect`.
    pub taints: Vec<String>,
}

impl Pool {
    /// The topology this pool's nodes follow.
    fn within(&self, base: &Topology) -> Topology {
        let or = |own: &Option<String>, base: &String| own.clone().unwrap_or_else(|| base.clone());
        Topology {
            region: or(&self.region, &base.region),
            zones: self.zones.clone().unwrap_or_else(|| base.zones.clone()),
            cpu: or(&self.cpu, &base.cpu),
            memory: or(&self.memory, &base.memory),
            pods: self.pods.unwrap_or(base.pods),
            version: or(&self.version, &base.version),
            ..base.clone()
        }
    }

    /// The node of this number; `index` counts all nodes of the cluster.
    fn node(&self, base: &Topology, number: u16, index: usize) -> Value {
        let own = self.within(base);
        let name = format!("{}-{number}", self.name);
        // The zones count from the pool's first node; addresses are apart from those of other nodes.
        let mut node = own.node(usize::from(number - 1), &name, false);
        let range = range(index);
        set(&mut node, "/spec/podCIDR", range.clone().into());
        set(&mut node, "/spec/podCIDRs", json!([range]));
        let address = format!("10.11.{}.{}", index / 200, 10 + index % 200);
        node["status"]["addresses"][0]["address"] = address.into();
        set_key(&mut node, "/metadata/labels", "sandbox.aegis.dev/pool", self.name.as_str());
        for (label, value) in &self.labels {
            set_key(&mut node, "/metadata/labels", label, value.as_str());
        }
        if !self.taints.is_empty() {
            set(&mut node, "/spec/taints", self.taints.iter().map(|text| taint(text)).collect());
        }
        node
    }
}

/// Reads `key=value:Effect` or `key:Effect`.
fn taint(text: &str) -> Value {
    let (key, effect) = text.rsplit_once(':').unwrap_or((text, "NoSchedule"));
    match key.split_once('=') {
        Some((key, value)) => json!({ "key": key, "value": value, "effect": effect }),
        None => json!({ "key": key, "effect": effect }),
    }
}

/// The pod range of the node of this number.
fn range(index: usize) -> String {
    format!("10.{}.{}.0/24", 244 + index / 256, index % 256)
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            control_planes: 3,
            workers: 6,
            region: "seoul".into(),
            zones: ["seoul-a", "seoul-b", "seoul-c"].map(String::from).to_vec(),
            cpu: "16".into(),
            memory: "64Gi".into(),
            pods: 110,
            version: "v1.36.2".into(),
            pools: Vec::new(),
        }
    }
}

impl Topology {
    /// The nodes: `cp-1` ..., then `worker-1` ..., then those of the pools.
    pub fn nodes(&self) -> Vec<Value> {
        let control_planes = (1..=self.control_planes).map(|number| (format!("cp-{number}"), true));
        let workers = (1..=self.workers).map(|number| (format!("worker-{number}"), false));
        let mut nodes: Vec<Value> = control_planes
            .chain(workers)
            .enumerate()
            .map(|(index, (name, is_control_plane))| self.node(index, &name, is_control_plane))
            .collect();
        for pool in &self.pools {
            for number in 1..=pool.count {
                nodes.push(pool.node(self, number, nodes.len()));
            }
        }
        nodes
    }

    fn node(&self, index: usize, name: &str, is_control_plane: bool) -> Value {
        let zone = self.zones.get(index % self.zones.len().max(1)).map_or("", String::as_str);
        let range = range(index);
        let mut node = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": self.labels(name, zone, is_control_plane),
                "annotations": {
                    "node.alpha.kubernetes.io/ttl": "0",
                    "volumes.kubernetes.io/controller-managed-attach-detach": "true",
                },
            },
            "spec": {
                "podCIDR": range,
                "podCIDRs": [range],
                "providerID": format!("aegis://{zone}/{name}"),
            },
            "status": self.status(index, name),
        });
        if is_control_plane {
            set_key(&mut node, "/metadata/labels", "node-role.kubernetes.io/control-plane", "");
            let taint = json!([{ "key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule" }]);
            set(&mut node, "/spec/taints", taint);
        }
        node
    }

    fn labels(&self, name: &str, zone: &str, is_control_plane: bool) -> Value {
        json!({
            "beta.kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
            "kubernetes.io/hostname": name,
            "node.kubernetes.io/instance-type": if is_control_plane { "aegis.control-plane" } else { "aegis.worker" },
            "topology.kubernetes.io/region": self.region,
            "topology.kubernetes.io/zone": zone,
        })
    }

    fn status(&self, index: usize, name: &str) -> Value {
        let capacity = json!({
            "cpu": self.cpu,
            "memory": self.memory,
            "pods": self.pods.to_string(),
            "ephemeral-storage": "200Gi",
            "hugepages-1Gi": "0",
            "hugepages-2Mi": "0",
        });
        let zones = self.zones.len().max(1);
        let address = format!("10.10.{}.{}", index % zones, 10 + index / zones);
        let id = |what: &str| {
            format!("{:08x}{:08x}{:08x}{:08x}", fnv1a(what.as_bytes()), fnv1a(name.as_bytes()), index, zones)
        };
        json!({
            "capacity": capacity,
            "allocatable": capacity,
            "addresses": [
                { "type": "InternalIP", "address": address },
                { "type": "Hostname", "address": name },
            ],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
            "nodeInfo": {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "kubeletVersion": self.version,
                "kubeProxyVersion": self.version,
                "containerRuntimeVersion": "containerd://2.1.4",
                "osImage": "Ubuntu 24.04.3 LTS",
                "kernelVersion": "6.8.0-85-generic",
                "machineID": id("machine"),
                "systemUUID": id("system"),
                "bootID": id("boot"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::fields::Fields;

    #[test]
    fn pools_differ_in_what_they_say_and_no_two_nodes_share_an_address() {
        let pool = Pool {
            name: "gpu".into(),
            count: 2,
            region: Some("tokyo".into()),
            zones: Some(vec!["tokyo-1".into()]),
            version: Some("v1.35.4".into()),
            labels: [("accelerator".to_owned(), "yes".to_owned())].into(),
            taints: vec!["gpu=yes:NoSchedule".into()],
            ..Pool::default()
        };
        let nodes = Topology { pools: vec![pool], ..Topology::default() }.nodes();
        let gpu = nodes.iter().find(|node| node.name() == "gpu-2").unwrap();
        assert_eq!(gpu.label("topology.kubernetes.io/zone"), "tokyo-1");
        assert_eq!(gpu.text("/status/nodeInfo/kubeletVersion"), "v1.35.4");
        assert_eq!(gpu.text("/status/capacity/cpu"), "16");
        assert_eq!((gpu.label("accelerator"), gpu.text("/spec/taints/0/value")), ("yes", "yes"));
        for path in ["/spec/podCIDR", "/status/addresses/0/address"] {
            let all: std::collections::BTreeSet<&str> = nodes.iter().map(|node| node.text(path)).collect();
            assert_eq!(all.len(), nodes.len(), "{path}");
        }
    }
}
