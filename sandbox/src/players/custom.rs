//! The controller that plays operators by their rules.

use serde_json::{Value, json};

use super::render::{self, Scope};
use super::rule::{Operator, Rule};
use super::{objects, operators};
use crate::controllers::cache::{Cache, Key};
use crate::controllers::conditions::{Condition, set_condition};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object, controlled_by, kind_of, set, set_key};
use crate::controllers::pods;
use crate::faults::{self, certificates};

/// Plays.
pub const CONTROLLER: Controller =
    Controller { name: "aegis-players", manager: "aegis-players", wakes, reconcile };

const WORKLOADS: [&str; 4] = ["Pod", "Deployment.apps", "StatefulSet.apps", "DaemonSet.apps"];

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let is_played =
        |kind: &str| operators().iter().any(|operator| operator.rules.iter().any(|rule| rule.plays(kind)));
    let mut keys = if is_played(change.kind) { vec![change.key()] } else { Vec::new() };
    keys.extend(faults::wakes_all(change, cache, certificates::CERTIFICATE));
    if WORKLOADS.contains(&change.kind) {
        // An owner without a namespace may own what is in one, as Calico's Installation does.
        let owner = |namespace| change.object.controller().map(|owner| Key::of_owner(owner, namespace));
        let owners = [owner(change.object.namespace()), owner("")];
        keys.extend(owners.into_iter().flatten().filter(|key| is_played(&key.kind)));
    }
    if change.kind == "Pod" && became_ready(change) {
        keys.extend(waiting_for(change.object, cache));
    }
    keys
}

fn became_ready(change: &Change<'_>) -> bool {
    pods::is_ready(change.object) && !change.previous.is_some_and(|held| pods::is_ready(held))
}

/// The objects of kinds whose operator this pod is.
fn waiting_for(pod: &Value, cache: &Cache) -> Vec<Key> {
    let mine = operators().iter().filter(|operator| !operator.image.is_empty() && runs(pod, &operator.image));
    let kinds = |rule: &'static Rule| cache.kinds().filter(move |kind| rule.plays(kind));
    mine.flat_map(|operator| &operator.rules)
        .flat_map(kinds)
        .flat_map(|kind| cache.list(kind))
        .map(|object| Key::of(object))
        .collect()
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(object) = world.cache.find(key).filter(|object| !object.is_terminating()) else { return plan };
    for operator in operators() {
        let rules = operator.rules.iter().filter(|rule| rule.plays(&key.kind) && concerns(rule, object));
        for rule in rules.filter(|_| is_there(operator, world.cache)) {
            play(rule, object, world, &mut plan);
        }
    }
    plan
}

/// Whether the operator's own pod is ready.
fn is_there(operator: &Operator, cache: &Cache) -> bool {
    operator.image.is_empty()
        || cache.list("Pod").any(|pod| runs(pod, &operator.image) && pods::is_ready(pod))
}

fn concerns(rule: &Rule, object: &Value) -> bool {
    rule.when.iter().all(|(path, value)| render::at(object, path) == *value)
        && (rule.runs.is_empty() || runs(object, &rule.runs))
        && (rule.command.is_empty() || commands(object).any(|command| command.contains(&rule.command)))
}

fn containers(object: &Value) -> impl Iterator<Item = &Value> {
    ["/spec/containers", "/spec/template/spec/containers"].into_iter().flat_map(|path| object.list(path))
}

fn runs(object: &Value, image: &str) -> bool {
    containers(object).any(|container| container.text("/image").contains(image))
}

fn commands(object: &Value) -> impl Iterator<Item = String> {
    containers(object).map(|container| {
        let words = container.list("/command").iter().chain(container.list("/args"));
        words.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
    })
}

fn play(rule: &Rule, object: &Object, world: &World<'_>, plan: &mut Plan) {
    if let Some(left) = world.left_since(world.settings.operator_delay, object.uid(), "operator") {
        return plan.soon(left);
    }
    let mut scope = Scope::of(object, world);
    for form in &rule.makes {
        make(form, &scope, plan);
    }
    mark(rule, &scope, plan);
    let (all, ready) = readiness(object, world.cache);
    scope.ready = ready;
    let made_all = plan.writes.iter().all(|write| !matches!(write, Write::Create(_) | Write::Ensure(_)));
    if !made_all {
        // What was just made is seen at the next look.
        plan.soon(std::time::Duration::ZERO);
    }
    let status = if all && made_all { &rule.status } else { &rule.working };
    if certificates::is_hit(object, world) {
        plan.status(
            object,
            filled_status(&certificates::expired(status, object, world), object.at("/status"), &scope),
        );
    } else if status.is_object() {
        // A certificate that is made anew keeps none of its old times.
        let held = if certificates::has_expired(object) { &Value::Null } else { object.at("/status") };
        plan.status(object, filled_status(status, held, &scope));
    } else if !rule.conditions.is_empty() {
        let mut status = object.at("/status").clone();
        let wanted = scope.fill(&Value::Array(rule.conditions.clone()), &Value::Null);
        set(&mut status, "/conditions", conditions(wanted.list(""), &scope).into());
        plan.status(object, status);
    }
}

/// Makes what a form stands for, once or for each item, unless it is there; sizes follow.
fn make(form: &Value, scope: &Scope<'_>, plan: &mut Plan) {
    let Some((name, fields)) = form
        .as_object()
        .and_then(|form| form.iter().find(|(name, _)| !["each", "owned"].contains(&name.as_str())))
    else {
        return;
    };
    let items = match form.get("each") {
        None => return make_one(name, fields, form, scope, plan),
        Some(each) => scope.fill(each, &Value::Null),
    };
    let items = match items {
        Value::Array(items) => items,
        Value::Number(number) => {
            vec![Value::Null; usize::try_from(number.as_u64().unwrap_or_default()).unwrap_or_default()]
        }
        _ => Vec::new(),
    };
    for (ordinal, item) in items.into_iter().enumerate() {
        make_one(name, fields, form, &scope.for_item(item, ordinal as i64), plan);
    }
}

fn make_one(name: &str, fields: &Value, form: &Value, scope: &Scope<'_>, plan: &mut Plan) {
    let fields = scope.fill(fields, &Value::Null);
    let Some(mut wanted) = objects::expand(name, &fields, scope.object) else {
        tracing::warn!(form = name, "a rule has an unknown form");
        return;
    };
    if scope.world.kinds.of_object(&wanted).is_none() {
        // A part of the operator that is not installed.
        return;
    }
    let held = scope.world.cache.get(&kind_of(&wanted), wanted.namespace(), wanted.name());
    match held {
        Some(held)
            if wanted.number("/spec/replicas").is_some()
                && held.at("/spec/replicas") != wanted.at("/spec/replicas") =>
        {
            let mut sized = Value::clone(held);
            set(&mut sized, "/spec/replicas", wanted.at("/spec/replicas").clone());
            plan.push(Write::Replace(sized));
        }
        Some(_) => {}
        None => {
            let same_space =
                wanted.namespace() == scope.object.namespace() || scope.object.namespace().is_empty();
            if same_space && form.get("owned") != Some(&false.into()) {
                set(&mut wanted, "/metadata/ownerReferences", controlled_by(scope.object));
            }
            plan.push(Write::Ensure(wanted));
        }
    }
}

/// Writes the labels a rule gives the object.
fn mark(rule: &Rule, scope: &Scope<'_>, plan: &mut Plan) {
    let mut marked = scope.object.clone();
    for (key, value) in &rule.labels {
        if scope.object.label(key).is_empty() {
            set_key(&mut marked, "/metadata/labels", key, scope.fill(value, &Value::Null));
        }
    }
    plan.replace(scope.object, marked);
}

/// Whether all workloads of an object are ready, and how many pods are.
fn readiness(object: &Value, cache: &Cache) -> (bool, i64) {
    let mut all = true;
    let mut ready = 0;
    for held in cache.owned_by(object.uid()) {
        let (has, wants) = match kind_of(held).as_str() {
            "Pod" => (i64::from(pods::is_ready(held)), 1),
            "Deployment.apps" => (held.count("/status/availableReplicas"), held.count("/spec/replicas")),
            "StatefulSet.apps" => (held.count("/status/readyReplicas"), held.count("/spec/replicas")),
            "DaemonSet.apps" => {
                (held.count("/status/numberReady"), held.count("/status/desiredNumberScheduled").max(1))
            }
            _ => continue,
        };
        ready += has;
        all &= has >= wants;
    }
    (all, ready)
}

/// The status of a rule, with the times of conditions that did not change kept.
fn filled_status(template: &Value, held: &Value, scope: &Scope<'_>) -> Value {
    let mut status = scope.fill(template, held);
    if !status.at("/conditions").is_array() {
        return status;
    }
    let mut conditions = conditions(status.list("/conditions"), scope);
    let wanted: Vec<&str> = status.list("/conditions").iter().map(|held| held.text("/type")).collect();
    conditions.retain(|held| wanted.contains(&held.text("/type")));
    set(&mut status, "/conditions", conditions.into());
    status
}

/// The object's conditions with some of them set; times of those that do not change are kept.
fn conditions(wanted: &[Value], scope: &Scope<'_>) -> Vec<Value> {
    let mut conditions = scope.object.list("/status/conditions").to_vec();
    for wanted in wanted {
        let (kind, status) = (wanted.text("/type"), wanted.text("/status"));
        let condition = Condition::new(kind, status, wanted.text("/reason"), wanted.text("/message"));
        let mut extra = json!({});
        for (key, value) in wanted.entries("") {
            if !["type", "status", "reason", "message"].contains(&key) {
                extra[key] = value.clone();
            }
        }
        set_condition(&mut conditions, &condition, &scope.world.timestamp(), extra);
    }
    conditions
}
