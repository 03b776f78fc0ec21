//! What workload controllers ask about pods, and how they make one from a template.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::cache::Cache;
use super::controller::{Plan, World, Write};
use super::fields::{Fields, Object, controlled_by, owner_reference, set, with_owners};
use super::selector;

/// A pod made from `template` for `owner`, named `name`.
pub fn from_template(owner: &Value, template: &Value, name: &str) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".into(), name.into());
    metadata.insert("namespace".into(), owner.namespace().into());
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template.pointer(&format!("/metadata/{field}")) {
            metadata.insert(field.into(), value.clone());
        }
    }
    metadata.insert("ownerReferences".into(), controlled_by(owner));
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template.at("/spec") })
}

/// A pod with a random suffix behind `prefix`, as `generateName` would have made it. The name is
/// chosen here so that the note about it can be planned with it.
pub fn generated(owner: &Value, template: &Value, prefix: &str, world: &World<'_>) -> Value {
    let purpose = format!("pods/{}/{prefix}", owner.namespace());
    let name = format!("{}{}", cut(prefix, 58), world.ambient.suffix(&purpose, 5));
    let mut pod = from_template(owner, template, &name);
    set(&mut pod, "/metadata/generateName", prefix.into());
    pod
}

/// The first `length` bytes of an ASCII name.
pub fn cut(text: &str, length: usize) -> &str {
    text.get(..length).unwrap_or(text)
}

/// Whether a pod counts towards a workload: not finished, not terminating.
pub fn is_active(pod: &Value) -> bool {
    !is_finished(pod) && !pod.is_terminating()
}

/// Whether all containers have ended for good.
pub fn is_finished(pod: &Value) -> bool {
    matches!(pod.text("/status/phase"), "Succeeded" | "Failed")
}

/// Whether a pod is ready.
pub fn is_ready(pod: &Value) -> bool {
    pod.is("Ready")
}

/// Whether a pod has been ready for `min_ready_seconds`; when not yet, how long it still needs.
pub fn availability(pod: &Value, min_ready_seconds: i64, world: &World<'_>) -> Result<(), Option<Duration>> {
    let Some(ready) = pod.condition("Ready").filter(|held| held.text("/status") == "True") else {
        return Err(None);
    };
    let needed = Duration::from_secs(min_ready_seconds.max(0).unsigned_abs());
    match world.left_of(needed, ready.text("/lastTransitionTime")) {
        None => Ok(()),
        Some(left) => Err(Some(left)),
    }
}

/// How many of `pods` are available; plans another look for those that are still proving themselves.
pub fn count_available(pods: &[&Object], min_ready_seconds: i64, world: &World<'_>, plan: &mut Plan) -> i64 {
    let mut available = 0;
    for pod in pods {
        match availability(pod, min_ready_seconds, world) {
            Ok(()) => available += 1,
            Err(Some(left)) => plan.soon(left),
            Err(None) => {}
        }
    }
    available
}

/// The objects of `kind` that `owner` controls, after taking in orphans its selector matches and
/// letting go those it no longer matches.
pub fn claim<'a>(owner: &Value, kind: &str, world: &World<'a>, plan: &mut Plan) -> Vec<&'a Object> {
    let selector = owner.at("/spec/selector");
    let cache: &'a Cache = world.cache;
    let (mine, strangers): (Vec<_>, Vec<_>) = cache
        .controlled(kind, owner.uid())
        .into_iter()
        .partition(|held| selector::matches(selector, held) || owner.is_terminating());
    for stranger in strangers.into_iter().filter(|held| !held.is_terminating()) {
        let left: Vec<Value> = stranger
            .list("/metadata/ownerReferences")
            .iter()
            .filter(|reference| reference.text("/uid") != owner.uid())
            .cloned()
            .collect();
        plan.push(Write::Replace(with_owners(stranger, left)));
    }
    if !owner.is_terminating() {
        let orphans = cache.orphans(kind, owner.namespace()).into_iter();
        let wanted = orphans
            .filter(|held| !held.is_terminating() && (kind != "Pod" || is_active(held)))
            .filter(|held| selector::matches(selector, held));
        for orphan in wanted {
            plan.push(Write::Replace(with_owners(orphan, vec![owner_reference(owner)])));
        }
    }
    mine
}

/// A map of counts without the zeros, as `omitempty` leaves them.
pub fn without_zeros(counts: &[(&str, i64)]) -> Map<String, Value> {
    counts
        .iter()
        .filter(|(_, count)| *count != 0)
        .map(|(name, count)| ((*name).to_owned(), Value::from(*count)))
        .collect()
}
