//! The nodes a new cluster starts with.

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
        }
    }
}

impl Topology {
    /// The nodes: `cp-1` ..., then `worker-1` ...
    pub fn nodes(&self) -> Vec<Value> {
        let control_planes = (1..=self.control_planes).map(|number| (format!("cp-{number}"), true));
        let workers = (1..=self.workers).map(|number| (format!("worker-{number}"), false));
        control_planes
            .chain(workers)
            .enumerate()
            .map(|(index, (name, is_control_plane))| self.node(index, &name, is_control_plane))
            .collect()
    }

    fn node(&self, index: usize, name: &str, is_control_plane: bool) -> Value {
        let zone = self.zones.get(index % self.zones.len().max(1)).map_or("", String::as_str);
        let range = format!("10.{}.{}.0/24", 244 + index / 256, index % 256);
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
