//! Job: pods that run to their end, counted.
//!
//! | file | what |
//! |---|---|
//! | `tracking` | counting ended pods once, by uid and finalizer |
//! | `verdict` | when a Job has succeeded or failed |
//! | `indexes` | completion indexes |
//!
//! A Job ends in two steps, as recorded: `SuccessCriteriaMet` and then `Complete`, or `FailureTarget` and
//! then `Failed`, the second when the last pod is gone and counted.

mod indexes;
mod tracking;
mod verdict;

use std::time::Duration;

use serde_json::{Value, json};

use crate::controllers::cache::{Cache, Key};
use crate::controllers::conditions::{Condition, set_condition};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object, set, set_key};
use crate::controllers::pods;

use self::tracking::Count;
use self::verdict::Verdict;

const KIND: &str = "Job.batch";
const FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// The first wait before a failed pod is replaced, doubled by each further failure, and the longest:
/// the job controller's defaults.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(600);

/// Keeps Jobs.
pub const CONTROLLER: Controller =
    Controller { name: "job-controller", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    let mut keys = change.itself(KIND);
    if change.kind == "Pod" {
        keys.extend(change.controller(KIND));
        let job = change.object.label("batch.kubernetes.io/job-name");
        if !job.is_empty() && change.object.has_finalizer(FINALIZER) && keys.is_empty() {
            keys.push(Key::new(KIND, change.object.namespace(), job));
        }
    }
    keys
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    tracking::release_orphans(key, world, &mut plan);
    let Some(job) = world.cache.find(key) else { return plan };
    let pods: Vec<&Object> = pods::claim(job, "Pod", world, &mut plan);
    if job.is_terminating() {
        tracking::release(&pods, &mut plan);
        return plan;
    }
    if job.is("Complete") || job.is("Failed") {
        tracking::release(&pods, &mut plan);
        return plan;
    }
    Run { job, pods, world }.step(&mut plan);
    plan
}

/// One unfinished Job with its pods.
struct Run<'a> {
    job: &'a Object,
    pods: Vec<&'a Object>,
    world: &'a World<'a>,
}

impl Run<'_> {
    fn step(&self, plan: &mut Plan) {
        let count = Count::of(self);
        let mut status = self.job.at("/status").as_object().cloned().unwrap_or_default();
        let mut conditions = self.job.list("/status/conditions").to_vec();
        count.write(&mut status);
        if self.is_indexed() && count.all_succeeded() > 0 {
            status.insert("completedIndexes".into(), indexes::print(&indexes::completed(self)).into());
        }
        let verdict = verdict::reach(self, &count, &conditions);
        self.write_suspension(&mut status, &mut conditions, plan);
        let mut wants_pods = !self.job.flag("/spec/suspend");
        if let Some(verdict) = &verdict {
            wants_pods = false;
            self.write_verdict(verdict, &count, &mut status, &mut conditions, plan);
        }
        let active: Vec<&Object> = self.active().collect();
        let (new, gone) =
            if wants_pods { self.difference(&active, &count, plan) } else { (Vec::new(), active.clone()) };
        let running = active.len() + new.len() - gone.len();
        self.write_counts(running as i64, &gone, &mut status);
        if !conditions.is_empty() {
            status.insert("conditions".into(), conditions.into());
        }
        plan.status(self.job, status.into());
        self.create(new, plan);
        self.remove(&gone, plan);
        count.release(self, plan);
        self.watch_deadline(plan);
    }

    fn active(&self) -> impl Iterator<Item = &Object> {
        self.pods.iter().copied().filter(|pod| pods::is_active(pod))
    }

    fn is_indexed(&self) -> bool {
        self.job.text("/spec/completionMode") == "Indexed"
    }

    /// Pods to make (with their indexes) and pods to take.
    fn difference<'b>(
        &self,
        active: &[&'b Object],
        count: &Count,
        plan: &mut Plan,
    ) -> (Vec<Option<i64>>, Vec<&'b Object>) {
        let parallelism = self.job.number("/spec/parallelism").unwrap_or(1);
        let terminating =
            if self.job.text("/spec/podReplacementPolicy") == "Failed" { self.terminating() } else { 0 };
        let wanted = match self.job.number("/spec/completions") {
            Some(completions) => parallelism.min(completions - count.all_succeeded()),
            // A work queue: as soon as one pod succeeded, no new ones.
            None if count.all_succeeded() > 0 => active.len() as i64,
            None => parallelism,
        };
        let have = active.len() as i64;
        if wanted < have {
            let surplus = usize::try_from(have - wanted.max(0)).unwrap_or_default();
            let first = super::replica_set::first_to_go(active, self.world);
            return (Vec::new(), first.into_iter().take(surplus).collect());
        }
        if let Some(left) = self.backoff_left(count) {
            plan.soon(left);
            return (Vec::new(), Vec::new());
        }
        let room = usize::try_from(wanted - have - terminating).unwrap_or_default();
        let new = if self.is_indexed() {
            indexes::missing(self).into_iter().take(room).map(Some).collect()
        } else {
            vec![None; room]
        };
        (new, Vec::new())
    }

    fn terminating(&self) -> i64 {
        self.pods.iter().filter(|pod| pod.is_terminating() && !pods::is_finished(pod)).count() as i64
    }

    /// How long no pod may be made after failures.
    fn backoff_left(&self, count: &Count) -> Option<Duration> {
        let failures = u32::try_from(count.all_failed()).ok().filter(|failures| *failures > 0)?;
        let ends = self.pods.iter().filter(|pod| pod.text("/status/phase") == "Failed");
        let last = ends.map(|pod| tracking::finished_at(pod)).max()?;
        let wait = FIRST_BACKOFF.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_BACKOFF);
        self.world.left_of(wait, last)
    }

    fn create(&self, new: Vec<Option<i64>>, plan: &mut Plan) {
        if let Some(failure) = self.world.failure.filter(|_| !new.is_empty()) {
            plan.warn(self.job, "FailedCreate", format!("Error creating: {failure}"));
        }
        for index in new {
            let pod = self.pod(index);
            let note = format!("Created pod: {}", pod.name());
            plan.push(Write::Create(pod));
            plan.note(self.job, "SuccessfulCreate", note);
        }
    }

    fn pod(&self, index: Option<i64>) -> Value {
        let prefix = match index {
            Some(index) => format!("{}-{index}-", self.job.name()),
            None => format!("{}-", self.job.name()),
        };
        let mut pod = pods::generated(self.job, self.job.at("/spec/template"), &prefix, self.world);
        let mut finalizers = pod.list("/metadata/finalizers").to_vec();
        finalizers.push(FINALIZER.into());
        set(&mut pod, "/metadata/finalizers", finalizers.into());
        if let Some(index) = index {
            indexes::mark(&mut pod, self.job.name(), index);
        }
        pod
    }

    fn remove(&self, gone: &[&Object], plan: &mut Plan) {
        for pod in gone {
            plan.push(Write::delete(pod));
            plan.note(self.job, "SuccessfulDelete", format!("Deleted pod: {}", pod.name()));
        }
    }

    fn write_counts(&self, running: i64, gone: &[&Object], status: &mut serde_json::Map<String, Value>) {
        match running {
            0 => status.remove("active"),
            _ => status.insert("active".into(), running.into()),
        };
        let ready = self
            .active()
            .filter(|pod| pods::is_ready(pod) && !gone.iter().any(|other| other.uid() == pod.uid()));
        status.insert("ready".into(), ready.count().into());
        status.insert("terminating".into(), (self.terminating() + gone.len() as i64).into());
    }

    fn write_verdict(
        &self,
        verdict: &Verdict,
        count: &Count,
        status: &mut serde_json::Map<String, Value>,
        conditions: &mut Vec<Value>,
        plan: &mut Plan,
    ) {
        let (first, last) =
            if verdict.succeeded { ("SuccessCriteriaMet", "Complete") } else { ("FailureTarget", "Failed") };
        let now = self.world.timestamp();
        let probe = json!({ "lastProbeTime": now });
        let say = |kind| Condition::new(kind, "True", verdict.reason, verdict.message.clone());
        if !conditions.iter().any(|held| held.text("/type") == first) {
            set_condition(conditions, &say(first), &now, probe.clone());
        }
        let all_counted = count.is_settled() && self.active().next().is_none() && self.terminating() == 0;
        if !all_counted {
            return;
        }
        set_condition(conditions, &say(last), &now, probe);
        if verdict.succeeded {
            status.insert("completionTime".into(), now.into());
            plan.note(self.job, "Completed", "Job completed");
        } else {
            plan.warn(self.job, verdict.reason, verdict.message.clone());
        }
    }

    fn write_suspension(
        &self,
        status: &mut serde_json::Map<String, Value>,
        conditions: &mut Vec<Value>,
        plan: &mut Plan,
    ) {
        let suspended = self.job.flag("/spec/suspend");
        let now = self.world.timestamp();
        let was = self.job.condition("Suspended").map(|held| held.text("/status") == "True");
        let condition = match (suspended, was) {
            (true, None | Some(false)) => {
                Condition::new("Suspended", "True", "JobSuspended", "Job suspended")
            }
            (false, Some(true)) => Condition::new("Suspended", "False", "JobResumed", "Job resumed"),
            _ => {
                if !suspended && !status.contains_key("startTime") {
                    status.insert("startTime".into(), now.into());
                }
                return;
            }
        };
        match suspended {
            true => {
                status.remove("startTime");
                plan.note(self.job, "Suspended", "Job suspended");
            }
            false => {
                status.insert("startTime".into(), now.clone().into());
                plan.note(self.job, "Resumed", "Job resumed");
            }
        }
        set_condition(conditions, &condition, &now, json!({ "lastProbeTime": now }));
    }

    /// Looks again when the deadline is over, counted from the very start: it is held in whole seconds, cut off.
    fn watch_deadline(&self, plan: &mut Plan) {
        let Some(seconds) = self.job.number("/spec/activeDeadlineSeconds") else { return };
        let span = Duration::from_secs(seconds.max(0).unsigned_abs());
        let began = self.job.text("/status/startTime");
        let held = self.world.left_of(span + Duration::from_secs(1), began);
        let measured = self.world.left_since(span, self.job.uid(), &format!("active since {began}"));
        if let Some(left) = held.map(|held| measured.map_or(held, |measured| measured.min(held))) {
            plan.upkeep(left);
        }
    }
}

fn label_pod(pod: &mut Value, key: &str, value: String) {
    set_key(pod, "/metadata/labels", key, value);
}
