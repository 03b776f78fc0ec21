//! The binder: brings claims and volumes together, and releases volumes whose claim is gone.

use std::time::Duration;

use serde_json::{Value, json};

use super::{CLAIM, CLASS, VOLUME, claim_of, class, waits_for_pod};
use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object, set, set_key};
use crate::controllers::{quantity, selector};

/// How often a claim that cannot be bound is looked at again: the real resync period.
const RETRY: Duration = Duration::from_secs(15);

/// Binds.
pub const CONTROLLER: Controller =
    Controller { name: "persistentvolume-controller", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    match change.kind {
        CLAIM => {
            let mut keys = change.itself(CLAIM);
            let volume = change.object.text("/spec/volumeName");
            if !volume.is_empty() {
                keys.push(Key::new(VOLUME, "", volume));
            }
            keys
        }
        VOLUME => {
            let mut keys = change.itself(VOLUME);
            let pending = cache.list(CLAIM).filter(|claim| !is_bound(claim));
            keys.extend(pending.map(|claim| Key::of(claim)));
            keys
        }
        CLASS => cache.list(CLAIM).filter(|claim| !is_bound(claim)).map(|claim| Key::of(claim)).collect(),
        _ => Vec::new(),
    }
}

fn is_bound(claim: &Value) -> bool {
    claim.text("/status/phase") == "Bound"
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(object) = world.cache.find(key) else { return plan };
    match key.kind == VOLUME {
        true => keep_volume(object, world, &mut plan),
        false => keep_claim(object, world, &mut plan),
    }
    plan
}

fn keep_claim(claim: &Object, world: &World<'_>, plan: &mut Plan) {
    let named = claim.text("/spec/volumeName");
    if !named.is_empty() {
        match world.cache.get(VOLUME, "", named) {
            Some(volume) => bind(claim, volume, plan),
            None if is_bound(claim) => {
                plan.warn(
                    claim,
                    "ClaimLost",
                    "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
                );
                plan.status(claim, json!({ "phase": "Lost" }));
            }
            None => {}
        }
        return resize(claim, plan);
    }
    if claim.is_terminating() {
        return;
    }
    if let Some(volume) = best_match(claim, world.cache) {
        return bind(claim, volume, plan);
    }
    if claim.text("/status/phase").is_empty() {
        plan.status(claim, json!({ "phase": "Pending" }));
    }
    explain(claim, world, plan);
}

/// Says what an unbound claim waits for, when it is first met and then once a period: a look between those, because
/// of some other object, says nothing.
fn explain(claim: &Object, world: &World<'_>, plan: &mut Plan) {
    const STAGE: &str = "explained";
    match world.left_since(RETRY, claim.uid(), STAGE) {
        Some(left) if left < RETRY => {
            let mut silent = Plan::nothing();
            tell(claim, world, &mut silent);
            plan.writes.extend(silent.writes.into_iter().filter(|write| !matches!(write, Write::Note(_))));
            plan.upkeep(left);
        }
        left => {
            if left.is_none() {
                world.marks.restart(claim.uid(), STAGE);
                world.stopwatch(claim.uid(), STAGE);
            }
            tell(claim, world, plan);
            plan.upkeep(RETRY);
        }
    }
}

fn tell(claim: &Object, world: &World<'_>, plan: &mut Plan) {
    let name = claim.text("/spec/storageClassName");
    let Some(class) = class(claim, world.cache) else {
        match name {
            "" => plan.note(
                claim,
                "FailedBinding",
                "no persistent volumes available for this claim and no storage class is set",
            ),
            name => plan.warn(
                claim,
                "ProvisioningFailed",
                format!("storageclass.storage.k8s.io \"{name}\" not found"),
            ),
        }
        return;
    };
    let provisioner = class.text("/provisioner");
    if waits_for_pod(claim, world.cache) {
        return plan.note(
            claim,
            "WaitForFirstConsumer",
            "waiting for first consumer to be created before binding",
        );
    }
    if provisioner == "kubernetes.io/no-provisioner" {
        return plan.note(
            claim,
            "FailedBinding",
            "no persistent volumes available for this claim and no storage class is set",
        );
    }
    let mut wanted = Value::clone(claim);
    for key in ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"] {
        set_key(&mut wanted, "/metadata/annotations", key, provisioner);
    }
    if wanted != **claim {
        plan.push(Write::Replace(wanted));
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. \
             If volume creation is delayed, please verify that the provisioner is running and correctly registered."
        );
        plan.note(claim, "ExternalProvisioning", message);
    }
}

/// Whether a volume is there for the claim.
pub(super) fn has_match(claim: &Value, cache: &Cache) -> bool {
    best_match(claim, cache).is_some()
}

/// The volume promised to the claim, else the smallest free one that fits.
fn best_match<'a>(claim: &Value, cache: &'a Cache) -> Option<&'a Object> {
    let promised = cache.list(VOLUME).find(|volume| {
        let reference = volume.at("/spec/claimRef");
        let uid = reference.text("/uid");
        reference.text("/name") == claim.name()
            && reference.text("/namespace") == claim.namespace()
            && (uid.is_empty() || uid == claim.uid())
    });
    if promised.is_some() {
        return promised;
    }
    if waits_for_pod(claim, cache) {
        return None;
    }
    let free =
        cache.list(VOLUME).filter(|volume| volume.at("/spec/claimRef").is_null() && !volume.is_terminating());
    free.filter(|volume| fits(claim, volume))
        .min_by_key(|volume| quantity::milli(volume.at("/spec/capacity/storage")))
}

fn fits(claim: &Value, volume: &Value) -> bool {
    let modes = volume.list("/spec/accessModes");
    let mode = |object: &Value| match object.text("/spec/volumeMode") {
        "" => "Filesystem".to_owned(),
        mode => mode.to_owned(),
    };
    let selector = claim.at("/spec/selector");
    volume.text("/spec/storageClassName") == claim.text("/spec/storageClassName")
        && claim.list("/spec/accessModes").iter().all(|wanted| modes.contains(wanted))
        && mode(claim) == mode(volume)
        && quantity::milli(volume.at("/spec/capacity/storage"))
            >= quantity::milli(claim.at("/spec/resources/requests/storage"))
        && (selector.is_null() || selector::matches(selector, volume))
}

/// Writes both sides of a binding, as far as they are missing: volume, its status, claim, its status.
fn bind(claim: &Object, volume: &Object, plan: &mut Plan) {
    if is_bound(claim) {
        return;
    }
    let mut bound = Value::clone(volume);
    if volume.text("/spec/claimRef/uid") != claim.uid() {
        let reference = json!({
            "apiVersion": "v1",
            "kind": CLAIM,
            "namespace": claim.namespace(),
            "name": claim.name(),
            "uid": claim.uid(),
            "resourceVersion": claim.text("/metadata/resourceVersion"),
        });
        set(&mut bound, "/spec/claimRef", reference);
        set_key(&mut bound, "/metadata/annotations", "pv.kubernetes.io/bound-by-controller", "yes");
        plan.replace(volume, bound);
    }
    let mut wanted = Value::clone(claim);
    set(&mut wanted, "/spec/volumeName", volume.name().into());
    for key in ["pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller"] {
        set_key(&mut wanted, "/metadata/annotations", key, "yes");
    }
    plan.replace(claim, wanted);
    let status = json!({
        "phase": "Bound",
        "accessModes": volume.at("/spec/accessModes"),
        "capacity": { "storage": volume.at("/spec/capacity/storage") },
    });
    plan.status(claim, status);
}

/// A bound claim that asks for more gets it.
fn resize(claim: &Value, plan: &mut Plan) {
    let asked = claim.at("/spec/resources/requests/storage");
    if is_bound(claim) && quantity::milli(asked) > quantity::milli(claim.at("/status/capacity/storage")) {
        let mut status = claim.at("/status").clone();
        set(&mut status, "/capacity/storage", asked.clone());
        plan.status(claim, status);
        plan.note(claim, "FileSystemResizeSuccessful", "MountVolume.NodeExpandVolume succeeded for volume");
    }
}

fn keep_volume(volume: &Object, world: &World<'_>, plan: &mut Plan) {
    let promised = volume.at("/spec/claimRef").is_object();
    let phase = match claim_of(volume, world.cache) {
        Some(claim)
            if claim.text("/spec/volumeName") == volume.name()
                || volume.text("/spec/claimRef/uid") == claim.uid() =>
        {
            "Bound"
        }
        Some(_) => "Available",
        None if !promised => "Available",
        None if volume.text("/spec/claimRef/uid").is_empty() => "Available",
        None => "Released",
    };
    if volume.text("/status/phase") != phase {
        let status = json!({ "phase": phase });
        plan.status(volume, status);
    }
    if phase == "Released"
        && volume.text("/spec/persistentVolumeReclaimPolicy") == "Delete"
        && !volume.is_terminating()
    {
        plan.push(Write::delete(volume));
    }
}
