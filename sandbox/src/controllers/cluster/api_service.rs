//! APIServices: whether each aggregated API answers.
//!
//! One without a Service is served here and always available. The others are available once their
//! Service has a ready endpoint; what they answer then is the business of the API.

use serde_json::{Value, json};

use crate::controllers::cache::{Cache, Key};
use crate::controllers::conditions::{Condition, set_condition};
use crate::controllers::controller::{Change, Controller, Plan, World};
use crate::controllers::fields::Fields;

const KIND: &str = "APIService.apiregistration.k8s.io";
const SLICE: &str = "EndpointSlice.discovery.k8s.io";

/// Watches aggregated APIs.
pub const CONTROLLER: Controller =
    Controller { name: "apiservice-controller", manager: "kube-apiserver", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let name = match change.kind {
        KIND => return change.itself(KIND),
        "Service" => change.object.name(),
        SLICE => change.object.label("kubernetes.io/service-name"),
        _ => return Vec::new(),
    };
    let behind = cache.list(KIND).filter(|held| {
        held.text("/spec/service/name") == name
            && held.text("/spec/service/namespace") == change.object.namespace()
    });
    behind.map(|held| Key::of(held)).collect()
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(service) = world.cache.find(key) else { return plan };
    let mut conditions = service.list("/status/conditions").to_vec();
    set_condition(&mut conditions, &availability(service, world.cache), &world.timestamp(), json!({}));
    plan.status(service, json!({ "conditions": conditions }));
    plan
}

fn availability(api: &Value, cache: &Cache) -> Condition<'static> {
    if !api.at("/spec/service").is_object() {
        return Condition::new("Available", "True", "Local", "Local APIServices are always available");
    }
    let (namespace, name) = (api.text("/spec/service/namespace"), api.text("/spec/service/name"));
    if cache.get("Service", namespace, name).is_none() {
        let message = format!("service/{name} in \"{namespace}\" is not present");
        return Condition::new("Available", "False", "ServiceNotFound", message);
    }
    let slices =
        cache.list_in(SLICE, namespace).filter(|slice| slice.label("kubernetes.io/service-name") == name);
    let ready =
        slices.flat_map(|slice| slice.list("/endpoints")).any(|endpoint| endpoint.flag("/conditions/ready"));
    if ready {
        return Condition::new("Available", "True", "Passed", "all checks passed");
    }
    let message =
        format!("endpoints for service/{name} in \"{namespace}\" have no addresses with port name \"\"");
    Condition::new("Available", "False", "MissingEndpoints", message)
}
