//! Secrets of type `kubernetes.io/service-account-token`: each gets a token of the account it names, which lives as
//! long as the Secret. One whose account is not there goes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, set_key};

const KIND: &str = "Secret";
const TYPE: &str = "kubernetes.io/service-account-token";
const NAME: &str = "kubernetes.io/service-account.name";
const UID: &str = "kubernetes.io/service-account.uid";

/// Fills Secrets.
pub const CONTROLLER: Controller = Controller {
    name: "serviceaccount-token-controller",
    manager: "kube-controller-manager",
    wakes,
    reconcile,
};

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    match change.kind {
        KIND if change.object.text("/type") == TYPE => change.itself(KIND),
        "ServiceAccount" => cache
            .list_in(KIND, change.object.namespace())
            .filter(|secret| secret.text("/type") == TYPE && secret.annotation(NAME) == change.object.name())
            .map(|secret| Key::of(secret))
            .collect(),
        _ => Vec::new(),
    }
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(secret) = world.cache.find(key).filter(|secret| !secret.is_terminating()) else { return plan };
    let account = world.cache.get("ServiceAccount", &key.namespace, secret.annotation(NAME));
    let is_of =
        |account: &&crate::controllers::fields::Object| ["", account.uid()].contains(&secret.annotation(UID));
    let Some(account) = account.filter(is_of) else {
        plan.push(Write::delete(secret));
        return plan;
    };
    let mut wanted = Value::clone(secret);
    set_key(&mut wanted, "/metadata/annotations", UID, account.uid());
    for (field, text) in [("ca.crt", &*world.settings.certificate_authority), ("namespace", &*key.namespace)]
    {
        set_key(&mut wanted, "/data", field, STANDARD.encode(text));
    }
    if secret.text("/data/token").is_empty() {
        plan.push(Write::Token { secret: wanted, account: Value::clone(account) });
    } else {
        plan.replace(secret, wanted);
    }
    plan
}
