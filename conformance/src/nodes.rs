//! The nodes of the recordings' cluster: `cp-1` to `cp-3` with their taint, `worker-1` to `worker-6`, in three
//! zones. What a recording shows of a node (its machine's ids, its addresses) is taken from there.

use serde_json::{Value, json};

use crate::recording::{Line, Recording};

const REGION: &str = "ap-northeast-2";
const ZONES: [&str; 3] = ["ap-northeast-2a", "ap-northeast-2b", "ap-northeast-2c"];
const CONTROL_PLANES: usize = 3;
const NODES: usize = 9;

/// The nodes as their kubelet registers them.
pub(crate) fn nodes(recording: &Recording) -> Vec<Value> {
    (0..NODES).map(|index| seen(recording, node(index))).collect()
}

fn node(index: usize) -> Value {
    let is_control_plane = index < CONTROL_PLANES;
    let name = match is_control_plane {
        true => format!("cp-{}", index + 1),
        false => format!("worker-{}", index + 1 - CONTROL_PLANES),
    };
    let zone = ZONES[index % ZONES.len()];
    let range = format!("10.244.{index}.0/24");
    let capacity = json!({
        "cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "200Gi",
        "hugepages-1Gi": "0", "hugepages-2Mi": "0",
    });
    let mut node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "labels": labels(&name, zone, is_control_plane),
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {"podCIDR": range, "podCIDRs": [range], "providerID": format!("aws:///{zone}/{name}")},
        "status": {
            "capacity": capacity, "allocatable": capacity,
            "addresses": [
                {"type": "InternalIP", "address": format!("10.10.{}.{}", index % ZONES.len(), 10 + index)},
                {"type": "Hostname", "address": name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": node_info(&name),
        },
    });
    if is_control_plane {
        node["spec"]["taints"] =
            json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
    }
    node
}

fn labels(name: &str, zone: &str, is_control_plane: bool) -> Value {
    let mut labels = json!({
        "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "kubernetes.io/hostname": name,
        "topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": REGION,
        "node.kubernetes.io/instance-type": if is_control_plane { "m5.xlarge" } else { "m5.4xlarge" },
    });
    if is_control_plane {
        labels["node-role.kubernetes.io/control-plane"] = "".into();
    }
    labels
}

fn node_info(name: &str) -> Value {
    json!({
        "architecture": "amd64", "operatingSystem": "linux",
        "kubeletVersion": "v1.28.15", "kubeProxyVersion": "v1.28.15",
        "containerRuntimeVersion": "containerd://1.7.24", "osImage": "Ubuntu 22.04.5 LTS",
        "kernelVersion": "5.15.0-122-generic", "machineID": name, "systemUUID": name, "bootID": name,
    })
}

/// What clients of earlier scenarios left on the nodes: who left it, on which node, and a merge patch that leaves it
/// again. The recorded cluster was one for all scenarios.
pub(crate) fn left_behind(recording: &Recording) -> Vec<(String, String, Value)> {
    let began =
        recording.lines.iter().find(|line| line.status == 201).and_then(|line| {
            line.body.as_ref()?["metadata"]["creationTimestamp"].as_str().map(str::to_owned)
        });
    let Some(began) = began else { return Vec::new() };
    let is_client =
        |manager: &str| !["kubelet", "kube-controller-manager", "kube-apiserver"].contains(&manager);
    let mut found: Vec<(String, String, Value)> = Vec::new();
    let nodes =
        recording.lines.iter().filter(|line| line.path.starts_with("/api/v1/nodes")).flat_map(Line::objects);
    for node in nodes {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        for entry in node["metadata"]["managedFields"].as_array().into_iter().flatten() {
            let manager = entry["manager"].as_str().unwrap_or_default();
            let is_earlier = entry["time"].as_str().is_some_and(|time| time < &*began);
            let is_known = found.iter().any(|(who, of, _)| who == manager && of == name);
            if is_earlier && is_client(manager) && !is_known && entry["subresource"].is_null() {
                let patch = owned(&entry["fieldsV1"], node);
                found.push((manager.to_owned(), name.to_owned(), patch));
            }
        }
    }
    found
}

/// The part of an object that a set of owned fields names.
fn owned(fields: &Value, object: &Value) -> Value {
    let named = fields
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, below)| Some((name.strip_prefix("f:")?, below)));
    let mut part = serde_json::Map::new();
    for (name, below) in named {
        let is_leaf = below.as_object().is_none_or(serde_json::Map::is_empty);
        let value = if is_leaf { object[name].clone() } else { owned(below, &object[name]) };
        part.insert(name.to_owned(), value);
    }
    part.into()
}

/// The node with the machine that the recording shows.
fn seen(recording: &Recording, mut node: Value) -> Value {
    let objects = recording.lines.iter().flat_map(Line::objects);
    let shown = |object: &&Value| {
        object["metadata"]["name"] == node["metadata"]["name"]
            && object["status"]["nodeInfo"]["kubeletVersion"]
                .as_str()
                .is_some_and(|version| !version.is_empty())
            && object["status"]["addresses"].is_array()
            && object["spec"]["providerID"].is_string()
    };
    if let Some(object) = objects.into_iter().find(shown) {
        let object = object.clone();
        node["spec"]["providerID"] = object["spec"]["providerID"].clone();
        for part in ["nodeInfo", "addresses"] {
            node["status"][part] = object["status"][part].clone();
        }
    }
    node
}
