//! `kind/name` as people write it, or an object a script already has in hand. Pure: `world.rs` looks the kind
//! up in what the cluster serves.

use aegis_engine::error::CallError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Something in the cluster: `kind/name` text, or a map with `kind` and `name` (an object that `get` or `list`
/// answered, or an item of `nodes`).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Target {
    /// `deployment/web`, `deploy/web`, `kafkas.kafka.strimzi.io/main`, or a kind alone where that makes sense.
    Text(String),
    /// An object.
    Object(Map<String, Value>),
}

/// A target taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reference {
    pub(super) kind: KindWord,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
}

/// How a target says its kind.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum KindWord {
    /// As a person says it.
    Word(String),
    /// As a manifest says it.
    Exact { api_version: String, kind: String },
}

impl KindWord {
    pub(super) fn as_written(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Exact { kind, .. } => kind,
        }
    }
}

impl Target {
    /// Takes it apart.
    pub(super) fn reference(&self) -> Result<Reference, CallError> {
        match self {
            Self::Text(text) => parse(text),
            Self::Object(object) => of_object(object),
        }
    }

    /// As [`Target::reference`], where a bare name is one of `kind` (`cordon("w1")`).
    pub(super) fn reference_to(&self, kind: &str) -> Result<Reference, CallError> {
        match self {
            Self::Text(name) if !name.contains('/') => Ok(Reference {
                kind: KindWord::Word(kind.to_owned()),
                namespace: None,
                name: Some(name.clone()),
            }),
            other => other.reference(),
        }
    }

    /// The scope of a capability: `shop/deployments/web`, `nodes/w1`. A call that names no namespace, on a kind
    /// that may have one, has `_` in its place: the namespace is the target's own.
    pub(super) fn scope(&self, namespace: Option<&str>) -> Option<String> {
        let reference = self.reference().ok()?;
        Some(scope(&reference, namespace))
    }

    /// As [`Target::scope`] for a target where a bare name is a node.
    pub(super) fn node_scope(&self) -> Option<String> {
        Some(scope(&self.reference_to("nodes").ok()?, None))
    }
}

fn parse(text: &str) -> Result<Reference, CallError> {
    let (kind, name) = match text.split_once('/') {
        Some((kind, name)) => (kind, Some(name)),
        None => (text, None),
    };
    if kind.is_empty() || name.is_some_and(|name| name.is_empty() || name.contains('/')) {
        let error = CallError::argument(format!("`{text}` is not a target"));
        return Err(error.hint("write `kind/name`, as in `deployment/web`"));
    }
    Ok(Reference { kind: KindWord::Word(kind.to_owned()), namespace: None, name: name.map(str::to_owned) })
}

fn of_object(object: &Map<String, Value>) -> Result<Reference, CallError> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
    let metadata =
        |key: &str| object.get("metadata").and_then(|metadata| metadata[key].as_str()).map(str::to_owned);
    let kind =
        text("kind").ok_or_else(|| CallError::argument("a map that stands for an object needs `kind`"))?;
    let kind = match text("apiVersion") {
        Some(api_version) => KindWord::Exact { api_version, kind },
        None => KindWord::Word(kind),
    };
    let name = metadata("name").or_else(|| text("name"));
    Ok(Reference { kind, namespace: metadata("namespace").or_else(|| text("namespace")), name })
}

/// The capability scope of a reference.
pub(super) fn scope(reference: &Reference, namespace: Option<&str>) -> String {
    let plural = plural_of(reference.kind.as_written());
    let name = reference.name.as_deref().unwrap_or("*");
    if CLUSTER_KINDS.contains(&plural.as_str()) {
        return format!("{plural}/{name}");
    }
    let namespace = reference.namespace.as_deref().or(namespace).unwrap_or("_");
    format!("{namespace}/{plural}/{name}")
}

/// The plural of a built-in kind by any of its names, so that one `needs` line covers every spelling. Words
/// that are not built in stay as they are.
fn plural_of(word: &str) -> String {
    let lower = word.to_lowercase();
    let bare = lower.split('.').next().unwrap_or(&lower);
    let known = BUILT_IN.iter().find(|(plural, others)| *plural == bare || others.contains(&bare));
    known.map_or(lower.clone(), |(plural, _)| (*plural).to_owned())
}

/// Built-in kinds by plural, with their singular and short names (`kubectl api-resources`).
const BUILT_IN: &[(&str, &[&str])] = &[
    ("pods", &["pod", "po"]),
    ("services", &["service", "svc"]),
    ("configmaps", &["configmap", "cm"]),
    ("secrets", &["secret"]),
    ("namespaces", &["namespace", "ns"]),
    ("nodes", &["node", "no"]),
    ("events", &["event", "ev"]),
    ("serviceaccounts", &["serviceaccount", "sa"]),
    ("persistentvolumes", &["persistentvolume", "pv"]),
    ("persistentvolumeclaims", &["persistentvolumeclaim", "pvc"]),
    ("resourcequotas", &["resourcequota", "quota"]),
    ("limitranges", &["limitrange", "limits"]),
    ("endpoints", &["endpoint", "ep"]),
    ("replicationcontrollers", &["replicationcontroller", "rc"]),
    ("deployments", &["deployment", "deploy"]),
    ("replicasets", &["replicaset", "rs"]),
    ("statefulsets", &["statefulset", "sts"]),
    ("daemonsets", &["daemonset", "ds"]),
    ("jobs", &["job"]),
    ("cronjobs", &["cronjob", "cj"]),
    ("horizontalpodautoscalers", &["horizontalpodautoscaler", "hpa"]),
    ("poddisruptionbudgets", &["poddisruptionbudget", "pdb"]),
    ("networkpolicies", &["networkpolicy", "netpol"]),
    ("ingresses", &["ingress", "ing"]),
    ("ingressclasses", &["ingressclass"]),
    ("storageclasses", &["storageclass", "sc"]),
    ("priorityclasses", &["priorityclass", "pc"]),
    ("roles", &["role"]),
    ("rolebindings", &["rolebinding"]),
    ("clusterroles", &["clusterrole"]),
    ("clusterrolebindings", &["clusterrolebinding"]),
    ("customresourcedefinitions", &["customresourcedefinition", "crd", "crds"]),
];

/// Built-in kinds without a namespace.
const CLUSTER_KINDS: &[&str] = &[
    "namespaces",
    "nodes",
    "persistentvolumes",
    "ingressclasses",
    "storageclasses",
    "priorityclasses",
    "clusterroles",
    "clusterrolebindings",
    "customresourcedefinitions",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Target {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_spelling_of_a_kind_has_one_scope() {
        for text in ["deploy/web", "deployment/web", "Deployment/web", "deployments.apps/web"] {
            assert_eq!(
                Target::Text(text.to_owned()).scope(Some("shop")).as_deref(),
                Some("shop/deployments/web")
            );
        }
        assert_eq!(Target::Text("no/w1".to_owned()).scope(Some("shop")).as_deref(), Some("nodes/w1"));
        assert_eq!(Target::Text("pods".to_owned()).scope(None).as_deref(), Some("_/pods/*"));
        assert_eq!(Target::Text("w1".to_owned()).node_scope().as_deref(), Some("nodes/w1"));
    }

    #[test]
    fn an_object_stands_for_itself() {
        let pod =
            object(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "b"}}));
        assert_eq!(pod.scope(None).as_deref(), Some("b/pods/a"));
        let node = object(json!({"kind": "Node", "name": "w1"}));
        assert_eq!(node.reference().unwrap().name.as_deref(), Some("w1"));
    }

    #[test]
    fn half_a_target_is_refused_with_the_form() {
        for text in ["/web", "deployment/", "a/b/c", ""] {
            let error = Target::Text(text.to_owned()).reference().unwrap_err();
            assert_eq!(error.message, format!("`{text}` is not a target"));
        }
    }
}
