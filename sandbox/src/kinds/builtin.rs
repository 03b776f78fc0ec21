//! The built-in kinds of Kubernetes 1.36 as one table, in the order discovery prints them.
//!
//! The facts (names, verbs, subresources, which kinds count generations) are those a 1.36 server
//! answers at `/api` and `/apis`.

use std::sync::Arc;

use super::{Kind, Subresource, VERBS};
use crate::store::Resource;

/// What a row says besides its names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Cluster,
    Namespaced,
}
use Scope::{Cluster, Namespaced};

/// Whether objects count their generation.
const COUNTS: bool = true;
const PLAIN: bool = false;

/// Group and version, plural, kind, scope, short names, categories, subresources, generation.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Scope,
    &'static [&'static str],
    &'static str,
    &'static [&'static str],
    bool,
);

const STATUS: &[&str] = &["status"];
const SCALE: &[&str] = &["scale", "status"];
const NONE: &[&str] = &[];
const POD: &[&str] = &[
    "attach",
    "binding",
    "ephemeralcontainers",
    "eviction",
    "exec",
    "log",
    "portforward",
    "proxy",
    "resize",
    "status",
];

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("v1", "bindings", "Binding", Namespaced, NONE, "", NONE, PLAIN),
    ("v1", "componentstatuses", "ComponentStatus", Cluster, &["cs"], "", NONE, PLAIN),
    ("v1", "configmaps", "ConfigMap", Namespaced, &["cm"], "", NONE, PLAIN),
    ("v1", "endpoints", "Endpoints", Namespaced, &["ep"], "", NONE, PLAIN),
    ("v1", "events", "Event", Namespaced, &["ev"], "", NONE, PLAIN),
    ("v1", "limitranges", "LimitRange", Namespaced, &["limits"], "", NONE, PLAIN),
    ("v1", "namespaces", "Namespace", Cluster, &["ns"], "", &["finalize", "status"], PLAIN),
    ("v1", "nodes", "Node", Cluster, &["no"], "", &["proxy", "status"], PLAIN),
    ("v1", "persistentvolumeclaims", "PersistentVolumeClaim", Namespaced, &["pvc"], "", STATUS, PLAIN),
    ("v1", "persistentvolumes", "PersistentVolume", Cluster, &["pv"], "", STATUS, PLAIN),
    ("v1", "pods", "Pod", Namespaced, &["po"], "all", POD, COUNTS),
    ("v1", "podtemplates", "PodTemplate", Namespaced, NONE, "", NONE, COUNTS),
    ("v1", "replicationcontrollers", "ReplicationController", Namespaced, &["rc"], "all", SCALE, COUNTS),
    ("v1", "resourcequotas", "ResourceQuota", Namespaced, &["quota"], "", STATUS, PLAIN),
    ("v1", "secrets", "Secret", Namespaced, NONE, "", NONE, PLAIN),
    ("v1", "serviceaccounts", "ServiceAccount", Namespaced, &["sa"], "", &["token"], PLAIN),
    ("v1", "services", "Service", Namespaced, &["svc"], "all", &["proxy", "status"], PLAIN),
    ("apiregistration.k8s.io/v1", "apiservices", "APIService", Cluster, NONE, "api-extensions", STATUS, PLAIN),
    ("apps/v1", "controllerrevisions", "ControllerRevision", Namespaced, NONE, "", NONE, PLAIN),
    ("apps/v1", "daemonsets", "DaemonSet", Namespaced, &["ds"], "all", STATUS, COUNTS),
    ("apps/v1", "deployments", "Deployment", Namespaced, &["deploy"], "all", SCALE, COUNTS),
    ("apps/v1", "replicasets", "ReplicaSet", Namespaced, &["rs"], "all", SCALE, COUNTS),
    ("apps/v1", "statefulsets", "StatefulSet", Namespaced, &["sts"], "all", SCALE, COUNTS),
    ("events.k8s.io/v1", "events", "Event", Namespaced, &["ev"], "", NONE, PLAIN),
    ("authentication.k8s.io/v1", "selfsubjectreviews", "SelfSubjectReview", Cluster, NONE, "", NONE, PLAIN),
    ("authentication.k8s.io/v1", "tokenreviews", "TokenReview", Cluster, NONE, "", NONE, PLAIN),
    ("authorization.k8s.io/v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", Namespaced, NONE, "", NONE, PLAIN),
    ("authorization.k8s.io/v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", Cluster, NONE, "", NONE, PLAIN),
    ("authorization.k8s.io/v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", Cluster, NONE, "", NONE, PLAIN),
    ("authorization.k8s.io/v1", "subjectaccessreviews", "SubjectAccessReview", Cluster, NONE, "", NONE, PLAIN),
    ("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", Namespaced, &["hpa"], "all", STATUS, PLAIN),
    ("autoscaling/v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", Namespaced, &["hpa"], "all", STATUS, PLAIN),
    ("batch/v1", "cronjobs", "CronJob", Namespaced, &["cj"], "all", STATUS, COUNTS),
    ("batch/v1", "jobs", "Job", Namespaced, NONE, "all", STATUS, COUNTS),
    ("certificates.k8s.io/v1", "certificatesigningrequests", "CertificateSigningRequest", Cluster, &["csr"], "", &["approval", "status"], PLAIN),
    ("networking.k8s.io/v1", "ingressclasses", "IngressClass", Cluster, NONE, "", NONE, COUNTS),
    ("networking.k8s.io/v1", "ingresses", "Ingress", Namespaced, &["ing"], "", STATUS, COUNTS),
    ("networking.k8s.io/v1", "ipaddresses", "IPAddress", Cluster, &["ip"], "", NONE, PLAIN),
    ("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", Namespaced, &["netpol"], "", NONE, COUNTS),
    ("networking.k8s.io/v1", "servicecidrs", "ServiceCIDR", Cluster, NONE, "", STATUS, PLAIN),
    ("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", Namespaced, &["pdb"], "", STATUS, COUNTS),
    ("rbac.authorization.k8s.io/v1", "clusterrolebindings", "ClusterRoleBinding", Cluster, NONE, "", NONE, PLAIN),
    ("rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole", Cluster, NONE, "", NONE, PLAIN),
    ("rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding", Namespaced, NONE, "", NONE, PLAIN),
    ("rbac.authorization.k8s.io/v1", "roles", "Role", Namespaced, NONE, "", NONE, PLAIN),
    ("storage.k8s.io/v1", "csidrivers", "CSIDriver", Cluster, NONE, "", NONE, PLAIN),
    ("storage.k8s.io/v1", "csinodes", "CSINode", Cluster, NONE, "", NONE, PLAIN),
    ("storage.k8s.io/v1", "csistoragecapacities", "CSIStorageCapacity", Namespaced, NONE, "", NONE, PLAIN),
    ("storage.k8s.io/v1", "storageclasses", "StorageClass", Cluster, &["sc"], "", NONE, PLAIN),
    ("storage.k8s.io/v1", "volumeattachments", "VolumeAttachment", Cluster, NONE, "", STATUS, PLAIN),
    ("storage.k8s.io/v1", "volumeattributesclasses", "VolumeAttributesClass", Cluster, &["vac"], "", NONE, PLAIN),
    ("admissionregistration.k8s.io/v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", Cluster, NONE, "api-extensions", NONE, COUNTS),
    ("admissionregistration.k8s.io/v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", Cluster, NONE, "api-extensions", NONE, COUNTS),
    ("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", Cluster, NONE, "api-extensions", NONE, COUNTS),
    ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", Cluster, NONE, "api-extensions", STATUS, COUNTS),
    ("admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", Cluster, NONE, "api-extensions", NONE, COUNTS),
    ("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", Cluster, NONE, "api-extensions", NONE, COUNTS),
    ("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", Cluster, &["crd", "crds"], "api-extensions", STATUS, COUNTS),
    ("scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", Cluster, &["pc"], "", NONE, COUNTS),
    ("coordination.k8s.io/v1", "leases", "Lease", Namespaced, NONE, "", NONE, PLAIN),
    ("node.k8s.io/v1", "runtimeclasses", "RuntimeClass", Cluster, NONE, "", NONE, PLAIN),
    ("discovery.k8s.io/v1", "endpointslices", "EndpointSlice", Namespaced, NONE, "", NONE, COUNTS),
    ("resource.k8s.io/v1", "deviceclasses", "DeviceClass", Cluster, NONE, "", NONE, COUNTS),
    ("resource.k8s.io/v1", "resourceclaims", "ResourceClaim", Namespaced, NONE, "", STATUS, PLAIN),
    ("resource.k8s.io/v1", "resourceclaimtemplates", "ResourceClaimTemplate", Namespaced, NONE, "", NONE, PLAIN),
    ("resource.k8s.io/v1", "resourceslices", "ResourceSlice", Cluster, NONE, "", NONE, COUNTS),
    ("flowcontrol.apiserver.k8s.io/v1", "flowschemas", "FlowSchema", Cluster, NONE, "", STATUS, COUNTS),
    ("flowcontrol.apiserver.k8s.io/v1", "prioritylevelconfigurations", "PriorityLevelConfiguration", Cluster, NONE, "", STATUS, COUNTS),
];

pub(super) fn kinds() -> impl Iterator<Item = Kind> {
    ROWS.iter().map(kind)
}

fn kind(row: &Row) -> Kind {
    let (api_version, plural, name, scope, short_names, category, subresources, generation) = *row;
    let (group, version) = super::split_api_version(api_version);
    let subresource = |sub: &&str| Subresource {
        name: (*sub).into(),
        speaks: speaks(name, sub),
        verbs: subresource_verbs(sub).to_vec(),
    };
    Kind {
        group: group.into(),
        version: version.into(),
        kind: name.into(),
        list_kind: format!("{name}List"),
        plural: plural.into(),
        singular: name.to_lowercase(),
        short_names: short_names.iter().map(|&name| name.into()).collect(),
        categories: Some(category).filter(|name| !name.is_empty()).into_iter().map(String::from).collect(),
        namespaced: scope == Namespaced,
        verbs: verbs(plural).to_vec(),
        subresources: subresources.iter().map(subresource).collect(),
        generation,
        selectable_fields: Vec::new(),
        custom: false,
        definition: Arc::default(),
        custom_type: None,
        storage: storage(group, plural),
    }
}

/// Kinds that are asked, not stored, can only be created; a few others lack a verb.
fn verbs(plural: &str) -> &'static [&'static str] {
    match plural {
        "bindings" => &["create"],
        _ if plural.ends_with("reviews") => &["create"],
        "componentstatuses" => &["get", "list"],
        "namespaces" => &["create", "delete", "get", "list", "patch", "update", "watch"],
        _ => VERBS,
    }
}

fn subresource_verbs(name: &str) -> &'static [&'static str] {
    match name {
        "binding" | "eviction" | "token" => &["create"],
        "attach" | "exec" | "portforward" => &["create", "get"],
        "log" => &["get"],
        "finalize" => &["update"],
        "proxy" => &["create", "delete", "get", "patch", "update"],
        _ => &["get", "patch", "update"],
    }
}

/// The kind in a subresource's bodies, where it is not its parent's.
fn speaks(kind: &str, subresource: &str) -> (&'static str, &'static str, String) {
    match subresource {
        "scale" => ("autoscaling", "v1", "Scale".into()),
        "eviction" => ("policy", "v1", "Eviction".into()),
        "token" => ("authentication.k8s.io", "v1", "TokenRequest".into()),
        "binding" => ("", "", "Binding".into()),
        "attach" => ("", "", "PodAttachOptions".into()),
        "exec" => ("", "", "PodExecOptions".into()),
        "portforward" => ("", "", "PodPortForwardOptions".into()),
        "proxy" => ("", "", format!("{kind}ProxyOptions")),
        _ => ("", "", kind.into()),
    }
}

/// The two groups of events are two views of one resource.
fn storage(group: &str, plural: &str) -> Resource {
    match (group, plural) {
        ("events.k8s.io", "events") => Resource::core("events"),
        _ => Resource::new(group, plural),
    }
}
