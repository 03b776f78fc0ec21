//! ResourceQuotas: how much of each limited resource a namespace uses.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World};
use crate::controllers::fields::{Fields, Object, qualified};
use crate::controllers::usage::Usage;
use crate::controllers::{pods, quantity};
use crate::faults;

const KIND: &str = "ResourceQuota";

/// How often usage is recounted without a change, the controller's default.
const RESYNC: Duration = Duration::from_secs(300);

/// Counts what was freed, and anew when a quota changes.
pub const CONTROLLER: Controller = Controller {
    name: "resourcequota-controller",
    manager: "kube-controller-manager",
    wakes,
    reconcile: |key, world| reconcile(key, world, Growth::IsOthers),
};

/// Counts what was taken: in a real cluster admission does, on behalf of the API server.
pub const ADMISSION: Controller = Controller {
    name: "resourcequota-admission",
    manager: "kube-apiserver",
    wakes,
    reconcile: |key, world| reconcile(key, world, Growth::IsOurs),
};

/// Who writes that more is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Growth {
    IsOurs,
    IsOthers,
}

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    match change.kind {
        KIND => change.itself(KIND),
        faults::KIND => cache.list(KIND).map(|quota| Key::of(quota)).collect(),
        // Only what comes, goes or ends changes usage.
        "Pod" if change.previous.is_some() && !change.gone && !pods::is_finished(change.object) => Vec::new(),
        "Event" | "Lease.coordination.k8s.io" => Vec::new(),
        _ => cache.list_in(KIND, change.object.namespace()).map(|quota| Key::of(quota)).collect(),
    }
}

fn reconcile(key: &Key, world: &World<'_>, growth: Growth) -> Plan {
    let mut plan = Plan::nothing();
    let Some(quota) = world.cache.find(key).filter(|quota| !quota.is_terminating()) else { return plan };
    let hard = quota.at("/spec/hard").clone();
    let mut used = Map::new();
    let faults = faults::in_cache(world.cache);
    let is_full = faults.iter().any(|fault| fault.is("quota-full") && fault.namespace == quota.namespace());
    for (name, limit) in quota.entries("/spec/hard") {
        if is_full {
            used.insert(name.to_owned(), limit.clone());
            continue;
        }
        let amount = used_of(name, quota, world.cache);
        let binary = limit.as_str().is_some_and(|text| text.ends_with('i'))
            || name.contains("memory")
            || name.contains("storage");
        used.insert(name.to_owned(), quantity::print(amount, binary).into());
    }
    if has_only_grown(quota, &hard, &used) == (growth == Growth::IsOurs) {
        plan.status(quota, serde_json::json!({ "hard": hard, "used": used }));
    }
    plan.upkeep(RESYNC);
    plan
}

/// Whether nothing has changed but that more is used.
fn has_only_grown(quota: &Value, hard: &Value, used: &Map<String, Value>) -> bool {
    let before = quota.at("/status/used");
    quota.at("/status/hard") == hard
        && used
            .iter()
            .all(|(name, amount)| quantity::milli(amount) >= quantity::milli(&before[name.as_str()]))
}

/// How much of one resource is used, in thousandths.
fn used_of(name: &str, quota: &Value, cache: &Cache) -> i128 {
    let namespace = quota.namespace();
    let count = |kind: &str| cache.list_in(kind, namespace).count() as i128 * 1000;
    match name {
        "pods" | "count/pods" => counted_pods(quota, cache).count() as i128 * 1000,
        "services" => count("Service"),
        "services.loadbalancers" => services(namespace, cache, "LoadBalancer"),
        "services.nodeports" => {
            services(namespace, cache, "NodePort") + services(namespace, cache, "LoadBalancer")
        }
        "secrets" => count("Secret"),
        "configmaps" => count("ConfigMap"),
        "persistentvolumeclaims" => count("PersistentVolumeClaim"),
        "replicationcontrollers" => count("ReplicationController"),
        "resourcequotas" => count(KIND),
        "requests.storage" => cache
            .list_in("PersistentVolumeClaim", namespace)
            .map(|claim| quantity::milli(claim.at("/spec/resources/requests/storage")))
            .sum(),
        _ => match name.strip_prefix("count/") {
            Some(resource) => of_resource(resource, namespace, cache),
            None => requested(name, quota, cache),
        },
    }
}

fn services(namespace: &str, cache: &Cache, kind: &str) -> i128 {
    cache.list_in("Service", namespace).filter(|service| service.text("/spec/type") == kind).count() as i128
        * 1000
}

/// Counts `deployments.apps` and the like; plural and group are read from the objects' kinds.
fn of_resource(resource: &str, namespace: &str, cache: &Cache) -> i128 {
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    let matches = |object: &Object| {
        let kind = object.text("/kind").to_lowercase();
        let plurals =
            [format!("{kind}s"), format!("{kind}es"), format!("{}ies", kind.trim_end_matches('y')), kind];
        let in_group = qualified("", object.text("/apiVersion")).trim_start_matches('.') == group;
        in_group && plurals.iter().any(|candidate| candidate == plural)
    };
    cache.contents(namespace).into_iter().filter(matches).count() as i128 * 1000
}

/// Sums what the counted pods ask for: `requests.cpu`, `limits.memory`, and `cpu` for `requests.cpu`.
fn requested(name: &str, quota: &Value, cache: &Cache) -> i128 {
    let (what, resource) = match name.split_once('.') {
        Some((what @ ("requests" | "limits"), resource)) => (what, resource),
        _ => ("requests", name),
    };
    counted_pods(quota, cache).map(|pod| Usage::requested(pod, what).get(resource)).sum()
}

/// The unfinished pods in the quota's scopes.
fn counted_pods<'a>(quota: &'a Value, cache: &'a Cache) -> impl Iterator<Item = &'a Object> {
    cache
        .list_in("Pod", quota.namespace())
        .filter(|pod| !pods::is_finished(pod))
        .filter(|pod| {
            quota.list("/spec/scopes").iter().all(|scope| in_scope(pod, scope.as_str().unwrap_or_default()))
        })
        .filter(|pod| {
            quota.list("/spec/scopeSelector/matchExpressions").iter().all(|wanted| selected(pod, wanted))
        })
}

fn in_scope(pod: &Value, scope: &str) -> bool {
    let best_effort = pod.text("/status/qosClass") == "BestEffort";
    let terminating = pod.number("/spec/activeDeadlineSeconds").is_some();
    match scope {
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        _ => true,
    }
}

fn selected(pod: &Value, wanted: &Value) -> bool {
    if wanted.text("/scopeName") != "PriorityClass" {
        return in_scope(pod, wanted.text("/scopeName"));
    }
    let class = pod.text("/spec/priorityClassName");
    let listed = wanted.list("/values").iter().any(|value| value == class);
    match wanted.text("/operator") {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => !class.is_empty(),
        _ => class.is_empty(),
    }
}
