//! Every namespace has the ConfigMap `kube-root-ca.crt` with the certificate that proves the API server.

use serde_json::{Value, json};

use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, set};

const KIND: &str = "ConfigMap";
const NAME: &str = "kube-root-ca.crt";

/// Publishes the certificate.
pub const CONTROLLER: Controller = Controller {
    name: "root-ca-certificate-publisher-controller",
    manager: "kube-controller-manager",
    wakes,
    reconcile,
};

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    match change.kind == KIND && change.object.name() == NAME {
        true => vec![Key::new("Namespace", "", change.object.namespace())],
        false => change.itself("Namespace"),
    }
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    if world.cache.find(key).is_none_or(|space| space.is_terminating()) {
        return plan;
    }
    let data = json!({ "ca.crt": world.settings.certificate_authority });
    match world.cache.get(KIND, &key.name, NAME) {
        None => plan.push(Write::Ensure(config_map(&key.name, data))),
        Some(held) if *held.at("/data") != data => {
            let mut wanted = Value::clone(held);
            set(&mut wanted, "/data", data);
            plan.push(Write::Replace(wanted));
        }
        Some(_) => {}
    }
    plan
}

fn config_map(namespace: &str, data: Value) -> Value {
    let description = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints \
                       such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
                       distributions of Kubernetes clusters.";
    json!({
        "apiVersion": "v1",
        "kind": KIND,
        "metadata": { "name": NAME, "namespace": namespace, "annotations": { "kubernetes.io/description": description } },
        "data": data,
    })
}
