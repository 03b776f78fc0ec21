//! DaemonSet: one pod on every node that fits.
//!
//! Each pod names its node in a required affinity and goes through the scheduler, as since 1.12. A
//! rolling update replaces as many pods at once as `maxUnavailable` (or `maxSurge`, when that is set:
//! the sandbox takes the old pod before it makes the new one) allows.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::revisions;
use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object, set, set_key};
use crate::controllers::quantity::{Round, int_or_percent};
use crate::controllers::{pods, scheduler};

const KIND: &str = "DaemonSet.apps";
const HASH: &str = "controller-revision-hash";
const GENERATION: &str = "deprecated.daemonset.template.generation";

/// Taints that daemon pods bear: they belong to the node, whatever its state.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// Keeps DaemonSets.
pub const CONTROLLER: Controller =
    Controller { name: "daemonset-controller", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let mut keys = change.itself(KIND);
    match change.kind {
        "Pod" | "ControllerRevision.apps" => keys.extend(change.controller(KIND)),
        "Node" => {
            let same = change.previous.is_some_and(|held| {
                ["/metadata/labels", "/spec"].iter().all(|path| held.at(path) == change.object.at(path))
            });
            if !same || change.gone {
                keys.extend(cache.list(KIND).map(|set| Key::of(set)));
            }
        }
        _ => {}
    }
    keys
}

/// One DaemonSet as a reconcile sees it.
struct Daemons<'a> {
    set: &'a Object,
    world: &'a World<'a>,
    hash: String,
    /// Every node, whether it shall have a pod, and the pods it has, oldest first.
    nodes: BTreeMap<String, Place<'a>>,
}

#[derive(Default)]
struct Place<'a> {
    wanted: bool,
    pods: Vec<&'a Object>,
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(set) = world.cache.find(key) else { return plan };
    let revisions = revisions::of(set, HASH, world, &mut plan);
    let mut nodes: BTreeMap<String, Place<'_>> = BTreeMap::new();
    let probe = probe(set);
    for node in world.cache.list("Node").filter(|node| !node.is_terminating()) {
        nodes.entry(node.name().to_owned()).or_default().wanted = fits(&probe, node);
    }
    for pod in pods::claim(set, "Pod", world, &mut plan) {
        nodes.entry(node_of(pod).to_owned()).or_default().pods.push(pod);
    }
    let daemons = Daemons { set, world, hash: revisions.hash.clone(), nodes };
    let status = daemons.status(&mut plan);
    plan.status(set, status);
    if !set.is_terminating() {
        daemons.manage(&mut plan);
        daemons.update(&mut plan);
        let live: Vec<&str> =
            daemons.nodes.values().flat_map(|place| &place.pods).map(|pod| pod.label(HASH)).collect();
        revisions::clean_up(set, &revisions, &live, &mut plan);
    }
    plan
}

/// The pod as it would be on any node, to ask which nodes it fits.
fn probe(set: &Value) -> Value {
    let mut pod = pods::from_template(set, set.at("/spec/template"), "probe");
    tolerate(&mut pod);
    pod
}

fn fits(pod: &Value, node: &Value) -> bool {
    let bears =
        |taint: &Value| pod.list("/spec/tolerations").iter().any(|held| scheduler::tolerates(held, taint));
    let mut taints = node.list("/spec/taints").iter();
    scheduler::wants(pod, node)
        && taints.all(|taint| taint.text("/effect") == "PreferNoSchedule" || bears(taint))
}

/// The node a daemon pod is for: where it is, or where its affinity sends it.
fn node_of(pod: &Value) -> &str {
    match pod.text("/spec/nodeName") {
        "" => pod.text(
            "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0",
        ),
        name => name,
    }
}

fn tolerate(pod: &mut Value) {
    let mut tolerations = pod.list("/spec/tolerations").to_vec();
    let host =
        pod.flag("/spec/hostNetwork").then_some(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    for (key, effect) in TOLERATED.into_iter().chain(host) {
        let wanted = json!({ "key": key, "operator": "Exists", "effect": effect });
        if !tolerations.contains(&wanted) {
            tolerations.push(wanted);
        }
    }
    set(pod, "/spec/tolerations", tolerations.into());
}

impl Daemons<'_> {
    fn manage(&self, plan: &mut Plan) {
        for (node, place) in &self.nodes {
            let (finished, held): (Vec<&Object>, Vec<&Object>) = place
                .pods
                .iter()
                .copied()
                .filter(|pod| !pod.is_terminating())
                .partition(|pod| pods::is_finished(pod));
            for pod in finished {
                let message = format!(
                    "Found failed daemon pod {}/{} on node {node}, will try to kill it",
                    pod.namespace(),
                    pod.name()
                );
                plan.warn(self.set, "FailedDaemonPod", message);
                self.take(pod, plan);
            }
            let keep = usize::from(place.wanted);
            for pod in held.iter().skip(keep) {
                self.take(pod, plan);
            }
            if place.wanted && place.pods.iter().all(|pod| pods::is_finished(pod)) && held.is_empty() {
                self.make(node, plan);
            }
        }
    }

    fn make(&self, node: &str, plan: &mut Plan) {
        if let Some(failure) = self.world.failure {
            plan.warn(self.set, "FailedCreate", format!("Error creating: {failure}"));
        }
        let pod = self.pod(node);
        let note = format!("Created pod: {}", pod.name());
        plan.push(Write::Create(pod));
        plan.note(self.set, "SuccessfulCreate", note);
    }

    fn take(&self, pod: &Value, plan: &mut Plan) {
        plan.push(Write::delete(pod));
        plan.note(self.set, "SuccessfulDelete", format!("Deleted pod: {}", pod.name()));
    }

    fn pod(&self, node: &str) -> Value {
        let prefix = format!("{}-", self.set.name());
        let mut pod = pods::generated(self.set, self.set.at("/spec/template"), &prefix, self.world);
        set_key(&mut pod, "/metadata/labels", HASH, self.hash.as_str());
        let generation = self.set.annotation(GENERATION);
        if !generation.is_empty() {
            set_key(&mut pod, "/metadata/labels", "pod-template-generation", generation);
        }
        tolerate(&mut pod);
        let only = json!([{ "key": "metadata.name", "operator": "In", "values": [node] }]);
        let path =
            "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
        let mut terms = pod.list(path).to_vec();
        if terms.is_empty() {
            terms.push(json!({}));
        }
        for term in &mut terms {
            term["matchFields"] = only.clone();
        }
        set(&mut pod, path, terms.into());
        pod
    }

    /// Takes pods of an older template, as many as may be missing at once.
    fn update(&self, plan: &mut Plan) {
        if self.set.text("/spec/updateStrategy/type") == "OnDelete" {
            return;
        }
        let wanted: Vec<&Place<'_>> = self.nodes.values().filter(|place| place.wanted).collect();
        let limit = |field: &str| int_or_percent(self.set.at(field), wanted.len() as i64, Round::Up);
        let most = limit("/spec/updateStrategy/rollingUpdate/maxUnavailable")
            .max(limit("/spec/updateStrategy/rollingUpdate/maxSurge"))
            .max(1);
        let missing =
            wanted.iter().filter(|place| !place.pods.iter().any(|pod| self.is_available(pod))).count() as i64;
        let mut budget = most - missing;
        for pod in wanted.iter().flat_map(|place| &place.pods).filter(|pod| self.is_old(pod)) {
            if !self.is_available(pod) {
                self.take(pod, plan);
            } else if budget > 0 {
                budget -= 1;
                self.take(pod, plan);
            }
        }
    }

    fn is_old(&self, pod: &Value) -> bool {
        pod.label(HASH) != self.hash && !pod.is_terminating() && !pods::is_finished(pod)
    }

    fn is_available(&self, pod: &Value) -> bool {
        !pod.is_terminating()
            && pods::availability(pod, self.set.count("/spec/minReadySeconds"), self.world).is_ok()
    }

    fn status(&self, plan: &mut Plan) -> Value {
        let live = |place: &&Place<'_>| place.pods.iter().any(|pod| !pod.is_terminating());
        let wanted: Vec<&Place<'_>> = self.nodes.values().filter(|place| place.wanted).collect();
        let with = |holds: &dyn Fn(&Object) -> bool| {
            wanted
                .iter()
                .filter(|place| place.pods.iter().any(|pod| !pod.is_terminating() && holds(pod)))
                .count() as i64
        };
        let every: Vec<&Object> = wanted.iter().flat_map(|place| &place.pods).copied().collect();
        pods::count_available(&every, self.set.count("/spec/minReadySeconds"), self.world, plan);
        let available = with(&|pod| self.is_available(pod));
        let desired = wanted.len() as i64;
        let mut status = pods::without_zeros(&[
            ("observedGeneration", self.set.generation()),
            ("updatedNumberScheduled", with(&|pod| pod.label(HASH) == self.hash)),
            ("numberAvailable", available),
            ("numberUnavailable", desired - available),
        ]);
        let misplaced = self.nodes.values().filter(|place| !place.wanted).filter(live).count();
        status.insert(
            "currentNumberScheduled".into(),
            wanted.iter().copied().filter(|place| live(place)).count().into(),
        );
        status.insert("numberMisscheduled".into(), misplaced.into());
        status.insert("desiredNumberScheduled".into(), desired.into());
        status.insert("numberReady".into(), with(&|pod| pods::is_ready(pod)).into());
        status.into()
    }
}
