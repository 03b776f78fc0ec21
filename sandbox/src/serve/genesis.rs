//! The objects every cluster begins with.

use serde_json::{Value, json};

use super::roles;
use crate::api::{Api, Status};
use crate::controllers::cluster::api_service;
use crate::controllers::{Topology, names};

const NAMESPACES: &[&str] = &["default", "kube-node-lease", "kube-public", "kube-system"];

/// The accounts that the controller manager's controllers speak with; that they are there is what clients see.
const CONTROLLERS: &[&str] = &[
    "attachdetach-controller",
    "certificate-controller",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "device-taint-eviction-controller",
    "disruption-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "ephemeral-volume-controller",
    "expand-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "legacy-service-account-token-cleaner",
    "namespace-controller",
    "node-controller",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "pv-protection-controller",
    "pvc-protection-controller",
    "replicaset-controller",
    "replication-controller",
    "resource-claim-controller",
    "resourcequota-controller",
    "root-ca-cert-publisher",
    "service-account-controller",
    "service-cidrs-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
    "ttl-controller",
    "validatingadmissionpolicy-status-controller",
    "volumeattributesclass-protection-controller",
];

/// Who writes what every cluster begins with.
const SERVER: &str = "kube-apiserver";

/// Makes a new cluster; one that has begun already is left alone.
pub(crate) fn begin(api: &Api, topology: &Topology) -> Result<(), Status> {
    if api.store().version() > 0 {
        return Ok(());
    }
    let mut objects: Vec<(&str, Value)> = NAMESPACES.iter().map(|name| (SERVER, namespace(name))).collect();
    objects.extend(topology.nodes().into_iter().map(|node| ("kubelet", node)));
    objects.extend(roles::objects().into_iter().map(|object| (SERVER, object)));
    objects.extend(api_services(api).into_iter().map(|object| (SERVER, object)));
    objects.push((SERVER, identity(api)));
    objects.push((SERVER, priority_class("system-cluster-critical", 2_000_000_000)));
    objects.push((SERVER, priority_class("system-node-critical", 2_000_001_000)));
    objects.push((SERVER, default_class()));
    objects.push((SERVER, service()));
    objects.push((SERVER, token_tracking(api)));
    objects.extend(CONTROLLERS.iter().map(|name| ("kube-controller-manager", controller_account(name))));
    api.begin(objects)
}

fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
    })
}

fn controller_account(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "kube-system"}})
}

/// Since when the use of long-lived tokens is tracked: from the first day.
fn token_tracking(api: &Api) -> Value {
    let today: String = api.store().ambient().timestamp().chars().take(10).collect();
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "kube-apiserver-legacy-service-account-token-tracking", "namespace": "kube-system"},
        "data": {"since": today},
    })
}

fn priority_class(name: &str, value: i64) -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "value": value, "preemptionPolicy": "PreemptLowerPriority",
        "description": "Pods that the cluster itself needs.",
    })
}

/// The class of claims that name none; volumes are made by the played provisioner, in their pod's zone.
fn default_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {
            "name": "sandbox-local",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "csi.sandbox.aegis.dev", "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true,
    })
}

/// An APIService for each group and version that is served here.
fn api_services(api: &Api) -> Vec<Value> {
    let mut versions: Vec<(String, String)> =
        api.store().kinds().all().iter().map(|kind| (kind.group.clone(), kind.version.clone())).collect();
    versions.sort();
    versions.dedup();
    let is_local =
        |(group, _): &(String, String)| !matches!(&**group, "apiregistration.k8s.io" | "sandbox.aegis.dev");
    versions
        .into_iter()
        .filter(is_local)
        .map(|(group, version)| api_service::local(&group, &version, "onstart"))
        .collect()
}

/// The lease by which API servers of one cluster know each other.
fn identity(api: &Api) -> Value {
    const HOST: &str = "aegis";
    let name = format!("apiserver-{}", names::identity(HOST));
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": name, "namespace": "kube-system",
            "labels": {"apiserver.kubernetes.io/identity": "kube-apiserver", "kubernetes.io/hostname": HOST},
            "annotations": {"kubernetes.io/peer-advertise-address": "127.0.0.1:6443"},
        },
        "spec": {
            "holderIdentity": format!("{name}_{}", api.store().ambient().uid(&name)), "leaseDurationSeconds": 3600,
            "renewTime": api.store().ambient().micro_timestamp(),
        },
    })
}

/// The API as pods see it.
fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
        "status": {"loadBalancer": {}},
    })
}
