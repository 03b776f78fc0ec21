//! The Job of a run, as a value. It holds under the strictest Pod Security (`restricted`), its names and variables say
//! which run it is for, and no secret stands in it: only references to Secrets.

use aegis_engine::journal::Location;
use aegis_engine::journal::location::VARIABLES;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::target::ExecutorTarget;

/// Names of Jobs become labels of their pods, which have at most 63 characters.
const LONGEST: usize = 63;

/// How long a pod has to let go of its run: a call that was stopped ends its programs first.
const GRACE: u32 = 60;

/// A run that is to execute as a Job.
#[derive(Debug, Clone)]
pub struct Work {
    /// The run.
    pub run: String,
    /// Name of its target.
    pub target: String,
    /// Where it is to execute.
    pub location: Location,
}

/// Name of the n-th Job of a run: it follows from the two, so that no two engines can make two of them.
#[must_use]
pub fn job_name(run: &str, number: usize) -> String {
    let (prefix, tail) = ("aegis-run-", format!("-{number}"));
    let room = LONGEST - prefix.len() - tail.len();
    if run.len() <= room {
        return format!("{prefix}{run}{tail}");
    }
    let hash = hex::encode(&Sha256::digest(run.as_bytes())[..4]);
    let (kept, _) = run.split_at(room - hash.len() - 1);
    format!("{prefix}{}-{hash}{tail}", kept.trim_end_matches('-'))
}

/// The Job.
pub(super) fn job(executor: &ExecutorTarget, namespace: &str, work: &Work) -> Value {
    let mut labels = json!({
        "app.kubernetes.io/name": "aegis",
        "app.kubernetes.io/managed-by": "aegis",
        "app.kubernetes.io/component": "run",
    });
    lay(&mut labels, json!(executor.labels));
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": work.location.job,
            "namespace": namespace,
            "labels": labels,
            "annotations": { "aegis.dev/run": work.run, "aegis.dev/target": work.target },
        },
        "spec": {
            "backoffLimit": executor.retries(),
            "ttlSecondsAfterFinished": executor.kept().as_secs(),
            // A pod on a node that nobody hears of is replaced at once: whatever it still does is refused by its fence.
            "podReplacementPolicy": "TerminatingOrFailed",
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": with(json!({ "aegis.dev/run": work.run }), json!(executor.annotations)),
                },
                "spec": with(pod(executor, work), json!(executor.pod)),
            },
        },
    })
}

fn pod(executor: &ExecutorTarget, work: &Work) -> Value {
    let mut volumes = vec![
        json!({ "name": "state", "emptyDir": { "sizeLimit": "1Gi" } }),
        json!({ "name": "scratch", "emptyDir": { "sizeLimit": "1Gi" } }),
    ];
    volumes.extend(
        executor.project.iter().map(|name| json!({ "name": "project", "configMap": { "name": name } })),
    );
    let mut pod = json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [with(container(executor, work), json!(executor.container))],
        "volumes": volumes,
    });
    if let Some(account) = &executor.service_account {
        pod["serviceAccountName"] = json!(account);
    }
    pod
}

fn container(executor: &ExecutorTarget, work: &Work) -> Value {
    let mut mounts = vec![
        json!({ "name": "state", "mountPath": "/var/lib/aegis" }),
        json!({ "name": "scratch", "mountPath": "/tmp" }),
    ];
    let mut arguments = vec!["execute".to_owned(), work.run.clone()];
    if executor.project.is_some() {
        mounts.push(json!({ "name": "project", "mountPath": "/project", "readOnly": true }));
        arguments.extend(["--project".to_owned(), "/project".to_owned()]);
    }
    let mut container = json!({
        "name": "aegis",
        "image": executor.image,
        "args": arguments,
        "env": variables(executor, &work.location),
        "resources": { "requests": executor.requests, "limits": executor.limits },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
        "volumeMounts": mounts,
    });
    if !executor.command.is_empty() {
        container["command"] = json!(executor.command);
    }
    if !executor.secrets.is_empty() {
        let from = executor.secrets.iter().map(|name| json!({ "secretRef": { "name": name } }));
        container["envFrom"] = from.collect();
    }
    container
}

fn variables(executor: &ExecutorTarget, location: &Location) -> Value {
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    let database =
        json!({ "secretKeyRef": { "name": executor.database.secret, "key": executor.database.key } });
    let [cluster, namespace, job, pod, node] = VARIABLES;
    json!([
        { "name": "AEGIS_STATE_DIR", "value": "/var/lib/aegis" },
        { "name": "HOME", "value": "/var/lib/aegis" },
        { "name": "TMPDIR", "value": "/tmp" },
        { "name": "AEGIS_DATABASE_URL", "valueFrom": database },
        { "name": cluster, "value": location.cluster },
        { "name": namespace, "value": location.namespace },
        { "name": job, "value": location.job },
        { "name": pod, "valueFrom": field("metadata.name") },
        { "name": node, "valueFrom": field("spec.nodeName") },
    ])
}

fn with(mut base: Value, over: Value) -> Value {
    lay(&mut base, over);
    base
}

/// Lays one value over another: maps key by key, lists one after the other, everything else in its place.
fn lay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                lay(base.entry(key).or_insert_with(|| empty_like(&value)), value);
            }
        }
        (Value::Array(base), Value::Array(over)) => base.extend(over),
        (base, over) => *base = over,
    }
}

fn empty_like(value: &Value) -> Value {
    match value {
        Value::Object(_) => Value::Object(Map::new()),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executor(more: &str) -> ExecutorTarget {
        toml::from_str(&format!(
            "image = \"aegis:1\"\ndatabase = {{ secret = \"db\", key = \"url\" }}\n{more}"
        ))
        .unwrap()
    }

    fn work() -> Work {
        let location = Location {
            cluster: "management".into(),
            namespace: "aegis".into(),
            job: job_name("nightly-20261123-020000-k3f9", 1),
            ..Location::default()
        };
        Work { run: "nightly-20261123-020000-k3f9".into(), target: "prod".into(), location }
    }

    #[test]
    fn a_name_says_the_run_and_fits_into_a_label() {
        assert_eq!(job_name("nightly-20261123-020000-k3f9", 2), "aegis-run-nightly-20261123-020000-k3f9-2");
        let long = format!("{}-20261123-020000-k3f9", "weekly".repeat(20));
        let (one, other) = (job_name(&long, 1), job_name(&format!("{long}x"), 1));
        assert!(one.len() <= 63 && one != other, "{one} {other}");
    }

    #[test]
    fn secrets_are_referred_to_and_the_pod_is_restricted() {
        let job = job(&executor("secrets = [\"keys\"]\nproject = \"files\""), "aegis", &work());
        let pod = &job["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        assert_eq!(
            container["args"],
            json!(["execute", "nightly-20261123-020000-k3f9", "--project", "/project"])
        );
        let env = container["env"].as_array().unwrap();
        let database = env.iter().find(|variable| variable["name"] == "AEGIS_DATABASE_URL").unwrap();
        assert_eq!(database["valueFrom"]["secretKeyRef"], json!({ "name": "db", "key": "url" }));
        assert!(database["value"].is_null());
        assert_eq!(container["envFrom"], json!([{ "secretRef": { "name": "keys" } }]));
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(container["securityContext"]["capabilities"], json!({ "drop": ["ALL"] }));
        assert_eq!(pod["volumes"][2]["configMap"]["name"], "files");
    }

    #[test]
    fn what_kubernetes_knows_is_laid_over() {
        let more = "[pod]\nnodeSelector = { pool = \"ops\" }\nvolumes = [{ name = \"ca\", secret = { secretName = \"ca\" } }]\n\
                    [container]\nimagePullPolicy = \"Always\"\nenv = [{ name = \"A\", value = \"1\" }]\n";
        let job = job(&executor(more), "aegis", &work());
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["nodeSelector"]["pool"], "ops");
        assert_eq!(pod["volumes"].as_array().unwrap().len(), 3);
        assert_eq!(pod["containers"][0]["imagePullPolicy"], "Always");
        assert_eq!(pod["containers"][0]["env"].as_array().unwrap().last().unwrap()["name"], "A");
    }
}
