//! What a component declares it provides, and the objects that follow from it. The pods of a stand-in run no
//! software: a pause container holds their place, under the strictest Pod Security level, so that they fit every
//! namespace.

use aegis_engine::CallError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The image that does nothing but wait; every cluster has it for its pod sandboxes.
const PAUSE: &str = "registry.k8s.io/pause:3.10";

/// Whole objects, or short declarations by kind.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::helm) enum Provides {
    /// Objects as they shall be.
    Objects(Vec<Map<String, Value>>),
    /// Short forms.
    Declared(Declared),
}

/// What a component provides, in short.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::helm) struct Declared {
    /// Definitions: `certificates.cert-manager.io/v1 Certificate Namespaced`; several versions as `v1,v1beta1`,
    /// the stored one first; `Namespaced` may be left out.
    crds: Vec<String>,
    /// Deployments, StatefulSets and DaemonSets.
    workloads: Vec<Workload>,
    /// Services in front of them.
    services: Vec<Service>,
    /// Admission webhooks; they are registered for no request, because nothing would answer.
    webhooks: Vec<Webhook>,
    /// Anything else, as whole objects.
    objects: Vec<Map<String, Value>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum WorkloadKind {
    #[default]
    Deployment,
    StatefulSet,
    DaemonSet,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Workload {
    /// Deployment by default.
    #[serde(default)]
    kind: WorkloadKind,
    /// Name of the workload, and of the label its pods have.
    name: String,
    /// The release's namespace by default.
    #[serde(default)]
    namespace: Option<String>,
    /// Not for a DaemonSet. Default 1.
    #[serde(default)]
    replicas: Option<u32>,
    /// A pause image by default.
    #[serde(default)]
    image: Option<String>,
    /// More labels of the workload and its pods.
    #[serde(default)]
    labels: Map<String, Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Service {
    /// Name of the Service.
    name: String,
    /// The release's namespace by default.
    #[serde(default)]
    namespace: Option<String>,
    /// Port number. Default 80.
    #[serde(default)]
    port: Option<u16>,
    /// Name of the workload behind it; the Service's own name by default.
    #[serde(default)]
    workload: Option<String>,
    /// `ClusterIP`, `LoadBalancer` or `NodePort`. Default `ClusterIP`.
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum WebhookKind {
    Validating,
    Mutating,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Webhook {
    /// Name of the configuration.
    name: String,
    /// Which of the two.
    kind: WebhookKind,
}

impl Provides {
    /// The objects, definitions first.
    pub(in crate::helm) fn objects(&self, namespace: &str) -> Result<Vec<Value>, CallError> {
        let objects = match self {
            Self::Objects(objects) => objects.iter().cloned().map(Value::Object).collect(),
            Self::Declared(declared) => declared.objects(namespace)?,
        };
        for object in &objects {
            for field in ["/apiVersion", "/kind", "/metadata/name"] {
                if object.pointer(field).and_then(Value::as_str).is_none_or(str::is_empty) {
                    let field = field[1..].replace('/', ".");
                    return Err(CallError::argument(format!("an object in `provides` has no `{field}`")));
                }
            }
        }
        Ok(objects)
    }
}

impl Declared {
    fn objects(&self, namespace: &str) -> Result<Vec<Value>, CallError> {
        let mut objects = self.crds.iter().map(|line| definition(line)).collect::<Result<Vec<_>, _>>()?;
        objects.extend(self.workloads.iter().map(|workload| workload.object(namespace)));
        objects.extend(self.services.iter().map(|service| service.object(namespace)));
        objects.extend(self.webhooks.iter().map(Webhook::object));
        objects.extend(self.objects.iter().cloned().map(Value::Object));
        Ok(objects)
    }
}

fn labels(name: &str, more: &Map<String, Value>) -> Value {
    let mut labels = more.clone();
    labels.insert("app.kubernetes.io/name".to_owned(), json!(name));
    Value::Object(labels)
}

impl Workload {
    fn object(&self, namespace: &str) -> Value {
        let selector = json!({ "app.kubernetes.io/name": self.name });
        let mut spec = json!({ "selector": { "matchLabels": selector }, "template": self.pod() });
        if self.kind != WorkloadKind::DaemonSet {
            spec["replicas"] = json!(self.replicas.unwrap_or(1));
        }
        if self.kind == WorkloadKind::StatefulSet {
            spec["serviceName"] = json!(self.name);
        }
        let namespace = self.namespace.as_deref().unwrap_or(namespace);
        json!({
            "apiVersion": "apps/v1",
            "kind": self.kind,
            "metadata": { "name": self.name, "namespace": namespace, "labels": labels(&self.name, &self.labels) },
            "spec": spec,
        })
    }

    fn pod(&self) -> Value {
        let container = json!({
            "name": "stand-in",
            "image": self.image.as_deref().unwrap_or(PAUSE),
            "resources": {
                "requests": { "cpu": "10m", "memory": "16Mi" },
                "limits": { "cpu": "10m", "memory": "16Mi" },
            },
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
        });
        let mut spec = json!({
            "containers": [container],
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65535, "seccompProfile": { "type": "RuntimeDefault" },
            },
        });
        if self.kind == WorkloadKind::DaemonSet {
            spec["tolerations"] = json!([{ "operator": "Exists" }]);
        }
        json!({ "metadata": { "labels": labels(&self.name, &self.labels) }, "spec": spec })
    }
}

impl Service {
    fn object(&self, namespace: &str) -> Value {
        let port = self.port.unwrap_or(80);
        let workload = self.workload.as_deref().unwrap_or(&self.name);
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": self.name, "namespace": self.namespace.as_deref().unwrap_or(namespace) },
            "spec": {
                "type": self.kind.as_deref().unwrap_or("ClusterIP"),
                "selector": { "app.kubernetes.io/name": workload },
                "ports": [{ "name": "main", "port": port, "targetPort": port, "protocol": "TCP" }],
            },
        })
    }
}

impl Webhook {
    fn object(&self) -> Value {
        let kind = match self.kind {
            WebhookKind::Validating => "ValidatingWebhookConfiguration",
            WebhookKind::Mutating => "MutatingWebhookConfiguration",
        };
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": { "name": self.name },
            "webhooks": [],
        })
    }
}

/// `PLURAL.GROUP/VERSION[,VERSION] KIND [Namespaced|Cluster]`.
fn definition(line: &str) -> Result<Value, CallError> {
    let wrong = || {
        CallError::argument(format!("`{line}` is not the short form of a definition"))
            .hint("write `certificates.cert-manager.io/v1 Certificate Namespaced`")
    };
    let mut words = line.split_whitespace();
    let (name, kind) = words.next().zip(words.next()).ok_or_else(wrong)?;
    let scope = words.next().unwrap_or("Namespaced");
    let (name, versions) = name.split_once('/').ok_or_else(wrong)?;
    let (plural, group) = name.split_once('.').ok_or_else(wrong)?;
    if !["Namespaced", "Cluster"].contains(&scope) || words.next().is_some() || versions.is_empty() {
        return Err(wrong());
    }
    let versions: Vec<Value> =
        versions.split(',').enumerate().map(|(at, name)| version(name, at == 0)).collect();
    let singular = kind.to_lowercase();
    Ok(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": name },
        "spec": {
            "group": group,
            "scope": scope,
            "names": { "plural": plural, "singular": singular, "kind": kind, "listKind": format!("{kind}List") },
            "versions": versions,
        },
    }))
}

/// A version that takes any fields, with a status that controllers own.
fn version(name: &str, stored: bool) -> Value {
    json!({
        "name": name,
        "served": true,
        "storage": stored,
        "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
        "subresources": { "status": {} },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(provides: Value) -> Result<Vec<Value>, CallError> {
        let provides: Provides = serde_json::from_value(provides).unwrap();
        provides.objects("cert-manager")
    }

    #[test]
    fn short_forms_become_whole_objects() {
        let made = objects(json!({
            "crds": ["certificates.cert-manager.io/v1,v1beta1 Certificate", "clusterissuers.cert-manager.io/v1 ClusterIssuer Cluster"],
            "workloads": [{ "name": "webhook", "replicas": 3 }, { "kind": "DaemonSet", "name": "agent", "namespace": "kube-system" }],
            "services": [{ "name": "webhook", "port": 443 }],
            "webhooks": [{ "name": "cert-manager-webhook", "kind": "Validating" }],
        }))
        .unwrap();
        let told: Vec<String> = made
            .iter()
            .map(|object| {
                format!(
                    "{}/{}",
                    object["kind"].as_str().unwrap(),
                    object["metadata"]["name"].as_str().unwrap()
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "CustomResourceDefinition/certificates.cert-manager.io",
                "CustomResourceDefinition/clusterissuers.cert-manager.io",
                "Deployment/webhook",
                "DaemonSet/agent",
                "Service/webhook",
                "ValidatingWebhookConfiguration/cert-manager-webhook",
            ]
        );
        assert_eq!(made[0]["spec"]["versions"][1]["storage"], false);
        assert_eq!(made[1]["spec"]["scope"], "Cluster");
        assert_eq!(made[2]["spec"]["replicas"], 3);
        assert_eq!(made[2]["metadata"]["namespace"], "cert-manager");
        assert_eq!(made[3]["metadata"]["namespace"], "kube-system");
        assert!(made[3]["spec"].get("replicas").is_none());
    }

    #[test]
    fn whole_objects_stay_as_they_are() {
        let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" } });
        assert_eq!(objects(json!([config.clone()])).unwrap(), [config]);
        let error = objects(json!([{ "apiVersion": "v1", "kind": "ConfigMap" }])).unwrap_err();
        assert_eq!(error.message, "an object in `provides` has no `metadata.name`");
    }

    #[test]
    fn half_a_definition_is_refused_with_the_form() {
        for line in [
            "certificates",
            "certificates.cert-manager.io Certificate",
            "a.b/v1 A Everywhere",
            "a.b/v1 A Cluster x",
        ] {
            let error = objects(json!({ "crds": [line] })).unwrap_err();
            assert_eq!(error.message, format!("`{line}` is not the short form of a definition"));
        }
    }
}
