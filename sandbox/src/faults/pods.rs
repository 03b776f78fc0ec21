//! Pods that are killed, and faults that end by themselves.

use serde_json::json;

use super::{Fault, KIND, span};
use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object};
use crate::controllers::names::fnv1a;
use crate::controllers::pods::is_active;

/// Kills pods, and removes faults whose time is over.
pub const CONTROLLER: Controller =
    Controller { name: "aegis-faults", manager: "aegis-faults", wakes, reconcile };

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    change.itself(KIND)
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(object) = world.cache.find(key) else { return plan };
    let Some(fault) = Fault::read(object) else { return plan };
    if let Some(whole) = span(&fault.lasts) {
        match world.left_of(whole, object.text("/metadata/creationTimestamp")) {
            Some(left) => plan.upkeep(left),
            None => {
                plan.push(Write::delete(object));
                return plan;
            }
        }
    }
    if fault.is("pod-kill") && object.at("/status/killed").is_null() {
        kill(object, &fault, world, &mut plan);
    }
    plan
}

/// Deletes the pods that the seed chooses, once.
fn kill(object: &Object, fault: &Fault, world: &World<'_>, plan: &mut Plan) {
    let mut victims: Vec<&Object> =
        world.cache.list("Pod").filter(|pod| is_active(pod) && fault.hits_pod(pod)).collect();
    victims.sort_by_key(|pod| fnv1a(format!("{}/{}/{}", fault.seed, pod.namespace(), pod.name()).as_bytes()));
    victims.truncate(fault.count.unwrap_or(1));
    let names: Vec<String> =
        victims.iter().map(|pod| format!("{}/{}", pod.namespace(), pod.name())).collect();
    plan.status(object, json!({ "killed": names, "at": world.timestamp() }));
    for pod in victims {
        plan.warn(pod, "Killed", format!("Killed by fault {}", fault.name));
        plan.push(Write::Delete { object: (**pod).clone(), grace: Some(0), propagation: None });
    }
}
