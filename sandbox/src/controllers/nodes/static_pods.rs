//! The control plane as pods: etcd, API server, controller manager and scheduler on each control-plane node.
//!
//! They are mirrors of files a kubelet would run by itself, so nobody schedules them and a deleted one
//! comes back. They say what a real one says about itself where the sandbox does the same, and nothing
//! of what it does not do: no audit log, no encryption.

use serde_json::{Value, json};

use super::super::cache::{Cache, Key};
use super::super::controller::{Change, Controller, Plan, World, Write};
use super::super::fields::{Fields, Object};
use super::super::names::fnv1a;
use super::{is_down, is_ours};

const ROLE: &str = "node-role.kubernetes.io/control-plane";
const NAMESPACE: &str = "kube-system";

/// Component, image, and what stands behind its name on the command line.
const COMPONENTS: [(&str, &str, &[&str]); 4] = [
    ("etcd", "registry.k8s.io/etcd:3.6.5-0", &["--client-cert-auth=true", "--peer-client-cert-auth=true"]),
    (
        "kube-apiserver",
        "registry.k8s.io/kube-apiserver:",
        &["--authorization-mode=Node,RBAC", "--anonymous-auth=true"],
    ),
    ("kube-controller-manager", "registry.k8s.io/kube-controller-manager:", &["--leader-elect=true"]),
    ("kube-scheduler", "registry.k8s.io/kube-scheduler:", &["--leader-elect=true"]),
];

/// Keeps the mirrors.
pub const CONTROLLER: Controller = Controller { name: "kubelet", manager: "kubelet", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let is_mirror = change.kind == "Pod" && change.gone && change.object.label("tier") == "control-plane";
    let name = if is_mirror { change.object.text("/spec/nodeName") } else { change.object.name() };
    if change.kind != "Node" && !is_mirror {
        return Vec::new();
    }
    cache.get("Node", "", name).map(|node| Key::of(node)).into_iter().collect()
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let node = world.cache.find(key).filter(|node| is_ours(node) && !is_down(node) && node.is("Ready"));
    let is_control_plane = |node: &&Object| runs_on(node) && node.at("/metadata/labels").get(ROLE).is_some();
    let Some(node) = node.filter(is_control_plane) else { return plan };
    for (component, image, flags) in COMPONENTS {
        let pod = mirror(node, component, image, flags);
        if world.cache.get("Pod", NAMESPACE, pod.name()).is_none() {
            plan.push(Write::Ensure(pod));
        }
    }
    plan
}

/// Whether a node is a machine of ours, where the control plane's parts run as pods; what others run on theirs,
/// they say themselves.
pub fn runs_on(node: &Value) -> bool {
    node.text("/spec/providerID").starts_with("aegis://")
}

fn mirror(node: &Value, component: &str, image: &str, flags: &[&str]) -> Value {
    let image = if image.ends_with(':') {
        format!("{image}{}", node.text("/status/nodeInfo/kubeletVersion"))
    } else {
        image.to_owned()
    };
    let mut command = vec![component];
    command.extend(flags);
    let hash = format!("{:08x}{:08x}", fnv1a(component.as_bytes()), fnv1a(node.name().as_bytes()));
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{component}-{}", node.name()),
            "namespace": NAMESPACE,
            "labels": { "component": component, "tier": "control-plane" },
            "annotations": {
                "kubernetes.io/config.hash": hash,
                "kubernetes.io/config.mirror": hash,
                "kubernetes.io/config.source": "file",
            },
            "ownerReferences": [
                { "apiVersion": "v1", "kind": "Node", "name": node.name(), "uid": node.uid(), "controller": true },
            ],
        },
        "spec": {
            "nodeName": node.name(),
            "hostNetwork": true,
            "priorityClassName": "system-node-critical",
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "automountServiceAccountToken": false,
            "enableServiceLinks": true,
            "schedulerName": "default-scheduler",
            "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
            "tolerations": [{ "effect": "NoExecute", "operator": "Exists" }],
            "containers": [{
                "name": component,
                "image": image,
                "command": command,
                "imagePullPolicy": "IfNotPresent",
                "resources": { "requests": { "cpu": "100m", "memory": "100Mi" } },
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }],
        },
        "status": { "phase": "Pending" },
    })
}
