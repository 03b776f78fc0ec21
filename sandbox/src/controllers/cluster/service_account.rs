//! Every namespace has a ServiceAccount `default`.

use serde_json::json;

use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::Fields;

const KIND: &str = "ServiceAccount";

/// Makes default ServiceAccounts.
pub const CONTROLLER: Controller =
    Controller { name: "serviceaccount-controller", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    match change.kind == KIND && change.gone && change.object.name() == "default" {
        true => vec![Key::new("Namespace", "", change.object.namespace())],
        false => change.itself("Namespace"),
    }
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let space = world.cache.find(key).filter(|space| !space.is_terminating());
    if space.is_some() && world.cache.get(KIND, &key.name, "default").is_none() {
        plan.push(Write::Ensure(json!({
            "apiVersion": "v1",
            "kind": KIND,
            "metadata": { "name": "default", "namespace": key.name },
        })));
    }
    plan
}
