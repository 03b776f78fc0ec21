//! Vaults that unseal themselves: with a key given in the environment, a server that joins an unsealed
//! cluster is unsealed too, and one that starts again stays so.
//!
//! The first server of a cluster is unsealed by a person (see `operators/openbao.yaml`), as
//! `operator init` is. Without a key each server waits for its own unsealing.

use serde_json::Value;

use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World};
use crate::controllers::fields::{Fields, Object, set_key};

/// The product's prefix of labels, as its service registration writes them.
const PRODUCTS: [&str; 2] = ["openbao", "vault"];

/// Unseals.
pub const CONTROLLER: Controller =
    Controller { name: "aegis-players", manager: "aegis-players", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    if change.kind != "Pod" || product(change.object).is_none() {
        return Vec::new();
    }
    siblings(change.object, cache).map(|pod| Key::of(pod)).collect()
}

fn product(pod: &Value) -> Option<&'static str> {
    PRODUCTS.into_iter().find(|product| !pod.label(&format!("{product}-sealed")).is_empty())
}

/// The servers of the same StatefulSet, this one included.
fn siblings<'a>(pod: &Object, cache: &'a Cache) -> impl Iterator<Item = &'a Object> {
    let owner = pod.controller().map(|owner| owner.text("/uid").to_owned()).unwrap_or_default();
    cache.controlled("Pod", &owner).into_iter()
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(pod) = world.cache.find(key).filter(|pod| !pod.is_terminating()) else { return plan };
    let Some(product) = product(pod) else { return plan };
    let is_open = |pod: &Value| pod.label(&format!("{product}-sealed")) == "false";
    let initialised = is_open(pod) || (has_key(pod) && siblings(pod, world.cache).any(|pod| is_open(pod)));
    if initialised {
        let mut open = Value::clone(pod);
        for (label, value) in [("sealed", "false"), ("initialized", "true")] {
            set_key(&mut open, "/metadata/labels", &format!("{product}-{label}"), value);
        }
        plan.replace(pod, open);
    }
    plan
}

/// Whether the server is given a key to unseal itself with.
fn has_key(pod: &Value) -> bool {
    let variables = pod.list("/spec/containers").iter().flat_map(|container| container.list("/env"));
    variables
        .map(|variable| variable.text("/name"))
        .any(|name| name.ends_with("_UNSEAL_KEY") || name.ends_with("_SEAL_TYPE"))
}
