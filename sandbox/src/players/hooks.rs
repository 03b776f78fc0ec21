//! Hook Jobs whose output others wait for, read from their own arguments.
//!
//! | image | arguments | output |
//! |---|---|---|
//! | `kube-webhook-certgen` | `create --namespace --secret-name --host` | a Secret with a certificate (keys `ca`, `cert`, `key` or as named) |
//! | `kube-webhook-certgen` | `patch --webhook-name --secret-name` | `caBundle` of the webhook configurations |
//! | any with `kubectl` | `label ns NAME key=value` | labels on the namespace |
//! | any of Argo CD | `admin redis-initial-password` | the Secret `argocd-redis` |
//!
//! The output is there once the Job's pod has run, which is before the Job says that it is complete: whoever waits
//! for the Job (and deletes it then, as helm does) finds the output.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::certificates;
use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object, set_key};

const JOB: &str = "Job.batch";
const CONFIGURATIONS: [&str; 2] = [
    "ValidatingWebhookConfiguration.admissionregistration.k8s.io",
    "MutatingWebhookConfiguration.admissionregistration.k8s.io",
];

/// Plays hook Jobs.
pub const CONTROLLER: Controller =
    Controller { name: "aegis-players", manager: "aegis-players", wakes, reconcile };

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    if change.kind == "Pod" { change.controller(JOB) } else { change.itself(JOB) }
}

fn has_run(job: &Object, cache: &Cache) -> bool {
    job.is("SuccessCriteriaMet")
        || cache.controlled("Pod", job.uid()).into_iter().any(|pod| pod.text("/status/phase") == "Succeeded")
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(job) = world.cache.find(key).filter(|job| has_run(job, world.cache)) else { return plan };
    for container in job.list("/spec/template/spec/containers") {
        let words: Vec<&str> = ["/command", "/args"]
            .into_iter()
            .flat_map(|list| container.list(list))
            .filter_map(Value::as_str)
            .flat_map(str::split_whitespace)
            .collect();
        let image = container.text("/image");
        if image.contains("webhook-certgen") {
            certgen(job, &words, world, &mut plan);
        } else if words.contains(&"redis-initial-password") {
            redis_password(job, world, &mut plan);
        } else {
            label_namespace(&words, world, &mut plan);
        }
    }
    plan
}

/// The values of `--name=value` and `--name value`.
fn flags<'a>(words: &[&'a str]) -> BTreeMap<&'a str, &'a str> {
    let mut flags = BTreeMap::new();
    for (index, word) in words.iter().enumerate() {
        let Some(flag) = word.strip_prefix("--") else { continue };
        match flag.split_once('=') {
            Some((name, value)) => flags.insert(name, value),
            None => flags.insert(flag, words.get(index + 1).copied().unwrap_or_default()),
        };
    }
    flags
}

fn certgen(job: &Object, words: &[&str], world: &World<'_>, plan: &mut Plan) {
    let flags = flags(words);
    let flag = |name: &str, default: &'static str| flags.get(name).copied().unwrap_or(default).to_owned();
    let namespace = flags
        .get("namespace")
        .map_or(job.namespace(), |name| if name.starts_with('$') { job.namespace() } else { name });
    let secret = flag("secret-name", "");
    if words.contains(&"create") {
        let hosts: Vec<String> = flag("host", "localhost").split(',').map(str::to_owned).collect();
        let pair = certificates::issue(&hosts, world);
        let mut data = json!({});
        for (key, text) in [
            (flag("ca-name", "ca"), &pair.authority),
            (flag("cert-name", "cert"), &pair.certificate),
            (flag("key-name", "key"), &pair.key),
        ] {
            data[key] = certificates::base64(text).into();
        }
        ensure(secret_of(namespace, &secret, data), world, plan);
    } else if words.contains(&"patch") {
        let held = world.cache.get("Secret", namespace, &secret);
        let bundle = held.map_or("", |held| {
            held.at("/data").get(flag("ca-name", "ca")).and_then(Value::as_str).unwrap_or_default()
        });
        for kind in CONFIGURATIONS {
            if let Some(configuration) = world.cache.get(kind, "", &flag("webhook-name", "")) {
                trust(configuration, bundle, plan);
            }
        }
    }
}

fn secret_of(namespace: &str, name: &str, data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": namespace }, "type": "Opaque", "data": data })
}

/// Makes a Secret unless there is one: a hook that runs again leaves what it made.
fn ensure(secret: Value, world: &World<'_>, plan: &mut Plan) {
    if world.cache.get("Secret", secret.namespace(), secret.name()).is_none() {
        plan.push(Write::Ensure(secret));
    }
}

/// Writes a `caBundle` into every webhook of a configuration.
pub(super) fn trust(configuration: &Object, bundle: &str, plan: &mut Plan) {
    let mut wanted = Value::clone(configuration);
    for webhook in wanted["webhooks"].as_array_mut().into_iter().flatten() {
        if webhook.at("/clientConfig").is_object() {
            webhook["clientConfig"]["caBundle"] = bundle.into();
        }
    }
    if wanted["webhooks"].is_array() {
        plan.replace(configuration, wanted);
    }
}

fn redis_password(job: &Object, world: &World<'_>, plan: &mut Plan) {
    let purpose = format!("passwords/{}", job.namespace());
    let password = certificates::base64(&world.ambient.suffix(&purpose, 16));
    ensure(secret_of(job.namespace(), "argocd-redis", json!({ "auth": password })), world, plan);
}

/// `kubectl label ns NAME key=value ...`, as charts do to their own namespace.
fn label_namespace(words: &[&str], world: &World<'_>, plan: &mut Plan) {
    let Some(place) = words
        .windows(2)
        .position(|pair| pair[0] == "label" && matches!(pair[1], "ns" | "namespace" | "namespaces"))
    else {
        return;
    };
    let mut rest = words[place + 2..].iter().filter(|word| !word.starts_with('-'));
    let Some(space) = rest.next().and_then(|name| world.cache.get("Namespace", "", name)) else { return };
    let mut wanted = Value::clone(space);
    for (key, value) in rest.filter_map(|word| word.split_once('=')) {
        set_key(&mut wanted, "/metadata/labels", key, value);
    }
    plan.replace(space, wanted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_read_with_and_without_equals() {
        let flags = flags(&["create", "--host=a,b", "--secret-name", "s", "--create"]);
        assert_eq!(flags["host"], "a,b");
        assert_eq!(flags["secret-name"], "s");
    }
}
