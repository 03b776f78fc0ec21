//! APIServices: which groups and versions there are, and whether each aggregated API answers.
//!
//! One without a Service is served here and always available; those of custom kinds come and go with their
//! definitions. The others are available once their Service has a ready endpoint; what they answer then is the
//! business of the API.

use serde_json::{Value, json};

use crate::controllers::cache::{Cache, Key};
use crate::controllers::conditions::{Condition, set_condition};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::Fields;

const KIND: &str = "APIService.apiregistration.k8s.io";
const SLICE: &str = "EndpointSlice.discovery.k8s.io";
const DEFINITION: &str = "CustomResourceDefinition.apiextensions.k8s.io";
/// Says who keeps an APIService: `onstart` for what is built in, `true` for what definitions bring.
const KEEPER: &str = "kube-aggregator.kubernetes.io/automanaged";

/// The priorities of groups, as the real server orders what it serves itself.
const PRIORITIES: &[(&str, i64)] = &[
    ("", 18000),
    ("apps", 17800),
    ("events.k8s.io", 17750),
    ("authentication.k8s.io", 17700),
    ("authorization.k8s.io", 17600),
    ("autoscaling", 17500),
    ("batch", 17400),
    ("certificates.k8s.io", 17300),
    ("networking.k8s.io", 17200),
    ("policy", 17100),
    ("rbac.authorization.k8s.io", 17000),
    ("storage.k8s.io", 16800),
    ("apiextensions.k8s.io", 16700),
    ("admissionregistration.k8s.io", 16700),
    ("scheduling.k8s.io", 16600),
    ("coordination.k8s.io", 16500),
    ("node.k8s.io", 16300),
    ("discovery.k8s.io", 16200),
    ("resource.k8s.io", 16200),
    ("flowcontrol.apiserver.k8s.io", 16100),
];
/// The priority of groups of custom kinds, and of each of their versions.
const CUSTOM: (i64, i64) = (1000, 100);

/// Watches aggregated APIs.
pub const CONTROLLER: Controller =
    Controller { name: "apiservice-controller", manager: "kube-apiserver", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let name = match change.kind {
        KIND => return change.itself(KIND),
        "Service" => change.object.name(),
        SLICE => change.object.label("kubernetes.io/service-name"),
        DEFINITION => {
            return versions(change.object)
                .chain(change.previous.into_iter().flat_map(|held| versions(held)))
                .collect();
        }
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
    let (version, group) = key.name.split_once('.').unwrap_or_default();
    let is_defined =
        || world.cache.list(DEFINITION).any(|held| versions(held).any(|version| version == *key));
    let Some(service) = world.cache.find(key) else {
        if is_defined() {
            plan.push(Write::Ensure(local(group, version, "true")));
        }
        return plan;
    };
    if service.label(KEEPER) == "true" && !is_defined() {
        plan.push(Write::delete(service));
        return plan;
    }
    let mut conditions = service.list("/status/conditions").to_vec();
    set_condition(&mut conditions, &availability(service, world.cache), &world.timestamp(), json!({}));
    plan.status(service, json!({ "conditions": conditions }));
    plan
}

/// The APIServices of a definition: one a served version.
fn versions(definition: &Value) -> impl Iterator<Item = Key> {
    let served = definition.list("/spec/versions").iter().filter(|version| version.flag("/served"));
    served.map(|version| {
        Key::new(KIND, "", &format!("{}.{}", version.text("/name"), definition.text("/spec/group")))
    })
}

/// The APIService of a group and version that is served here.
pub fn local(group: &str, version: &str, keeper: &str) -> Value {
    let built_in = PRIORITIES.iter().find(|(name, _)| *name == group);
    let (priority, of_version) = match (built_in, version) {
        (Some((_, priority)), _) if group.is_empty() => (*priority, 1),
        (Some((_, priority)), "v2") => (*priority, 30),
        (Some((_, priority)), _) => (*priority, 15),
        (None, _) => CUSTOM,
    };
    let mut service = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": format!("{version}.{group}"), "labels": {KEEPER: keeper}},
        "spec": {"version": version, "groupPriorityMinimum": priority, "versionPriority": of_version},
    });
    if !group.is_empty() {
        service["spec"]["group"] = group.into();
    }
    service
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
