//! Scheduler: finds a node for every pod that has none, or says why there is none.
//!
//! | file | what |
//! |---|---|
//! | `filters` | which nodes can take a pod at all, and the words for those that cannot |
//! | `affinity` | affinity and anti-affinity to other pods, topology spread |
//! | `volumes` | claims that bind with their first pod, volumes tied to a zone |
//! | `scores` | which of the possible nodes is best |

mod affinity;
mod filters;
mod scores;
mod volumes;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub use self::filters::{tolerates, wants};

use super::cache::{Cache, Key};
use super::conditions::{Condition, set_condition};
use super::controller::{Change, Controller, Plan, World, Write};
use super::fields::{Fields, Object, set};
use super::pods;
use super::usage::Usage;

/// Schedules.
pub const CONTROLLER: Controller =
    Controller { name: "default-scheduler", manager: "kube-scheduler", wakes, reconcile };

/// A pod's own change wakes it. Pods that found no node are woken by what may help them; one that was not
/// looked at yet has its turn anyway.
fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    let refused = || cache.refused().filter(|pod| is_waiting(pod));
    match change.kind {
        "Pod" if !change.gone && change.object.text("/spec/nodeName").is_empty() => {
            let spec = |object: &Object| object.at("/spec").clone();
            let is_news = change.previous.is_none_or(|held| spec(held) != spec(change.object));
            if is_news { vec![change.key()] } else { Vec::new() }
        }
        "Pod" if change.gone || pods::is_finished(change.object) => keys(refused()),
        "Pod" if is_new_on_node(change) => keys(refused().filter(|pod| affinity::looks_at_others(pod))),
        "Node" if is_other_node(change) => keys(refused()),
        "PersistentVolumeClaim" | "PersistentVolume" | "StorageClass.storage.k8s.io" => {
            keys(cache.claimants().filter(|pod| is_waiting(pod)))
        }
        _ => Vec::new(),
    }
}

fn keys<'a>(pods: impl Iterator<Item = &'a Object>) -> Vec<Key> {
    pods.map(|pod| Key::of(pod)).collect()
}

/// A pod that was just bound may be what another one's affinity waits for.
fn is_new_on_node(change: &Change<'_>) -> bool {
    change.previous.is_some_and(|held| held.text("/spec/nodeName").is_empty())
}

/// Whether a node changed in what pods look at.
fn is_other_node(change: &Change<'_>) -> bool {
    change.previous.is_none_or(|held| {
        ["/spec", "/metadata/labels", "/status/allocatable"]
            .iter()
            .any(|path| held.at(path) != change.object.at(path))
    })
}

/// Whether a pod without a node could get one.
fn is_waiting(pod: &Value) -> bool {
    pods::is_active(pod) && pod.list("/spec/schedulingGates").is_empty()
}

/// Whether a pod is left to us: one that names another scheduler waits for that.
fn is_ours(pod: &Value) -> bool {
    matches!(pod.text("/spec/schedulerName"), "" | "default-scheduler")
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(pod) = world.cache.find(key).filter(|pod| pods::is_active(pod)) else { return plan };
    if !pod.text("/spec/nodeName").is_empty() || !is_ours(pod) {
        return plan;
    }
    if !pod.list("/spec/schedulingGates").is_empty() {
        let message = "Scheduling is blocked due to non-empty scheduling gates";
        return say(pod, "SchedulingGated", message.to_owned(), false, world, plan);
    }
    match place(pod, world) {
        Ok(Some(node)) => bind(pod, &node, &mut plan),
        Ok(None) => {}
        Err(why) => {
            plan.warn(pod, "FailedScheduling", why.clone());
            return say(pod, "Unschedulable", why, true, world, plan);
        }
    }
    volumes::claim(pod, world, &mut plan);
    plan
}

fn bind(pod: &Object, node: &str, plan: &mut Plan) {
    plan.push(Write::Bind { pod: Value::clone(pod), node: node.to_owned() });
    let message = format!("Successfully assigned {}/{} to {node}", pod.namespace(), pod.name());
    plan.note(pod, "Scheduled", message);
}

/// A pod that looks for a node, with what is the same for every node.
struct Search<'a> {
    pod: &'a Object,
    wanted: Usage,
    others: affinity::Others<'a>,
    nodes: Vec<&'a Object>,
    world: &'a World<'a>,
}

impl<'a> Search<'a> {
    fn of(pod: &'a Object, world: &'a World<'a>) -> Self {
        let nodes: Vec<&Object> = world.cache.list("Node").collect();
        let others = affinity::Others::of(pod, world.cache, &nodes);
        Self { pod, wanted: Usage::of_pod(pod), others, nodes, world }
    }

    /// The nodes that can take it, and how often there was which reason that others cannot.
    fn possible(&self) -> (Vec<&'a Object>, BTreeMap<String, usize>) {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        let mut possible = Vec::new();
        for node in &self.nodes {
            match filters::refuse(self, node) {
                None => possible.push(*node),
                Some(why) => *reasons.entry(why).or_default() += 1,
            }
        }
        (possible, reasons)
    }

    fn best(&self, possible: &[&'a Object]) -> Option<String> {
        scores::best(self, possible).map(|node| node.name().to_owned())
    }
}

/// The best node; none while a claim is being bound; an error says why there is no node.
fn place(pod: &Object, world: &World<'_>) -> Result<Option<String>, String> {
    let search = Search::of(pod, world);
    let total = search.nodes.len();
    if let Some(problem) = volumes::problem(pod, world.cache) {
        return Err(format!("0/{total} nodes are available: {problem}. {}", no_help(total)));
    }
    let (possible, reasons) = search.possible();
    match volumes::chosen_node(pod, world.cache) {
        _ if possible.is_empty() => Err(explain(&reasons, total)),
        Some(chosen) if possible.iter().any(|node| node.name() == chosen) => {
            Ok(volumes::all_bound(pod, world.cache).then(|| chosen.to_owned()))
        }
        _ if !volumes::all_bound(pod, world.cache) => Ok(None),
        _ => Ok(search.best(&possible)),
    }
}

/// The node for a pod whose claims wait for it.
fn node_for_claims(pod: &Object, world: &World<'_>) -> Option<String> {
    let search = Search::of(pod, world);
    search.best(&search.possible().0)
}

fn explain(reasons: &BTreeMap<String, usize>, total: usize) -> String {
    let mut counted: Vec<String> = reasons.iter().map(|(why, count)| format!("{count} {why}")).collect();
    counted.sort();
    let why = if counted.is_empty() {
        "no nodes available to schedule pods".to_owned()
    } else {
        counted.join(", ")
    };
    if total == 0 {
        return why;
    }
    format!("0/{total} nodes are available: {why}. {}", no_help(total))
}

/// There is no preemption in the sandbox, so it never helps.
fn no_help(total: usize) -> String {
    format!(
        "no new claims to deallocate, preemption: 0/{total} nodes are available: {total} Preemption is not helpful for scheduling."
    )
}

/// Writes PodScheduled=False with a reason, unless it says so already.
fn say(
    pod: &Object,
    reason: &'static str,
    message: String,
    observes: bool,
    world: &World<'_>,
    mut plan: Plan,
) -> Plan {
    let condition = Condition::new("PodScheduled", "False", reason, message);
    if pod.condition("PodScheduled").is_some_and(|held| condition.is_said_by(held)) {
        return Plan::nothing();
    }
    let mut conditions = pod.list("/status/conditions").to_vec();
    let mut extra = json!({ "lastProbeTime": null });
    if observes {
        extra["observedGeneration"] = pod.generation().into();
    }
    set_condition(&mut conditions, &condition, &world.timestamp(), extra);
    let mut status = pod.at("/status").clone();
    set(&mut status, "/conditions", conditions.into());
    plan.status(pod, status);
    plan
}
