//! The new ReplicaSet of a Deployment, revision annotations, and the history that is kept.

use serde_json::{Value, json};

use super::super::super::conditions::Condition;
use super::super::super::controller::{Plan, World, Write};
use super::super::super::fields::{Fields, Object, controlled_by, remove_key, set, set_key};
use super::super::super::names::template_hash;
use super::{DESIRED, HASH, HISTORY, MAXIMUM, REVISION, Rollout, rollout, status};

/// Annotations of a Deployment that its ReplicaSets do not take over.
const OWN_ANNOTATIONS: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
    "deprecated.deployment.rollback.to",
];

/// Whether a set was made from the Deployment's present template.
pub(super) fn is_of_template(set: &Value, deployment: &Value) -> bool {
    let mut template = set.at("/spec/template").clone();
    remove_key(&mut template, "/metadata/labels", HASH);
    if template.at("/metadata/labels").as_object().is_some_and(|labels| labels.is_empty()) {
        remove_key(&mut template, "/metadata", "labels");
    }
    template == *deployment.at("/spec/template")
}

fn revision(set: &Value) -> i64 {
    set.annotation(REVISION).parse().unwrap_or_default()
}

/// The set of the present template with its annotations right. Makes it when there is none, and then
/// answers none: the change it causes brings the next step.
pub(super) fn ensure_new<'a>(
    rollout: &Rollout<'a>,
    world: &World<'_>,
    plan: &mut Plan,
) -> Option<&'a Object> {
    let last = rollout.old.iter().map(|set| revision(set)).max().unwrap_or_default();
    match rollout.new {
        Some(new) => {
            let mut wanted = annotated(new, last + 1, rollout);
            prove(&mut wanted, rollout.deployment);
            if wanted != **new {
                plan.push(Write::Replace(wanted));
            }
            let number = revision(new).max(last + 1);
            announce(rollout, number, found(new), world, plan);
            Some(new)
        }
        None => {
            make_new(rollout, last + 1, world, plan);
            None
        }
    }
}

/// Annotations of a set: those of the Deployment, its sizes, and its revision, which only grows.
fn annotated(set: &Value, wanted: i64, rollout: &Rollout<'_>) -> Value {
    let mut set = set.clone();
    let held = revision(&set);
    inherit(&mut set, rollout.deployment);
    if held < wanted {
        if held > 0 {
            let history = match set.annotation(HISTORY) {
                "" => held.to_string(),
                history => format!("{history},{held}"),
            };
            set_key(&mut set, "/metadata/annotations", HISTORY, history);
        }
        set_key(&mut set, "/metadata/annotations", REVISION, wanted.to_string());
    }
    annotate_size(&mut set, rollout);
    set
}

fn inherit(set: &mut Value, deployment: &Value) {
    let copied: Vec<_> = deployment
        .entries("/metadata/annotations")
        .filter(|(key, _)| !OWN_ANNOTATIONS.contains(key))
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect();
    for (key, value) in copied {
        set_key(set, "/metadata/annotations", &key, value);
    }
}

/// Notes on a set what the Deployment asks for, so that a scaling is told from a rollout.
pub(super) fn annotate_size(set: &mut Value, rollout: &Rollout<'_>) {
    let desired = rollout.replicas();
    let most = desired + rollout.surge();
    set_key(set, "/metadata/annotations", DESIRED, desired.to_string());
    set_key(set, "/metadata/annotations", MAXIMUM, most.to_string());
}

fn make_new(rollout: &Rollout<'_>, number: i64, world: &World<'_>, plan: &mut Plan) {
    let deployment = rollout.deployment;
    let set = new_set(rollout, number);
    if taken(&set, world) {
        let mut status = deployment.at("/status").clone();
        status["collisionCount"] = (deployment.count("/status/collisionCount") + 1).into();
        return plan.status(deployment, status);
    }
    if let Some(failure) = world.failure {
        let condition = Condition::new("Progressing", "False", "ReplicaSetCreateError", failure);
        return plan.status(deployment, status::with_condition(deployment, &condition, world));
    }
    let size = set.count("/spec/replicas");
    let name = set.name().to_owned();
    plan.push(Write::Create(set));
    if size > 0 {
        plan.note(deployment, "ScalingReplicaSet", format!("Scaled up replica set {name} from 0 to {size}"));
    }
    let created = format!("Created new replica set \"{name}\"");
    announce(
        rollout,
        number,
        Some(Condition::new("Progressing", "True", "NewReplicaSetCreated", created)),
        world,
        plan,
    );
}

/// Whether the name of a set that shall be made belongs to another one.
fn taken(set: &Value, world: &World<'_>) -> bool {
    world.cache.get("ReplicaSet.apps", set.namespace(), set.name()).is_some()
}

fn new_set(rollout: &Rollout<'_>, number: i64) -> Value {
    let deployment = rollout.deployment;
    let hash = template_hash(deployment.at("/spec/template"), deployment.count("/status/collisionCount"));
    let mut template = deployment.at("/spec/template").clone();
    set_key(&mut template, "/metadata/labels", HASH, hash.as_str());
    let mut selector = deployment.at("/spec/selector").clone();
    set_key(&mut selector, "/matchLabels", HASH, hash.as_str());
    let mut new = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", deployment.name()),
            "namespace": deployment.namespace(),
            "labels": template.at("/metadata/labels"),
            "ownerReferences": controlled_by(deployment),
        },
        "spec": {
            "replicas": rollout::size_of_new(rollout, 0),
            "selector": selector,
            "template": template,
        },
    });
    prove(&mut new, deployment);
    annotated(&new, number, rollout)
}

/// How long pods have to be ready before they count, which a set takes over from its Deployment.
fn prove(set_of_pods: &mut Value, deployment: &Value) {
    match deployment.count("/spec/minReadySeconds") {
        0 => remove_key(set_of_pods, "/spec", "minReadySeconds"),
        seconds => set(set_of_pods, "/spec/minReadySeconds", seconds.into()),
    }
}

/// The first time a set is met, not made: a rollback to it, or an adopted one.
fn found(new: &Value) -> Option<Condition<'static>> {
    let message = format!("Found new replica set \"{}\"", new.name());
    Some(Condition::new("Progressing", "True", "FoundNewReplicaSet", message))
}

/// Writes the revision to the Deployment, and a first progress condition when it has none.
fn announce(
    rollout: &Rollout<'_>,
    number: i64,
    condition: Option<Condition<'_>>,
    world: &World<'_>,
    plan: &mut Plan,
) {
    let deployment = rollout.deployment;
    if deployment.annotation(REVISION) != number.to_string() {
        let mut wanted = Value::clone(deployment);
        set_key(&mut wanted, "/metadata/annotations", REVISION, number.to_string());
        plan.push(Write::Replace(wanted));
    }
    let first = deployment.condition("Progressing").is_none()
        || condition.as_ref().is_some_and(|new| new.reason == "NewReplicaSetCreated");
    if let Some(condition) = condition.filter(|_| first && status::has_deadline(deployment)) {
        plan.status(deployment, status::with_condition(deployment, &condition, world));
    }
}

/// Deletes the oldest unused sets beyond `revisionHistoryLimit`.
pub(super) fn clean_up(rollout: &Rollout<'_>, plan: &mut Plan) {
    let Some(limit) = rollout.deployment.number("/spec/revisionHistoryLimit") else { return };
    let mut unused: Vec<&Object> = rollout
        .old
        .iter()
        .copied()
        .filter(|set| !set.is_terminating() && super::matches_selector(rollout.deployment, set))
        .collect();
    let surplus = usize::try_from(unused.len() as i64 - limit).unwrap_or_default();
    unused.sort_by_key(|set| revision(set));
    for set in unused.into_iter().take(surplus) {
        let idle = set.count("/spec/replicas") == 0 && set.count("/status/replicas") == 0;
        if idle && set.generation() <= set.count("/status/observedGeneration") {
            plan.push(Write::Delete {
                object: Value::clone(set),
                grace: None,
                propagation: Some("Background"),
            });
        }
    }
}
