//! What the schema library does not carry: which lists are maps or sets, and which objects are one field.
//!
//! The rules are those the 1.36 API types declare as list type, list-map keys, patch strategy and map type.
//! Everything not listed has the common rule: a list is atomic and replaced, an object is granular, and
//! `conditions` of a status are a map by `type`. A test compares the lists with how the library itself
//! merges two objects.

use super::shape::{ListKind, ListPatch};

/// How one list merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListFact {
    pub(super) kind: ListKind,
    pub(super) patch: ListPatch,
}

/// Type and field, list-map keys (comma separated, `=` for a set, `!` for atomic), patch merge key
/// (`=` for scalars, empty for replace).
#[rustfmt::skip]
const LISTS: &[(&str, &str, &str, &str)] = &[
    ("admissionregistration.v1.MutatingAdmissionPolicySpec", "matchConditions", "name", "name"),
    ("admissionregistration.v1.MutatingWebhook", "matchConditions", "name", "name"),
    ("admissionregistration.v1.MutatingWebhookConfiguration", "webhooks", "name", "name"),
    ("admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec", "validationActions", "=", ""),
    ("admissionregistration.v1.ValidatingAdmissionPolicySpec", "matchConditions", "name", "name"),
    ("admissionregistration.v1.ValidatingAdmissionPolicySpec", "variables", "name", "name"),
    ("admissionregistration.v1.ValidatingAdmissionPolicyStatus", "conditions", "type", ""),
    ("admissionregistration.v1.ValidatingWebhook", "matchConditions", "name", "name"),
    ("admissionregistration.v1.ValidatingWebhookConfiguration", "webhooks", "name", "name"),
    ("apiextensions.v1.CustomResourceDefinitionStatus", "conditions", "type", ""),
    ("apiextensions.v1.JSONSchemaProps", "x-kubernetes-validations", "rule", "rule"),
    ("batch.v1.JobStatus", "conditions", "!", "type"),
    ("batch.v1.PodFailurePolicyOnExitCodesRequirement", "values", "=", ""),
    ("batch.v1.UncountedTerminatedPods", "failed", "=", ""),
    ("batch.v1.UncountedTerminatedPods", "succeeded", "=", ""),
    ("core.v1.Container", "env", "name", "name"),
    ("core.v1.Container", "ports", "containerPort,protocol", "containerPort"),
    ("core.v1.Container", "volumeDevices", "devicePath", "devicePath"),
    ("core.v1.Container", "volumeMounts", "mountPath", "mountPath"),
    ("core.v1.ContainerRestartRuleOnExitCodes", "values", "=", ""),
    ("core.v1.ContainerStatus", "allocatedResourcesStatus", "name", "name"),
    ("core.v1.ContainerStatus", "volumeMounts", "mountPath", "mountPath"),
    ("core.v1.EphemeralContainer", "env", "name", "name"),
    ("core.v1.EphemeralContainer", "ports", "containerPort,protocol", "containerPort"),
    ("core.v1.EphemeralContainer", "volumeDevices", "devicePath", "devicePath"),
    ("core.v1.EphemeralContainer", "volumeMounts", "mountPath", "mountPath"),
    ("core.v1.NodeSpec", "podCIDRs", "=", "="),
    ("core.v1.NodeStatus", "addresses", "type", "type"),
    ("core.v1.PodSpec", "containers", "name", "name"),
    ("core.v1.PodSpec", "ephemeralContainers", "name", "name"),
    ("core.v1.PodSpec", "hostAliases", "ip", "ip"),
    ("core.v1.PodSpec", "imagePullSecrets", "name", "name"),
    ("core.v1.PodSpec", "initContainers", "name", "name"),
    ("core.v1.PodSpec", "resourceClaims", "name", "name"),
    ("core.v1.PodSpec", "schedulingGates", "name", "name"),
    ("core.v1.PodSpec", "topologySpreadConstraints", "topologyKey,whenUnsatisfiable", "topologyKey"),
    ("core.v1.PodSpec", "volumes", "name", "name"),
    ("core.v1.PodStatus", "hostIPs", "!", "ip"),
    ("core.v1.PodStatus", "podIPs", "ip", "ip"),
    ("core.v1.PodStatus", "resourceClaimStatuses", "name", "name"),
    ("core.v1.ResourceRequirements", "claims", "name", ""),
    ("core.v1.ResourceStatus", "resources", "resourceID", ""),
    ("core.v1.ServiceAccount", "secrets", "name", "name"),
    ("core.v1.ServiceSpec", "ports", "port,protocol", "port"),
    ("discovery.v1.Endpoint", "addresses", "=", ""),
    ("flowcontrol.v1.NonResourcePolicyRule", "nonResourceURLs", "=", ""),
    ("flowcontrol.v1.NonResourcePolicyRule", "verbs", "=", ""),
    ("flowcontrol.v1.ResourcePolicyRule", "apiGroups", "=", ""),
    ("flowcontrol.v1.ResourcePolicyRule", "namespaces", "=", ""),
    ("flowcontrol.v1.ResourcePolicyRule", "resources", "=", ""),
    ("flowcontrol.v1.ResourcePolicyRule", "verbs", "=", ""),
    ("meta.v1.ObjectMeta", "finalizers", "=", "="),
    ("meta.v1.ObjectMeta", "ownerReferences", "uid", "uid"),
    ("resource.v1.AllocatedDeviceStatus", "conditions", "type", ""),
    ("resource.v1.ResourceClaimStatus", "devices", "driver,device,pool,shareID", ""),
    ("resource.v1.ResourceClaimStatus", "reservedFor", "uid", ""),
    ("storage.v1.CSIDriverSpec", "volumeLifecycleModes", "=", ""),
    ("storage.v1.CSINodeSpec", "drivers", "name", "name"),
];

/// Types that are owned and replaced as one field wherever they stand.
const WHOLE_TYPES: &[&str] = &[
    "admissionregistration.v1.MatchResources",
    "admissionregistration.v1.NamedRuleWithOperations",
    "admissionregistration.v1.ParamKind",
    "admissionregistration.v1.ParamRef",
    "autoscaling.v1.CrossVersionObjectReference",
    "core.v1.ConfigMapKeySelector",
    "core.v1.EndpointAddress",
    "core.v1.EndpointPort",
    "core.v1.FileKeySelector",
    "core.v1.LocalObjectReference",
    "core.v1.NodeSelector",
    "core.v1.NodeSelectorTerm",
    "core.v1.ObjectFieldSelector",
    "core.v1.ObjectReference",
    "core.v1.ResourceFieldSelector",
    "core.v1.ScopeSelector",
    "core.v1.ScopedResourceSelectorRequirement",
    "core.v1.SecretKeySelector",
    "core.v1.SecretReference",
    "core.v1.TopologySelectorTerm",
    "core.v1.TypedLocalObjectReference",
    "discovery.v1.EndpointPort",
    "meta.v1.LabelSelector",
    "meta.v1.OwnerReference",
    "networking.v1.ServiceBackendPort",
    "rbac.v1.RoleRef",
    "rbac.v1.Subject",
];

/// Maps that are owned and replaced as one field.
const WHOLE_FIELDS: &[(&str, &str)] = &[
    ("apps.v1.ControllerRevision", "data"),
    ("core.v1.PodSpec", "nodeSelector"),
    ("core.v1.ReplicationControllerSpec", "selector"),
    ("core.v1.ServiceSpec", "selector"),
    ("node.v1.Scheduling", "nodeSelector"),
];

/// A whole type that is granular at this place after all.
const GRANULAR_FIELDS: &[(&str, &str)] = &[("core.v1.PersistentVolumeSpec", "claimRef")];

/// Defaults that are part of a list-map key and so have to be known before any defaulting.
const KEY_DEFAULTS: &[(&str, &str, &str)] =
    &[("core.v1.ContainerPort", "protocol", "TCP"), ("core.v1.ServicePort", "protocol", "TCP")];

/// `io.k8s.api.core.v1.Pod` as `core.v1.Pod`: the last three parts of a type's name.
pub(super) fn short_name(name: &str) -> &str {
    name.rmatch_indices('.').nth(2).map_or(name, |(at, _)| &name[at + 1..])
}

/// The list rule of a field.
pub(super) fn list_fact(type_name: &str, field: &str) -> ListFact {
    let name = short_name(type_name);
    let row = LISTS.iter().find(|row| row.0 == name && row.1 == field);
    match row {
        Some((_, _, keys, patch)) => ListFact { kind: kind(keys), patch: strategy(patch) },
        None if field == "conditions" && name.ends_with("Status") => {
            ListFact { kind: kind("type"), patch: strategy("type") }
        }
        None => ListFact { kind: ListKind::Atomic, patch: ListPatch::Replace },
    }
}

fn kind(keys: &str) -> ListKind {
    match keys {
        "=" => ListKind::Set,
        "!" => ListKind::Atomic,
        keys => ListKind::Map(keys.split(',').map(str::to_owned).collect()),
    }
}

fn strategy(patch: &str) -> ListPatch {
    match patch {
        "" => ListPatch::Replace,
        "=" => ListPatch::MergeScalars,
        key => ListPatch::MergeBy(key.to_owned()),
    }
}

/// Whether values of this type are one field.
pub(super) fn is_whole_type(type_name: &str) -> bool {
    WHOLE_TYPES.contains(&short_name(type_name))
}

/// Whether the field says otherwise than its type.
pub(super) fn field_is_whole(type_name: &str, field: &str) -> Option<bool> {
    let place = (short_name(type_name), field);
    match () {
        () if WHOLE_FIELDS.contains(&place) => Some(true),
        () if GRANULAR_FIELDS.contains(&place) => Some(false),
        () => None,
    }
}

/// The default of a field that takes part in a list-map key.
pub(super) fn key_default(type_name: &str, field: &str) -> Option<&'static str> {
    let name = short_name(type_name);
    KEY_DEFAULTS.iter().find(|row| row.0 == name && row.1 == field).map(|row| row.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::DeepMerge;
    use k8s_openapi::api::{admissionregistration::v1 as admission, core::v1 as core, networking::v1 as net};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
    use serde::{Serialize, de::DeserializeOwned};
    use serde_json::{Value, json};

    /// How many elements a list has after the library merged two different ones.
    fn merged<T: DeepMerge + Serialize + DeserializeOwned>(
        field: &str,
        first: &Value,
        second: &Value,
    ) -> usize {
        let read = |item: &Value| serde_json::from_value::<T>(json!({ field: [item] })).unwrap();
        let mut both = read(first);
        both.merge_from(read(second));
        serde_json::to_value(&both).unwrap()[field].as_array().unwrap().len()
    }

    type Merged = fn(&str, &Value, &Value) -> usize;

    #[test]
    fn the_library_merges_the_lists_we_call_maps_and_sets_and_replaces_the_others() {
        let named = |a: &str| json!({"name": a});
        let cases: &[(&str, &str, Merged, Value, Value)] = &[
            ("core.v1.PodSpec", "containers", merged::<core::PodSpec>, named("a"), named("b")),
            ("core.v1.PodSpec", "initContainers", merged::<core::PodSpec>, named("a"), named("b")),
            ("core.v1.PodSpec", "volumes", merged::<core::PodSpec>, named("a"), named("b")),
            ("core.v1.PodSpec", "imagePullSecrets", merged::<core::PodSpec>, named("a"), named("b")),
            (
                "core.v1.PodSpec",
                "tolerations",
                merged::<core::PodSpec>,
                json!({"key": "a"}),
                json!({"key": "b"}),
            ),
            ("core.v1.Container", "env", merged::<core::Container>, named("a"), named("b")),
            (
                "core.v1.Container",
                "envFrom",
                merged::<core::Container>,
                json!({"prefix": "a"}),
                json!({"prefix": "b"}),
            ),
            ("core.v1.Container", "args", merged::<core::Container>, json!("a"), json!("b")),
            (
                "core.v1.Container",
                "ports",
                merged::<core::Container>,
                json!({"containerPort": 1}),
                json!({"containerPort": 2}),
            ),
            (
                "core.v1.Container",
                "volumeMounts",
                merged::<core::Container>,
                json!({"mountPath": "/a", "name": "a"}),
                json!({"mountPath": "/b", "name": "a"}),
            ),
            (
                "core.v1.ServiceSpec",
                "ports",
                merged::<core::ServiceSpec>,
                json!({"port": 1}),
                json!({"port": 2}),
            ),
            (
                "core.v1.ServiceSpec",
                "externalIPs",
                merged::<core::ServiceSpec>,
                json!("10.0.0.1"),
                json!("10.0.0.2"),
            ),
            (
                "core.v1.ServiceAccount",
                "imagePullSecrets",
                merged::<core::ServiceAccount>,
                named("a"),
                named("b"),
            ),
            (
                "core.v1.NodeSpec",
                "podCIDRs",
                merged::<core::NodeSpec>,
                json!("10.0.0.0/24"),
                json!("10.0.1.0/24"),
            ),
            (
                "core.v1.NodeSpec",
                "taints",
                merged::<core::NodeSpec>,
                json!({"key": "a", "effect": "NoSchedule"}),
                json!({"key": "b", "effect": "NoSchedule"}),
            ),
            (
                "core.v1.PodStatus",
                "conditions",
                merged::<core::PodStatus>,
                json!({"type": "a", "status": "True"}),
                json!({"type": "b", "status": "True"}),
            ),
            ("meta.v1.ObjectMeta", "finalizers", merged::<meta::ObjectMeta>, json!("a"), json!("b")),
            (
                "meta.v1.ObjectMeta",
                "ownerReferences",
                merged::<meta::ObjectMeta>,
                json!({"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "1"}),
                json!({"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "2"}),
            ),
            (
                "networking.v1.IngressSpec",
                "rules",
                merged::<net::IngressSpec>,
                json!({"host": "a"}),
                json!({"host": "b"}),
            ),
            (
                "admissionregistration.v1.ValidatingWebhook",
                "rules",
                merged::<admission::ValidatingWebhook>,
                json!({"scope": "a"}),
                json!({"scope": "b"}),
            ),
        ];
        for (type_name, field, merged, first, second) in cases {
            let fact = list_fact(&format!("io.k8s.api.{type_name}"), field);
            let wanted = if fact.patch == ListPatch::Replace { 1 } else { 2 };
            assert_eq!(merged(field, first, second), wanted, "{type_name}.{field}: {fact:?}");
        }
    }
}
