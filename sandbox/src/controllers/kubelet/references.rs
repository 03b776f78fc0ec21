//! What a pod needs that is not there: Secrets, ConfigMaps and bound claims.
//!
//! A real kubelet waits for them, so a simulation that does not would call broken installs healthy.
//! References marked `optional` need not exist.

use serde_json::Value;

use super::super::cache::Cache;
use super::super::fields::{Fields, Object};

/// Why a volume cannot be mounted: the event's text.
pub(super) fn missing_volume(pod: &Value, cache: &Cache) -> Option<String> {
    pod.list("/spec/volumes").iter().find_map(|volume| {
        let name = volume.text("/name");
        let problem = volume_problem(pod, volume, cache)?;
        Some(format!("MountVolume.SetUp failed for volume \"{name}\" : {problem}"))
    })
}

fn volume_problem(pod: &Value, volume: &Value, cache: &Cache) -> Option<String> {
    let namespace = pod.namespace();
    let sources = volume.list("/projected/sources").iter().chain(std::iter::once(volume));
    for source in sources {
        let secret = source.at("/secret");
        // A volume says `secretName`, a projected source says `name`.
        let name = [secret.text("/secretName"), secret.text("/name")].concat();
        if let Some(problem) = absent("Secret", namespace, &name, secret, cache) {
            return Some(problem);
        }
        let map = source.at("/configMap");
        if let Some(problem) = absent("ConfigMap", namespace, map.text("/name"), map, cache) {
            return Some(problem);
        }
    }
    claim_name(pod, volume).and_then(|claim| unbound(namespace, &claim, cache))
}

/// The claim a volume stands for, if any: named, or made for an ephemeral volume.
pub(in super::super) fn claim_name(pod: &Value, volume: &Value) -> Option<String> {
    let named = volume.text("/persistentVolumeClaim/claimName");
    if !named.is_empty() {
        return Some(named.to_owned());
    }
    let ephemeral = volume.at("/ephemeral").is_object();
    ephemeral.then(|| format!("{}-{}", pod.name(), volume.text("/name")))
}

fn unbound(namespace: &str, claim: &str, cache: &Cache) -> Option<String> {
    match cache.get("PersistentVolumeClaim", namespace, claim) {
        None => Some(format!("persistentvolumeclaim \"{claim}\" not found")),
        Some(held) if held.text("/status/phase") != "Bound" => {
            Some(format!("persistentvolumeclaim \"{claim}\" is not bound"))
        }
        Some(_) => None,
    }
}

/// Why a container cannot be configured: the text of `CreateContainerConfigError`.
pub(super) fn missing_environment(pod: &Value, container: &Value, cache: &Cache) -> Option<String> {
    let namespace = pod.namespace();
    let whole = container.list("/envFrom").iter().find_map(|from| {
        absent("Secret", namespace, from.text("/secretRef/name"), from.at("/secretRef"), cache).or_else(
            || {
                absent(
                    "ConfigMap",
                    namespace,
                    from.text("/configMapRef/name"),
                    from.at("/configMapRef"),
                    cache,
                )
            },
        )
    });
    whole.or_else(|| {
        container.list("/env").iter().find_map(|variable| {
            key_problem("Secret", namespace, variable.at("/valueFrom/secretKeyRef"), cache).or_else(|| {
                key_problem("ConfigMap", namespace, variable.at("/valueFrom/configMapKeyRef"), cache)
            })
        })
    })
}

fn key_problem(kind: &str, namespace: &str, reference: &Value, cache: &Cache) -> Option<String> {
    let name = reference.text("/name");
    if name.is_empty() || reference.flag("/optional") {
        return None;
    }
    let Some(object) = cache.get(kind, namespace, name) else {
        return absent(kind, namespace, name, reference, cache);
    };
    let key = reference.text("/key");
    (!has_key(object, key)).then(|| format!("couldn't find key {key} in {kind} {namespace}/{name}"))
}

fn has_key(object: &Object, key: &str) -> bool {
    ["/data", "/binaryData"].iter().any(|field| object.at(field).get(key).is_some())
}

fn absent(kind: &str, namespace: &str, name: &str, reference: &Value, cache: &Cache) -> Option<String> {
    let wanted = !name.is_empty() && !reference.flag("/optional");
    (wanted && cache.get(kind, namespace, name).is_none())
        .then(|| format!("{} \"{name}\" not found", kind.to_lowercase()))
}
