//! Versions of kinds that the server still knows and no longer serves: a body in one of them is understood, and refused
//! for its version.

use serde_json::Value;

/// Groups and versions, and the kinds in them.
const FORMER: &[(&str, &[&str])] = &[
    (
        "admissionregistration.k8s.io/v1beta1",
        &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"],
    ),
    ("apps/v1beta1", &["ControllerRevision", "Deployment", "StatefulSet"]),
    ("apps/v1beta2", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]),
    ("batch/v1beta1", &["CronJob"]),
    ("certificates.k8s.io/v1beta1", &["CertificateSigningRequest"]),
    ("coordination.k8s.io/v1beta1", &["Lease"]),
    ("discovery.k8s.io/v1beta1", &["EndpointSlice"]),
    ("events.k8s.io/v1beta1", &["Event"]),
    ("extensions/v1beta1", &["DaemonSet", "Deployment", "Ingress", "NetworkPolicy", "ReplicaSet"]),
    ("networking.k8s.io/v1beta1", &["Ingress", "IngressClass"]),
    ("policy/v1beta1", &["PodDisruptionBudget"]),
    ("rbac.authorization.k8s.io/v1beta1", &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]),
    ("scheduling.k8s.io/v1beta1", &["PriorityClass"]),
    ("storage.k8s.io/v1beta1", &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"]),
];

/// Whether a kind is known in a version, served or not.
pub(super) fn is_registered(api_version: &str, kind: &str) -> bool {
    let is_former = FORMER.iter().any(|(version, kinds)| *version == api_version && kinds.contains(&kind));
    let served = crate::kinds::Kinds::builtin().all();
    is_former || served.iter().any(|known| known.api_version() == api_version && known.kind == kind)
}

/// The fields of a body in a former version that this version did not have: an Ingress named its backends otherwise.
pub(super) fn unknown_fields(object: &Value) -> Vec<String> {
    let is_of_former = FORMER.iter().any(|(version, _)| object["apiVersion"] == *version);
    if !is_of_former || object["kind"] != "Ingress" {
        return Vec::new();
    }
    let mut unknown = Vec::new();
    if object["spec"].get("defaultBackend").is_some() {
        unknown.push("spec.defaultBackend".to_owned());
    }
    for (rule, held) in list(&object["spec"]["rules"]).enumerate() {
        for (path, held) in list(&held["http"]["paths"]).enumerate() {
            if held["backend"].get("service").is_some() {
                unknown.push(format!("spec.rules[{rule}].http.paths[{path}].backend.service"));
            }
        }
    }
    unknown
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_of_the_past_and_of_other_paths_are_known() {
        assert!(is_registered("networking.k8s.io/v1beta1", "Ingress"));
        assert!(is_registered("autoscaling/v1", "HorizontalPodAutoscaler"));
        assert!(!is_registered("networking.k8s.io/v7", "Ingress"));
        assert!(!is_registered("apps/v1beta1", "DaemonSet"));
    }

    #[test]
    fn an_ingress_of_the_past_knows_no_backend_service() {
        let rules = json!([{"http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}]);
        let ingress =
            json!({"apiVersion": "networking.k8s.io/v1beta1", "kind": "Ingress", "spec": {"rules": rules}});
        assert_eq!(unknown_fields(&ingress), ["spec.rules[0].http.paths[0].backend.service"]);
    }
}
