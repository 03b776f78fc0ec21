//! Rules of single built-in kinds that a schema cannot say, in the server's words.
//!
//! One visible list from kind to rule; all rules are alike: the stored object if there is one, the new one,
//! and the causes found. Metadata, selectors, ConfigMaps, Secrets and Services are checked where they are
//! written, next to what fills them in.

mod check;
mod cluster;
mod network;
mod pod;
mod policy;
mod storage;
mod workload;

use super::builtin::BuiltinKind;
use super::cause::Cause;
use super::custom::definition_problems;
use serde_json::Value;

type Rule = fn(Option<&Value>, &Value) -> Vec<Cause>;

/// Kind and rule.
const RULES: &[(&str, &str, Rule)] = &[
    ("", "Event", cluster::event),
    ("", "LimitRange", policy::limit_range),
    ("", "Namespace", cluster::namespace),
    ("", "Node", cluster::node),
    ("", "PersistentVolume", storage::volume),
    ("", "PersistentVolumeClaim", storage::claim),
    ("", "Pod", workload::pod),
    ("", "ReplicationController", workload::replica_set),
    ("", "ResourceQuota", policy::resource_quota),
    ("apiextensions.k8s.io", "CustomResourceDefinition", definition_problems),
    ("apps", "DaemonSet", workload::daemon_set),
    ("apps", "Deployment", workload::deployment),
    ("apps", "ReplicaSet", workload::replica_set),
    ("apps", "StatefulSet", workload::stateful_set),
    ("autoscaling", "HorizontalPodAutoscaler", policy::autoscaler),
    ("autoscaling", "Scale", workload::scale),
    ("batch", "CronJob", workload::cron_job),
    ("batch", "Job", workload::job),
    ("certificates.k8s.io", "CertificateSigningRequest", cluster::signing_request),
    ("events.k8s.io", "Event", cluster::grouped_event),
    ("networking.k8s.io", "Ingress", network::ingress),
    ("networking.k8s.io", "NetworkPolicy", network::network_policy),
    ("policy", "PodDisruptionBudget", policy::disruption_budget),
    ("rbac.authorization.k8s.io", "ClusterRole", policy::cluster_role),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", policy::role_binding),
    ("rbac.authorization.k8s.io", "Role", policy::role),
    ("rbac.authorization.k8s.io", "RoleBinding", policy::role_binding),
    ("scheduling.k8s.io", "PriorityClass", policy::priority_class),
    ("storage.k8s.io", "StorageClass", storage::class),
];

/// What is wrong with an object of a built-in kind.
pub(super) fn problems(kind: &BuiltinKind, old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let rule = RULES.iter().find(|(group, name, _)| *group == kind.group && *name == kind.kind);
    rule.map_or_else(Vec::new, |(_, _, rule)| rule(old, new))
}

#[cfg(test)]
mod tests;
