//! Cluster roles with an `aggregationRule` have the rules of all roles that it selects, and no others.

use serde_json::{Value, json};

use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object};
use crate::controllers::selector;

const KIND: &str = "ClusterRole.rbac.authorization.k8s.io";

/// Aggregates.
pub const CONTROLLER: Controller = Controller {
    name: "clusterrole-aggregation-controller",
    manager: "clusterrole-aggregation-controller",
    wakes,
    reconcile,
};

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    if change.kind != KIND {
        return Vec::new();
    }
    cache.list(KIND).filter(|role| is_aggregate(role)).map(|role| Key::of(role)).collect()
}

fn is_aggregate(role: &Value) -> bool {
    role.at("/aggregationRule").is_object()
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let is_kept = |role: &&Object| is_aggregate(role) && !role.is_terminating();
    let Some(role) = world.cache.find(key).filter(is_kept) else { return plan };
    let rules = rules(role, world.cache);
    if rules != role.list("/rules") {
        let object = json!({
            "apiVersion": role.text("/apiVersion"), "kind": role.text("/kind"), "metadata": {"name": role.name()},
            "rules": rules,
        });
        plan.push(Write::Apply { object, subresource: "" });
    }
    plan
}

/// The rules of the selected roles, each once, role after role by name.
fn rules(role: &Value, cache: &Cache) -> Vec<Value> {
    let mut rules: Vec<Value> = Vec::new();
    for selector in role.list("/aggregationRule/clusterRoleSelectors") {
        let selected = cache
            .list(KIND)
            .filter(|other| other.name() != role.name() && selector::matches(selector, other));
        for rule in selected.flat_map(|other| other.list("/rules")) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    rules
}
