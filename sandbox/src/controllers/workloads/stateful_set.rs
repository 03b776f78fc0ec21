//! StatefulSet: pods with names, one after the other, each with its own claims.
//!
//! OrderedReady makes and takes pods one at a time and waits for each; Parallel does not wait. An
//! update goes from the highest ordinal down to the partition, one pod at a time, with either policy.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::revisions::{self, Revisions};
use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object, set, set_key};
use crate::controllers::pods;

const KIND: &str = "StatefulSet.apps";
const HASH: &str = "controller-revision-hash";
const CLAIM: &str = "PersistentVolumeClaim";

/// Keeps StatefulSets.
pub const CONTROLLER: Controller =
    Controller { name: "statefulset-controller", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    let mut keys = change.itself(KIND);
    if matches!(change.kind, "Pod" | "ControllerRevision.apps") {
        keys.extend(change.controller(KIND));
    }
    keys
}

/// One StatefulSet as a reconcile sees it.
struct Set<'a> {
    set: &'a Object,
    world: &'a World<'a>,
    revisions: Revisions<'a>,
    /// The pods by ordinal, those beyond the wanted ones included.
    pods: BTreeMap<i64, &'a Object>,
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(set) = world.cache.find(key) else { return plan };
    let revisions = revisions::of(set, "controller.kubernetes.io/hash", world, &mut plan);
    let claimed = pods::claim(set, "Pod", world, &mut plan);
    let pods = claimed.into_iter().filter_map(|pod| Some((ordinal(set, pod)?, pod))).collect();
    let set = Set { set, world, revisions, pods };
    set.write_status(&mut plan);
    if !set.set.is_terminating() {
        set.manage(&mut plan);
        set.remove_claims(&mut plan);
        let mut live = vec![set.current_revision()];
        live.extend(set.pods.values().map(|pod| pod.label(HASH)));
        revisions::clean_up(set.set, &set.revisions, &live, &mut plan);
    }
    plan
}

fn ordinal(set: &Value, pod: &Value) -> Option<i64> {
    pod.name().strip_prefix(set.name())?.strip_prefix('-')?.parse().ok()
}

impl Set<'_> {
    fn start(&self) -> i64 {
        self.set.count("/spec/ordinals/start")
    }

    fn wanted(&self) -> std::ops::Range<i64> {
        self.start()..self.start() + self.set.count("/spec/replicas")
    }

    fn is_ordered(&self) -> bool {
        self.set.text("/spec/podManagementPolicy") != "Parallel"
    }

    fn current_revision(&self) -> &str {
        match self.set.text("/status/currentRevision") {
            "" => &self.revisions.update,
            held => held,
        }
    }

    fn min_ready(&self) -> i64 {
        self.set.count("/spec/minReadySeconds")
    }

    fn is_available(&self, pod: &Value) -> bool {
        pods::availability(pod, self.min_ready(), self.world).is_ok()
    }

    /// Makes and replaces the wanted pods, takes the others, updates: in this order, one step at a time
    /// when ordered.
    fn manage(&self, plan: &mut Plan) {
        for number in self.wanted() {
            let go_on = match self.pods.get(&number) {
                None => {
                    self.make(number, plan);
                    !self.is_ordered()
                }
                Some(pod) => self.mend(pod, plan),
            };
            if !go_on {
                return;
            }
        }
        let wanted = self.wanted();
        let mut condemned = self.pods.iter().rev().filter(|(number, _)| !wanted.contains(number)).peekable();
        if condemned.peek().is_some() {
            for (_, pod) in condemned {
                let gone_already = pod.is_terminating();
                if !gone_already {
                    self.take(pod, plan);
                }
                if self.is_ordered() {
                    return;
                }
            }
            return;
        }
        self.update(plan);
    }

    /// Deals with a pod that is there; answers whether the next one's turn has come.
    fn mend(&self, pod: &Object, plan: &mut Plan) -> bool {
        if pods::is_finished(pod) && !pod.is_terminating() {
            let message = format!(
                "StatefulSet {}/{} is recreating terminated Pod {}",
                self.set.namespace(),
                self.set.name(),
                pod.name()
            );
            plan.warn(self.set, "RecreatingTerminatedPod", message);
            self.take(pod, plan);
            return !self.is_ordered();
        }
        let healthy = !pod.is_terminating() && self.is_available(pod);
        if let Err(Some(left)) = pods::availability(pod, self.min_ready(), self.world) {
            plan.soon(left);
        }
        healthy || !self.is_ordered()
    }

    fn take(&self, pod: &Value, plan: &mut Plan) {
        plan.push(Write::delete(pod));
        let message = format!("delete Pod {} in StatefulSet {} successful", pod.name(), self.set.name());
        plan.note(self.set, "SuccessfulDelete", message);
    }

    fn make(&self, number: i64, plan: &mut Plan) {
        let pod = self.pod(number);
        if let Some(failure) = self.world.failure {
            let message = format!(
                "create Pod {} in StatefulSet {} failed error: {failure}",
                pod.name(),
                self.set.name()
            );
            plan.warn(self.set, "FailedCreate", message);
        }
        for claim in self.claims(number) {
            if self.world.cache.get(CLAIM, claim.namespace(), claim.name()).is_none() {
                let message = format!(
                    "create Claim {} Pod {} in StatefulSet {} success",
                    claim.name(),
                    pod.name(),
                    self.set.name()
                );
                plan.push(Write::Ensure(claim));
                plan.note(self.set, "SuccessfulCreate", message);
            }
        }
        let message = format!("create Pod {} in StatefulSet {} successful", pod.name(), self.set.name());
        plan.push(Write::Create(pod));
        plan.note(self.set, "SuccessfulCreate", message);
    }

    /// Replaces one pod of another revision, from the top down to the partition.
    fn update(&self, plan: &mut Plan) {
        if self.set.text("/spec/updateStrategy/type") == "OnDelete" {
            return;
        }
        let partition = self.set.count("/spec/updateStrategy/rollingUpdate/partition");
        for (number, pod) in self.pods.iter().rev() {
            if *number < self.start() + partition {
                return;
            }
            if pod.label(HASH) != self.revisions.update && !pod.is_terminating() {
                return self.take(pod, plan);
            }
            if pod.is_terminating() || !self.is_available(pod) {
                return;
            }
        }
    }

    /// The revision a new pod of this ordinal is made from.
    fn revision_for(&self, number: i64) -> &str {
        let rolling = self.set.text("/spec/updateStrategy/type") != "OnDelete";
        let partition = self.set.count("/spec/updateStrategy/rollingUpdate/partition");
        if rolling && number < self.start() + partition {
            self.current_revision()
        } else {
            &self.revisions.update
        }
    }

    fn pod(&self, number: i64) -> Value {
        let revision = self.revision_for(number);
        let template =
            self.revisions.template(revision).unwrap_or_else(|| self.set.at("/spec/template").clone());
        let name = format!("{}-{number}", self.set.name());
        let mut pod = pods::from_template(self.set, &template, &name);
        set(&mut pod, "/metadata/generateName", format!("{}-", self.set.name()).into());
        for (key, value) in [
            ("apps.kubernetes.io/pod-index", number.to_string()),
            (HASH, revision.to_owned()),
            ("statefulset.kubernetes.io/pod-name", name.clone()),
        ] {
            set_key(&mut pod, "/metadata/labels", key, value);
        }
        set(&mut pod, "/spec/hostname", name.into());
        set(&mut pod, "/spec/subdomain", self.set.text("/spec/serviceName").into());
        self.mount_claims(&mut pod, number);
        pod
    }

    fn mount_claims(&self, pod: &mut Value, number: i64) {
        let templates = self.set.list("/spec/volumeClaimTemplates");
        if templates.is_empty() {
            return;
        }
        let is_claim = |name: &str| templates.iter().any(|template| template.name() == name);
        let mut volumes: Vec<Value> = templates
            .iter()
            .map(|template| {
                let claim = self.claim_name(template, number);
                json!({ "name": template.name(), "persistentVolumeClaim": { "claimName": claim } })
            })
            .collect();
        volumes
            .extend(pod.list("/spec/volumes").iter().filter(|held| !is_claim(held.text("/name"))).cloned());
        set(pod, "/spec/volumes", volumes.into());
    }

    fn claim_name(&self, template: &Value, number: i64) -> String {
        format!("{}-{}-{number}", template.name(), self.set.name())
    }

    fn claims(&self, number: i64) -> Vec<Value> {
        self.set
            .list("/spec/volumeClaimTemplates")
            .iter()
            .map(|template| self.claim(template, number))
            .collect()
    }

    fn claim(&self, template: &Value, number: i64) -> Value {
        let mut claim = json!({
            "apiVersion": "v1",
            "kind": CLAIM,
            "metadata": {
                "name": self.claim_name(template, number),
                "namespace": self.set.namespace(),
                "annotations": template.at("/metadata/annotations"),
            },
            "spec": template.at("/spec"),
        });
        if template.at("/metadata/annotations").is_null() {
            crate::controllers::fields::remove_key(&mut claim, "/metadata", "annotations");
        }
        let own = template.entries("/metadata/labels").chain(self.set.entries("/spec/selector/matchLabels"));
        for (key, value) in own {
            set_key(&mut claim, "/metadata/labels", key, value.clone());
        }
        if self.set.text("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted") == "Delete" {
            set(&mut claim, "/metadata/ownerReferences", crate::controllers::fields::controlled_by(self.set));
        }
        claim
    }

    /// Claims of pods that a scale-down took, where the policy says so.
    fn remove_claims(&self, plan: &mut Plan) {
        if self.set.text("/spec/persistentVolumeClaimRetentionPolicy/whenScaled") != "Delete" {
            return;
        }
        for template in self.set.list("/spec/volumeClaimTemplates") {
            let prefix = format!("{}-{}-", template.name(), self.set.name());
            for claim in self.world.cache.list_in(CLAIM, self.set.namespace()) {
                let number = claim.name().strip_prefix(&prefix).and_then(|number| number.parse::<i64>().ok());
                let beyond = number.is_some_and(|number| {
                    !self.wanted().contains(&number) && !self.pods.contains_key(&number)
                });
                if beyond && !claim.is_terminating() {
                    plan.push(Write::delete(claim));
                }
            }
        }
    }

    fn write_status(&self, plan: &mut Plan) {
        let created: Vec<&Object> = self.pods.values().copied().collect();
        let count = |holds: &dyn Fn(&Object) -> bool| created.iter().filter(|pod| holds(pod)).count() as i64;
        let of = |revision: &str| count(&|pod| pod.label(HASH) == revision && !pod.is_terminating());
        let ready = count(&|pod| pods::is_ready(pod) && !pod.is_terminating());
        let available = count(&|pod| !pod.is_terminating() && self.is_available(pod));
        let replicas = created.len() as i64;
        let updated = of(&self.revisions.update);
        let rolled = updated == replicas && ready == replicas && replicas == self.set.count("/spec/replicas");
        let rolling = self.set.text("/spec/updateStrategy/type") != "OnDelete";
        let current =
            if rolled && rolling { self.revisions.update.as_str() } else { self.current_revision() };
        let mut status = pods::without_zeros(&[
            ("observedGeneration", self.set.generation()),
            ("readyReplicas", ready),
            ("currentReplicas", of(current)),
            ("updatedReplicas", updated),
        ]);
        status.insert("replicas".into(), replicas.into());
        status.insert("availableReplicas".into(), available.into());
        status.insert("currentRevision".into(), current.into());
        status.insert("updateRevision".into(), self.revisions.update.clone().into());
        status.insert("collisionCount".into(), self.set.count("/status/collisionCount").into());
        plan.status(self.set, status.into());
    }
}
