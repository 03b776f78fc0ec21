//! Deployment: ReplicaSets, one a revision, and how much of each.
//!
//! | file | what |
//! |---|---|
//! | `revisions` | finding and making the new ReplicaSet, revision annotations, history |
//! | `rollout` | how many replicas each set shall have next: rolling, recreate, scaling |
//! | `status` | counts and the three conditions, in the order and words of a real cluster |
//!
//! One reconcile takes one step (make the new set, scale one side, ...) and the change it causes
//! brings the next, so that watchers see the same stages as with the real controller.

mod revisions;
mod rollout;
mod status;

use serde_json::Value;

use super::super::cache::{Cache, Key};
use super::super::controller::{Change, Controller, Plan, World, Write};
use super::super::fields::{Fields, Object};
use super::super::{pods, quantity, selector};

const KIND: &str = "Deployment.apps";
const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";
const HASH: &str = "pod-template-hash";

const NAME: &str = "deployment-controller";

/// Keeps large Deployments.
pub const CONTROLLER: Controller =
    Controller { name: NAME, manager: "kube-controller-manager", wakes: wakes_large, reconcile };

/// Keeps small ones, which follow their sets step by step.
pub const PROMPT: Controller =
    Controller { name: NAME, manager: "kube-controller-manager", wakes: wakes_small, reconcile };

fn wakes_large(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let keys = wakes(change, cache).into_iter();
    keys.filter(|key| !super::is_small(cache.find(key))).collect()
}

fn wakes_small(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let keys = wakes(change, cache).into_iter();
    keys.filter(|key| super::is_small(cache.find(key))).collect()
}

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let mut keys = change.itself(KIND);
    keys.extend(change.controller(KIND));
    // Recreate waits for the last old pod to go.
    if change.kind == "Pod" && change.gone {
        for set in change.controller("ReplicaSet.apps") {
            let owner = cache.find(&set).and_then(|set| set.controller().cloned());
            keys.extend(owner.map(|owner| Key::of_owner(&owner, &set.namespace)));
        }
    }
    keys.retain(|key| key.kind == KIND);
    keys
}

/// A Deployment with its ReplicaSets, as one reconcile sees them.
struct Rollout<'a> {
    deployment: &'a Object,
    new: Option<&'a Object>,
    /// Oldest first.
    old: Vec<&'a Object>,
}

impl<'a> Rollout<'a> {
    fn of(deployment: &'a Object, sets: Vec<&'a Object>) -> Self {
        let (new, mut old): (Vec<_>, Vec<_>) =
            sets.into_iter().partition(|set| revisions::is_of_template(set, deployment));
        old.sort_by_key(|set| age_order(set));
        // Of several equal ones the oldest is the new one; the others are old.
        let mut new = new;
        new.sort_by_key(|set| age_order(set));
        let mut new = new.into_iter();
        let first = new.next();
        old.extend(new);
        Self { deployment, new: first, old }
    }

    fn all(&self) -> impl Iterator<Item = &'a Object> {
        self.new.into_iter().chain(self.old.iter().copied())
    }

    fn replicas(&self) -> i64 {
        self.deployment.count("/spec/replicas")
    }

    fn is_rolling(&self) -> bool {
        self.deployment.text("/spec/strategy/type") != "Recreate"
    }

    fn is_paused(&self) -> bool {
        self.deployment.flag("/spec/paused")
    }

    /// How many pods may exist beyond the wanted number.
    fn surge(&self) -> i64 {
        if !self.is_rolling() {
            return 0;
        }
        let field = self.deployment.at("/spec/strategy/rollingUpdate/maxSurge");
        quantity::int_or_percent(field, self.replicas(), quantity::Round::Up)
    }

    /// How many of the wanted pods may be missing; one when both limits are zero.
    fn unavailable(&self) -> i64 {
        if !self.is_rolling() || self.replicas() == 0 {
            return 0;
        }
        let field = self.deployment.at("/spec/strategy/rollingUpdate/maxUnavailable");
        let limit = quantity::int_or_percent(field, self.replicas(), quantity::Round::Down);
        let limit = if limit == 0 && self.surge() == 0 { 1 } else { limit };
        limit.min(self.replicas())
    }
}

fn age_order(set: &Value) -> (String, String) {
    (set.text("/metadata/creationTimestamp").to_owned(), set.name().to_owned())
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(deployment) = world.cache.find(key) else { return plan };
    let sets = pods::claim(deployment, "ReplicaSet.apps", world, &mut plan);
    let rollout = Rollout::of(deployment, sets);
    if deployment.is_terminating() {
        plan.status(deployment, status::counts_only(&rollout, world));
        return plan;
    }
    if let Some(status) = status::pause_changed(&rollout, world) {
        plan.status(deployment, status);
        return plan;
    }
    if rollout.is_paused() || rollout::is_scaling(&rollout) {
        rollout::scale(&rollout, &mut plan);
        plan.status(deployment, status::counts_only(&rollout, world));
        return plan;
    }
    match rollout.is_rolling() {
        true => roll(&rollout, world, &mut plan),
        false => recreate(&rollout, world, &mut plan),
    }
    plan
}

fn roll(rollout: &Rollout<'_>, world: &World<'_>, plan: &mut Plan) {
    let Some(new) = revisions::ensure_new(rollout, world, plan) else { return };
    if !rollout::scale_up_new(rollout, new, plan) {
        rollout::scale_down_old(rollout, new, plan);
    }
    finish(rollout, world, plan);
}

fn recreate(rollout: &Rollout<'_>, world: &World<'_>, plan: &mut Plan) {
    if rollout::scale_old_to_zero(rollout, plan) || has_running_pods(&rollout.old, world) {
        let status = status::progress(rollout, world, plan);
        return plan.status(rollout.deployment, status);
    }
    let Some(new) = revisions::ensure_new(rollout, world, plan) else { return };
    rollout::scale_up_new(rollout, new, plan);
    finish(rollout, world, plan);
}

fn finish(rollout: &Rollout<'_>, world: &World<'_>, plan: &mut Plan) {
    if status::is_complete(rollout) {
        revisions::clean_up(rollout, plan);
    }
    let status = status::progress(rollout, world, plan);
    plan.status(rollout.deployment, status);
}

/// Whether pods of the old sets still run, terminating ones included.
fn has_running_pods(old: &[&Object], world: &World<'_>) -> bool {
    old.iter().any(|set| world.cache.controlled("Pod", set.uid()).iter().any(|pod| !pods::is_finished(pod)))
}

/// Plans a new size for one set, with the note a real cluster makes.
fn resize(rollout: &Rollout<'_>, set: &Value, replicas: i64, plan: &mut Plan) -> bool {
    let have = set.count("/spec/replicas");
    let mut wanted = set.clone();
    wanted["spec"]["replicas"] = replicas.into();
    revisions::annotate_size(&mut wanted, rollout);
    let changed = have != replicas;
    if changed {
        let direction = if replicas > have { "up" } else { "down" };
        let name = set.name();
        plan.push(Write::Replace(wanted));
        plan.note(
            rollout.deployment,
            "ScalingReplicaSet",
            format!("Scaled {direction} replica set {name} from {have} to {replicas}"),
        );
    }
    changed
}

fn matches_selector(deployment: &Value, set: &Value) -> bool {
    selector::matches(deployment.at("/spec/selector"), set)
}
