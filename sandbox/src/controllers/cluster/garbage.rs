//! Garbage collection: objects go when all their owners have gone.
//!
//! Background: the owner goes, then its dependents. Foreground: the owner waits (finalizer
//! `foregroundDeletion`) for those that block it. Orphan: the owner waits (finalizer `orphan`) until its
//! dependents no longer name it.

use serde_json::Value;

use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object, remove_finalizer, with_owners};
use crate::store::lifecycle::{FOREGROUND, ORPHAN};

/// Collects.
pub const CONTROLLER: Controller =
    Controller { name: "garbage-collector-controller", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let object = change.object;
    let mut keys = Vec::new();
    let is_held = object.has_finalizer(FOREGROUND) || object.has_finalizer(ORPHAN);
    let lost =
        || object.list("/metadata/ownerReferences").iter().any(|owner| is_absent(owner, object, cache));
    if change.gone {
        keys.extend(cache.owned_by(object.uid()).map(|held| Key::of(held)));
    } else if (object.is_terminating() && is_held) || lost() {
        keys.push(change.key());
    }
    let let_go = change
        .previous
        .filter(|held| held.at("/metadata/ownerReferences") != object.at("/metadata/ownerReferences"));
    if change.gone || let_go.is_some() {
        let owners = let_go.unwrap_or(object).list("/metadata/ownerReferences").iter();
        let waiting = owners
            .filter_map(|owner| cache.by_uid(owner.text("/uid")))
            .filter(|owner| owner.is_terminating());
        keys.extend(waiting.map(|owner| Key::of(owner)));
    }
    keys
}

/// Whether the owner a reference names is not there: by uid, under its kind, in its namespace or in none.
fn is_absent(owner: &Value, dependent: &Value, cache: &Cache) -> bool {
    !cache.by_uid(owner.text("/uid")).is_some_and(|held| {
        held.name() == owner.text("/name")
            && held.text("/kind") == owner.text("/kind")
            && (held.namespace().is_empty() || held.namespace() == dependent.namespace())
    })
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(object) = world.cache.find(key) else { return plan };
    if object.is_terminating() && object.has_finalizer(ORPHAN) {
        orphan(object, world, &mut plan);
    } else if object.is_terminating() && object.has_finalizer(FOREGROUND) {
        delete_dependents_first(object, world, &mut plan);
    } else if !object.is_terminating() {
        collect(object, world, &mut plan);
    }
    plan
}

/// Deletes an object whose owners are all gone; one that has others left forgets the gone ones.
fn collect(object: &Object, world: &World<'_>, plan: &mut Plan) {
    let (gone, left): (Vec<&Value>, Vec<&Value>) = object
        .list("/metadata/ownerReferences")
        .iter()
        .partition(|owner| is_absent(owner, object, world.cache));
    let waits = |owner: &&Value| {
        world
            .cache
            .by_uid(owner.text("/uid"))
            .is_some_and(|held| held.is_terminating() && held.has_finalizer(FOREGROUND))
    };
    if gone.is_empty() && !left.iter().any(waits) {
        return;
    }
    let solid: Vec<Value> =
        left.iter().filter(|owner| !waits(owner)).map(|owner| Value::clone(owner)).collect();
    if solid.is_empty() {
        let by_waiting = left.iter().any(waits) && world.cache.owned_by(object.uid()).next().is_some();
        let propagation = if by_waiting { "Foreground" } else { "Background" };
        let propagation = if object.has_finalizer(ORPHAN) { "Orphan" } else { propagation };
        plan.push(Write::Delete {
            object: Value::clone(object),
            grace: None,
            propagation: Some(propagation),
        });
    } else {
        plan.push(Write::Replace(with_owners(object, solid)));
    }
}

fn orphan(owner: &Object, world: &World<'_>, plan: &mut Plan) {
    for dependent in world.cache.owned_by(owner.uid()) {
        let references = dependent.list("/metadata/ownerReferences").iter();
        let left = references.filter(|held| held.text("/uid") != owner.uid()).cloned().collect();
        plan.push(Write::Replace(with_owners(dependent, left)));
    }
    release(owner, ORPHAN, plan);
}

fn delete_dependents_first(owner: &Object, world: &World<'_>, plan: &mut Plan) {
    let mut blocked = false;
    for dependent in world.cache.owned_by(owner.uid()) {
        let references = dependent.list("/metadata/ownerReferences");
        let mine = references.iter().find(|held| held.text("/uid") == owner.uid());
        blocked |= mine.is_some_and(|held| held.flag("/blockOwnerDeletion"));
        if !dependent.is_terminating() {
            collect(dependent, world, plan);
        }
    }
    if !blocked {
        release(owner, FOREGROUND, plan);
    }
}

fn release(owner: &Value, finalizer: &str, plan: &mut Plan) {
    let mut free = owner.clone();
    remove_finalizer(&mut free, finalizer);
    plan.push(Write::Replace(free));
}
