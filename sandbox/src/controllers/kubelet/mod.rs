//! Kubelet: plays every pod that is bound to a node.
//!
//! ```text
//!  Pending --volumes there--> sandbox --init containers--> Running --readiness--> Ready
//!     |            (held: FailedMount)     (held: ImagePullBackOff, CreateContainerConfigError)
//!     +-- deleted --> Killing --> containers ended --> gone          ended --> Succeeded / Failed
//! ```
//!
//! | file | what |
//! |---|---|
//! | `behaviour` | delays, exit codes, failures: annotations and rules |
//! | `containers` | the next state of one container |
//! | `process` | containers that really run |
//! | `references` | Secrets, ConfigMaps and claims that are missing |
//! | `status` | how it all looks in `status` |
//!
//! A pod does what its annotations and the cluster's rules say; one that asks for it runs its commands as
//! processes. A node whose kubelet is down (`nodes::is_down`) stands still.

mod behaviour;
mod containers;
mod process;
pub(super) mod references;
mod status;

use std::time::Duration;

use serde_json::Value;

use self::behaviour::Behaviour;
use self::containers::Step;
use self::status::{Facts, State};
use super::cache::{Cache, Key};
use super::controller::{Change, Controller, Plan, World, Write};
use super::events::Note;
use super::fields::{Fields, Object};
use super::{nodes, pods};
use crate::faults;
use crate::processes::Signal;

/// How often a kubelet tries a mount again at most. The real one backs off to two minutes.
const MOUNT_RETRY: Duration = Duration::from_secs(120);
/// How soon a killed process is looked at again.
const KILLED_WITHIN: Duration = Duration::from_millis(100);

/// Plays the pods.
pub const CONTROLLER: Controller = Controller { name: "kubelet", manager: "kubelet", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    match change.kind {
        "Pod" if !change.gone && !change.object.text("/spec/nodeName").is_empty() => vec![change.key()],
        faults::KIND => {
            cache.list("Pod").filter(|pod| !pods::is_finished(pod)).map(|pod| Key::of(pod)).collect()
        }
        "Secret" | "ConfigMap" | "PersistentVolumeClaim" => pending(cache, change.object.namespace()),
        "Node"
            if change.previous.is_some_and(|held| nodes::is_down(held) != nodes::is_down(change.object)) =>
        {
            cache.pods_on(change.object.name()).map(|pod| Key::of(pod)).collect()
        }
        _ => Vec::new(),
    }
}

/// Bound pods that may wait for something.
fn pending(cache: &Cache, namespace: &str) -> Vec<Key> {
    cache
        .list_in("Pod", namespace)
        .filter(|pod| !pod.text("/spec/nodeName").is_empty() && pod.text("/status/phase") == "Pending")
        .map(|pod| Key::of(pod))
        .collect()
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(pod) = world.cache.find(key) else { return plan };
    let node = world.cache.get("Node", "", pod.text("/spec/nodeName"));
    let Some(node) = node.filter(|node| !nodes::is_down(node)) else { return plan };
    let behaviour = Behaviour::of(pod, world.settings, faults::of_pod(world.cache, pod, node));
    let play = Play { pod, node, world, behaviour };
    match (pod.is_terminating(), pods::is_finished(pod)) {
        (true, _) => play.stop(&mut plan),
        (false, true) => {}
        (false, false) => play.run(&mut plan),
    }
    plan
}

/// One pod on one node.
struct Play<'a> {
    pod: &'a Object,
    node: &'a Object,
    world: &'a World<'a>,
    behaviour: Behaviour<'a>,
}

impl Play<'_> {
    fn run(&self, plan: &mut Plan) {
        let delay = self.behaviour.start_delay();
        if self.pod.text("/status/startTime").is_empty() {
            self.elapsed("start");
            plan.soon(delay);
            return plan.status(self.pod, self.waiting());
        }
        let missing = references::missing_volume(self.pod, self.world.cache);
        if let Some(problem) = missing.or_else(|| self.unmountable_volume()) {
            plan.upkeep(self.elapsed("mount").clamp(Duration::from_secs(1), MOUNT_RETRY));
            return plan.warn(self.pod, "FailedMount", problem);
        }
        if let Some(left) = delay.checked_sub(self.elapsed("start")).filter(|left| !left.is_zero()) {
            return plan.soon(left);
        }
        let step = containers::next(self, plan);
        plan.status(self.pod, self.status(step));
    }

    /// The claim that a fault keeps from being mounted, before the pod has begun: the event's text.
    fn unmountable_volume(&self) -> Option<String> {
        if self.pod.text("/status/phase") != "Pending" {
            return None;
        }
        self.pod.list("/spec/volumes").iter().find_map(|volume| {
            let claim = references::claim_name(self.pod, volume)?;
            let claim = self.world.cache.get("PersistentVolumeClaim", self.pod.namespace(), &claim)?;
            let fault = self.behaviour.broken_storage(claim.text("/spec/storageClassName"))?;
            let name = volume.text("/name");
            Some(format!(
                "MountVolume.MountDevice failed for volume \"{name}\" : rpc error: code = Unavailable desc = storage is broken by fault {}",
                fault.name
            ))
        })
    }

    /// The first status: everything waits.
    fn waiting(&self) -> Value {
        let inits = self.pod.list("/spec/initContainers");
        let reason = if inits.is_empty() { "ContainerCreating" } else { "PodInitializing" };
        let wait = |container: &Value| {
            let state = State::Waiting(reason, String::new());
            status::container(container, self.pod, state, false, &Value::Null)
        };
        let init = inits.iter().map(wait).collect();
        let containers = self.pod.list("/spec/containers").iter().map(wait).collect();
        status::pod(Facts { pod_ip: None, ..self.facts("Pending", init, containers) })
    }

    fn status(&self, step: Step) -> Value {
        status::pod(self.facts(step.phase, step.init, step.containers))
    }

    fn facts<'b>(&'b self, phase: &'b str, init: Vec<Value>, containers: Vec<Value>) -> Facts<'b> {
        Facts {
            pod: self.pod,
            now: self.world.timestamp(),
            phase,
            host_ip: nodes::internal_ip(self.node).to_owned(),
            pod_ip: Some(self.ip()),
            init,
            containers,
        }
    }

    /// The pod's address: the node's with `hostNetwork`, else the lowest free one of its range.
    fn ip(&self) -> String {
        let held = self.pod.text("/status/podIP");
        if !held.is_empty() {
            return held.to_owned();
        }
        if self.pod.flag("/spec/hostNetwork") {
            return nodes::internal_ip(self.node).to_owned();
        }
        let neighbours = self.world.cache.pods_on(self.node.name()).filter(|pod| !pods::is_finished(pod));
        let taken: Vec<&str> = neighbours.map(|pod| pod.text("/status/podIP")).collect();
        nodes::free_address(self.node, &taken)
    }

    fn stop(&self, plan: &mut Plan) {
        // One without grace is here because a finalizer holds it: what it runs ends all the same.
        let started = !self.pod.text("/status/startTime").is_empty();
        if !started || pods::is_finished(self.pod) {
            return plan.push(self.removal());
        }
        if self.elapsed("stop").is_zero() {
            for container in self.pod.list("/spec/containers") {
                let name = container.text("/name");
                let note = Note::normal(self.pod, "Killing", format!("Stopping container {name}"));
                plan.push(Write::Note(note.at(&format!("spec.containers{{{name}}}"))));
            }
            plan.push(self.signal(Signal::Terminate));
        }
        if self.has_processes() {
            return self.await_processes(plan);
        }
        match self.behaviour.stop_delay().checked_sub(self.elapsed("stop")).filter(|left| !left.is_zero()) {
            Some(left) => plan.soon(left),
            None => {
                let step = containers::stopped(self);
                plan.status(self.pod, self.status(step));
                plan.push(self.removal());
            }
        }
    }

    /// Gives processes their grace period, then ends them.
    fn await_processes(&self, plan: &mut Plan) {
        let grace = self.pod.count("/metadata/deletionGracePeriodSeconds").max(0).unsigned_abs();
        match Duration::from_secs(grace).checked_sub(self.elapsed("stop")).filter(|left| !left.is_zero()) {
            Some(left) => plan.soon(left),
            None => {
                plan.push(self.signal(Signal::Kill));
                plan.soon(KILLED_WITHIN);
            }
        }
    }

    fn removal(&self) -> Write {
        Write::Delete { object: Value::clone(self.pod), grace: Some(0), propagation: None }
    }

    /// How long this pod has been in a stage of its life.
    fn elapsed(&self, stage: &str) -> Duration {
        self.world.stopwatch(self.pod.uid(), stage)
    }
}
