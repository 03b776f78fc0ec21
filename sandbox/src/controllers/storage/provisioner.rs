//! The provisioner: makes a volume for each claim whose StorageClass is dynamic.
//!
//! Every provisioner is played but `kubernetes.io/no-provisioner`. With WaitForFirstConsumer the volume
//! is tied to the zone of the chosen node.

use serde_json::{Value, json};

use super::{CLAIM, SELECTED, VOLUME, class, waits_for_pod};
use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, set, set_key};
use crate::faults;

/// Makes volumes.
pub const CONTROLLER: Controller =
    Controller { name: "csi-provisioner", manager: "csi-provisioner", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    match change.kind {
        CLAIM => change.itself(CLAIM),
        "StorageClass.storage.k8s.io" | faults::KIND => {
            let pending = cache.list(CLAIM).filter(|claim| claim.text("/status/phase") != "Bound");
            pending.map(|claim| Key::of(claim)).collect()
        }
        _ => Vec::new(),
    }
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(claim) = world.cache.find(key).filter(|claim| !claim.is_terminating()) else { return plan };
    let Some(class) = class(claim, world.cache) else { return plan };
    let provisioner = class.text("/provisioner");
    let is_open = claim.text("/spec/volumeName").is_empty() && claim.at("/spec/selector").is_null();
    if !is_open || provisioner == "kubernetes.io/no-provisioner" || waits_for_pod(claim, world.cache) {
        return plan;
    }
    let name = format!("pvc-{}", claim.uid());
    if world.cache.get(VOLUME, "", &name).is_some() || super::binder::has_match(claim, world.cache) {
        return plan;
    }
    if world.stopwatch(claim.uid(), "provisioning").is_zero() {
        let message = format!(
            "External provisioner is provisioning volume for claim \"{}/{}\"",
            claim.namespace(),
            claim.name()
        );
        plan.note(claim, "Provisioning", message);
    }
    let faults = faults::in_cache(world.cache);
    let broken = faults.iter().find(|fault| {
        fault.is("storage") && fault.hits_namespace(claim.namespace()) && fault.hits_class(class.name())
    });
    if let Some(fault) = broken {
        let message = format!(
            "failed to provision volume with StorageClass \"{}\": rpc error: code = Unavailable desc = storage is broken by fault {}",
            class.name(),
            fault.name
        );
        plan.warn(claim, "ProvisioningFailed", message);
        return plan;
    }
    match world.left_since(world.settings.provision_delay, claim.uid(), "provisioning") {
        Some(left) => plan.soon(left),
        None => {
            plan.push(Write::Ensure(volume(claim, class, &name, world)));
            plan.note(claim, "ProvisioningSucceeded", format!("Successfully provisioned volume {name}"));
        }
    }
    plan
}

fn volume(claim: &Value, class: &Value, name: &str, world: &World<'_>) -> Value {
    let provisioner = class.text("/provisioner");
    let or = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    let mut volume = json!({
        "apiVersion": "v1",
        "kind": VOLUME,
        "metadata": { "name": name, "finalizers": ["kubernetes.io/pv-protection"] },
        "spec": {
            "capacity": { "storage": claim.at("/spec/resources/requests/storage") },
            "accessModes": claim.at("/spec/accessModes"),
            "volumeMode": or(claim.text("/spec/volumeMode"), "Filesystem"),
            "persistentVolumeReclaimPolicy": or(class.text("/reclaimPolicy"), "Delete"),
            "storageClassName": class.name(),
            "claimRef": {
                "apiVersion": "v1",
                "kind": CLAIM,
                "namespace": claim.namespace(),
                "name": claim.name(),
                "uid": claim.uid(),
                "resourceVersion": claim.text("/metadata/resourceVersion"),
            },
            "csi": { "driver": provisioner, "volumeHandle": name, "fsType": "ext4" },
        },
        "status": { "phase": "Pending" },
    });
    set_key(&mut volume, "/metadata/annotations", "pv.kubernetes.io/provisioned-by", provisioner);
    let node = world.cache.get("Node", "", claim.annotation(SELECTED));
    let zone = node.map_or("", |node| node.label("topology.kubernetes.io/zone"));
    if !zone.is_empty() {
        let only = json!({ "key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone] });
        set(
            &mut volume,
            "/spec/nodeAffinity/required/nodeSelectorTerms",
            json!([{ "matchExpressions": [only] }]),
        );
    }
    volume
}
