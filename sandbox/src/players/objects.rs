//! Short forms of the objects that rules make, written out in full.
//!
//! | form | fields |
//! |---|---|
//! | `deployment`, `statefulSet`, `daemonSet`, `pod` | `name`, `replicas`, `image`, `labels`, `annotations`, `storage` (a size), `namespace` |
//! | `service` | `name`, `port`, `selector`, `headless`, `type` |
//! | `secret`, `configMap` | `name`, `data`, `type`, `labels` |
//! | `claim` | `name`, `storage`, `class` |
//! | `object` | anything, in full |

use serde_json::{Map, Value, json};

use crate::controllers::fields::{Fields, remove_key, set, set_key};

/// The object of a form, filled in already; none when the form is unknown.
pub(super) fn expand(form: &str, fields: &Value, owner: &Value) -> Option<Value> {
    let mut object = match form {
        "deployment" => workload("Deployment", fields),
        "statefulSet" => workload("StatefulSet", fields),
        "daemonSet" => workload("DaemonSet", fields),
        "pod" => pod(fields),
        "service" => service(fields),
        "secret" => holder("Secret", fields),
        "configMap" => holder("ConfigMap", fields),
        "claim" => claim(fields),
        "object" => fields.clone(),
        _ => return None,
    };
    if object.namespace().is_empty() {
        let namespace =
            [fields.text("/namespace"), owner.namespace()].into_iter().find(|name| !name.is_empty());
        if let Some(namespace) = namespace.filter(|_| form != "object" || !owner.namespace().is_empty()) {
            set(&mut object, "/metadata/namespace", namespace.into());
        }
    }
    Some(object)
}

fn labels(fields: &Value) -> Value {
    let mut labels = fields.at("/labels").as_object().cloned().unwrap_or_default();
    if labels.is_empty() {
        labels.insert("app.kubernetes.io/name".into(), fields.at("/name").clone());
    }
    Value::Object(labels)
}

fn container(fields: &Value) -> Value {
    let name = fields.text("/container");
    json!({
        "name": if name.is_empty() { "main" } else { name },
        "image": fields.text("/image"),
        "imagePullPolicy": "IfNotPresent",
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
    })
}

/// Fits every namespace: real operators give their pods what the restricted Pod Security level asks for.
fn pod_spec(fields: &Value) -> Value {
    json!({
        "containers": [container(fields)],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "schedulerName": "default-scheduler",
    })
}

fn workload(kind: &str, fields: &Value) -> Value {
    let labels = labels(fields);
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": { "name": fields.text("/name"), "labels": labels },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod_spec(fields) },
            "revisionHistoryLimit": 10,
        },
    });
    if kind != "DaemonSet" {
        set(&mut object, "/spec/replicas", fields.number("/replicas").unwrap_or(1).into());
    } else {
        set(&mut object, "/spec/template/spec/tolerations", json!([{ "operator": "Exists" }]));
    }
    if kind == "StatefulSet" {
        set(&mut object, "/spec/serviceName", fields.text("/name").into());
        set(&mut object, "/spec/podManagementPolicy", "Parallel".into());
        if !fields.text("/storage").is_empty() {
            set(&mut object, "/spec/volumeClaimTemplates", json!([claim_template(fields)]));
        }
    }
    annotate(&mut object, "/spec/template/metadata/annotations", fields);
    object
}

fn annotate(object: &mut Value, path: &str, fields: &Value) {
    for (key, value) in fields.entries("/annotations") {
        set_key(object, path, key, value.clone());
    }
}

fn claim_template(fields: &Value) -> Value {
    json!({
        "metadata": { "name": "data" },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": fields.text("/storage") } },
        },
    })
}

fn pod(fields: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": fields.text("/name"), "labels": labels(fields) },
        "spec": pod_spec(fields),
    });
    if !fields.text("/claim").is_empty() {
        let volume =
            json!([{ "name": "data", "persistentVolumeClaim": { "claimName": fields.text("/claim") } }]);
        set(&mut pod, "/spec/volumes", volume);
    }
    annotate(&mut pod, "/metadata/annotations", fields);
    pod
}

fn claim(fields: &Value) -> Value {
    let mut claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": fields.text("/name"), "labels": labels(fields) },
        "spec": claim_template(fields).at("/spec"),
    });
    if !fields.text("/class").is_empty() {
        set(&mut claim, "/spec/storageClassName", fields.at("/class").clone());
    }
    claim
}

fn service(fields: &Value) -> Value {
    let port = fields.number("/port").unwrap_or(80);
    let kind = fields.text("/type");
    let mut service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": fields.text("/name"), "labels": labels(fields) },
        "spec": {
            "type": if kind.is_empty() { "ClusterIP" } else { kind },
            "selector": fields.at("/selector"),
            "ports": [{ "name": "main", "port": port, "targetPort": port, "protocol": "TCP" }],
        },
    });
    if fields.flag("/headless") {
        set(&mut service, "/spec/clusterIP", "None".into());
    }
    if fields.at("/selector").is_null() {
        remove_key(&mut service, "/spec", "selector");
    }
    service
}

fn holder(kind: &str, fields: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": kind,
        "metadata": { "name": fields.text("/name") },
        "data": fields.at("/data").as_object().cloned().unwrap_or_else(Map::new),
    });
    for (key, value) in fields.entries("/labels") {
        set_key(&mut object, "/metadata/labels", key, value.clone());
    }
    if !fields.text("/type").is_empty() {
        object["type"] = fields.at("/type").clone();
    }
    object
}
