//! Protection: a claim stays while a pod uses it, a volume while it is bound.

use serde_json::Value;

use super::{CLAIM, VOLUME, claim_of};
use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, remove_finalizer};
use crate::controllers::kubelet::references::claim_name;
use crate::controllers::pods;

const OF_CLAIM: &str = "kubernetes.io/pvc-protection";
const OF_VOLUME: &str = "kubernetes.io/pv-protection";

/// Lets go what is no longer used.
pub const CONTROLLER: Controller =
    Controller { name: "pvc-protection-controller", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    match change.kind {
        CLAIM => {
            let mut keys = change.itself(CLAIM);
            if change.gone {
                keys.push(Key::new(VOLUME, "", change.object.text("/spec/volumeName")));
            }
            keys
        }
        VOLUME => change.itself(VOLUME),
        "Pod" if change.gone || pods::is_finished(change.object) => {
            let pod = change.object;
            let claims = pod.list("/spec/volumes").iter().filter_map(|volume| claim_name(pod, volume));
            claims.map(|claim| Key::new(CLAIM, pod.namespace(), &claim)).collect()
        }
        _ => Vec::new(),
    }
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(object) = world.cache.find(key).filter(|object| object.is_terminating()) else { return plan };
    let (finalizer, used) = match key.kind == CLAIM {
        true => (OF_CLAIM, is_mounted(object, world.cache)),
        false => (OF_VOLUME, claim_of(object, world.cache).is_some()),
    };
    if object.has_finalizer(finalizer) && !used {
        let mut free = Value::clone(object);
        remove_finalizer(&mut free, finalizer);
        plan.push(Write::Replace(free));
    }
    plan
}

fn is_mounted(claim: &Value, cache: &Cache) -> bool {
    cache.list_in("Pod", claim.namespace()).any(|pod| {
        let names = |volume| claim_name(pod, volume).is_some_and(|name| name == claim.name());
        !pods::is_finished(pod)
            && !pod.text("/spec/nodeName").is_empty()
            && pod.list("/spec/volumes").iter().any(names)
    })
}
