//! The objects every cluster begins with.

use serde_json::{Value, json};

use crate::api::{Api, Status};
use crate::controllers::Topology;

const NAMESPACES: &[&str] = &["default", "kube-node-lease", "kube-public", "kube-system"];
const RBAC: &str = "rbac.authorization.k8s.io";

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
pub(super) fn begin(api: &Api, topology: &Topology) -> Result<(), Status> {
    if api.store().version() > 0 {
        return Ok(());
    }
    let mut objects: Vec<(&str, Value)> = NAMESPACES.iter().map(|name| (SERVER, namespace(name))).collect();
    objects.extend(topology.nodes().into_iter().map(|node| ("kubelet", node)));
    objects.extend(roles().iter().map(|(name, rules)| (SERVER, cluster_role(name, rules))));
    objects.push((SERVER, administrators()));
    objects.push((SERVER, priority_class("system-cluster-critical", 2_000_000_000)));
    objects.push((SERVER, priority_class("system-node-critical", 2_000_001_000)));
    objects.push((SERVER, default_class()));
    objects.push((SERVER, api_service()));
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

/// The roles that people bind to, in their well-known breadth.
fn roles() -> Vec<(&'static str, Value)> {
    let read = ["get", "list", "watch"];
    let write = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let core_read = [
        "configmaps",
        "endpoints",
        "events",
        "limitranges",
        "namespaces",
        "persistentvolumeclaims",
        "pods",
        "pods/log",
        "pods/status",
        "replicationcontrollers",
        "resourcequotas",
        "serviceaccounts",
        "services",
    ];
    let core_write = [
        "configmaps",
        "endpoints",
        "events",
        "persistentvolumeclaims",
        "pods",
        "pods/attach",
        "pods/eviction",
        "pods/exec",
        "pods/portforward",
        "pods/proxy",
        "replicationcontrollers",
        "replicationcontrollers/scale",
        "secrets",
        "serviceaccounts",
        "services",
        "services/proxy",
    ];
    let groups = ["apps", "autoscaling", "batch", "networking.k8s.io", "policy", "discovery.k8s.io"];
    let view = json!([
        {"apiGroups": [""], "resources": core_read, "verbs": read},
        {"apiGroups": groups, "resources": ["*"], "verbs": read},
    ]);
    let edit = json!([
        {"apiGroups": [""], "resources": core_read, "verbs": read},
        {"apiGroups": [""], "resources": core_write, "verbs": write},
        {"apiGroups": groups, "resources": ["*"], "verbs": write},
    ]);
    let mut admin = edit.clone();
    if let Some(rules) = admin.as_array_mut() {
        rules.push(json!({"apiGroups": [RBAC], "resources": ["roles", "rolebindings"], "verbs": write}));
    }
    let everything = json!([
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ]);
    vec![("cluster-admin", everything), ("admin", admin), ("edit", edit), ("view", view)]
}

fn cluster_role(name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "rules": rules,
    })
}

fn administrators() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "cluster-admin", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": "system:masters"}],
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

/// The API as pods see it.
fn api_service() -> Value {
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
