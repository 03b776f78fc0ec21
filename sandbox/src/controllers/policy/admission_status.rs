//! Validating admission policies tell which generation has been looked at. Their expressions are compiled when a policy
//! is written, so there is never a warning about types.

use serde_json::json;

use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object};

const KIND: &str = "ValidatingAdmissionPolicy.admissionregistration.k8s.io";

/// Writes their status.
pub const CONTROLLER: Controller = Controller {
    name: "validatingadmissionpolicy-status-controller",
    manager: "validatingadmissionpolicy-status",
    wakes,
    reconcile,
};

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    change.itself(KIND)
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let is_behind = |policy: &&Object| {
        !policy.is_terminating() && policy.count("/status/observedGeneration") != policy.generation()
    };
    let Some(policy) = world.cache.find(key).filter(is_behind) else { return plan };
    let object = json!({
        "apiVersion": policy.text("/apiVersion"), "kind": policy.text("/kind"), "metadata": {"name": policy.name()},
        "status": {"observedGeneration": policy.generation(), "typeChecking": {}},
    });
    plan.push(Write::Apply { object, subresource: "status" });
    plan
}
