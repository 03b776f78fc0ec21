//! Counting ended pods exactly once.
//!
//! A pod holds the tracking finalizer until its end is in the Job's status. The uid first goes to
//! `uncountedTerminatedPods`, then the finalizer goes, then the uid becomes a number.

use serde_json::{Map, Value, json};

use super::{FINALIZER, Run};
use crate::controllers::cache::Key;
use crate::controllers::controller::{Plan, World, Write};
use crate::controllers::fields::{Fields, Object, remove_finalizer};
use crate::controllers::pods;

/// Numbers and uids of ended pods.
pub(super) struct Count {
    pub(super) succeeded: i64,
    pub(super) failed: i64,
    uncounted_succeeded: Vec<String>,
    uncounted_failed: Vec<String>,
    /// Uids that were in the status already: their pods can be released.
    noted: Vec<String>,
}

impl Count {
    pub(super) fn of(run: &Run<'_>) -> Self {
        let mut count = Self {
            succeeded: run.job.count("/status/succeeded"),
            failed: run.job.count("/status/failed"),
            uncounted_succeeded: Vec::new(),
            uncounted_failed: Vec::new(),
            noted: Vec::new(),
        };
        count.settle(run);
        count.find(run);
        count
    }

    /// Turns noted uids whose pods are released into numbers.
    fn settle(&mut self, run: &Run<'_>) {
        let holds = |uid: &str| run.pods.iter().any(|pod| pod.uid() == uid && pod.has_finalizer(FINALIZER));
        for (field, succeeded) in [("succeeded", true), ("failed", false)] {
            let path = format!("/status/uncountedTerminatedPods/{field}");
            for uid in run.job.list(&path).iter().filter_map(Value::as_str) {
                match (holds(uid), succeeded) {
                    (true, true) => self.uncounted_succeeded.push(uid.to_owned()),
                    (true, false) => self.uncounted_failed.push(uid.to_owned()),
                    (false, true) => self.succeeded += 1,
                    (false, false) => self.failed += 1,
                }
                self.noted.push(uid.to_owned());
            }
        }
    }

    /// Notes pods that ended since.
    fn find(&mut self, run: &Run<'_>) {
        for pod in run.pods.iter().filter(|pod| pod.has_finalizer(FINALIZER)) {
            let uid = pod.uid().to_owned();
            if self.noted.contains(&uid) {
                continue;
            }
            match pod.text("/status/phase") {
                "Succeeded" => self.uncounted_succeeded.push(uid),
                "Failed" => self.uncounted_failed.push(uid),
                _ if will_not_end(pod) => self.uncounted_failed.push(uid),
                _ => {}
            }
        }
    }

    pub(super) fn all_succeeded(&self) -> i64 {
        self.succeeded + self.uncounted_succeeded.len() as i64
    }

    pub(super) fn all_failed(&self) -> i64 {
        self.failed + self.uncounted_failed.len() as i64
    }

    /// Whether every ended pod has become a number.
    pub(super) fn is_settled(&self) -> bool {
        self.uncounted_succeeded.is_empty() && self.uncounted_failed.is_empty()
    }

    pub(super) fn write(&self, status: &mut Map<String, Value>) {
        for (field, number) in [("succeeded", self.succeeded), ("failed", self.failed)] {
            if number > 0 {
                status.insert(field.into(), number.into());
            }
        }
        let mut uncounted = json!({});
        for (field, uids) in [("succeeded", &self.uncounted_succeeded), ("failed", &self.uncounted_failed)] {
            if !uids.is_empty() {
                uncounted[field] = uids.clone().into();
            }
        }
        status.insert("uncountedTerminatedPods".into(), uncounted);
    }

    /// Releases the pods whose uids the status held already.
    pub(super) fn release(&self, run: &Run<'_>, plan: &mut Plan) {
        let noted: Vec<&Object> = run.pods.iter().copied().filter(|pod| self.is_noted(pod)).collect();
        release(&noted, plan);
    }

    fn is_noted(&self, pod: &Value) -> bool {
        let uids = self.uncounted_succeeded.iter().chain(&self.uncounted_failed).chain(&self.noted);
        uids.into_iter().any(|uid| uid == pod.uid())
    }
}

/// Whether a pod is deleted before it ran, or at once: nobody waits for its end, and only the finalizer holds it.
fn will_not_end(pod: &Object) -> bool {
    let has_grace = pod.count("/metadata/deletionGracePeriodSeconds") > 0;
    pod.is_terminating() && (pod.text("/spec/nodeName").is_empty() || !has_grace)
}

/// Takes the finalizer off pods.
pub(super) fn release(pods: &[&Object], plan: &mut Plan) {
    for pod in pods.iter().filter(|pod| pod.has_finalizer(FINALIZER)) {
        let mut released = Value::clone(pod);
        remove_finalizer(&mut released, FINALIZER);
        plan.push(Write::Replace(released));
    }
}

/// Releases pods whose Job is gone, or is another one of the same name.
pub(super) fn release_orphans(key: &Key, world: &World<'_>, plan: &mut Plan) {
    let pods = world.cache.list_in("Pod", &key.namespace).filter(|pod| pod.has_finalizer(FINALIZER));
    let lost: Vec<&Object> = pods
        .filter(|pod| pod.label("batch.kubernetes.io/job-name") == key.name)
        .filter(|pod| pod.controller().is_none_or(|owner| world.cache.by_uid(owner.text("/uid")).is_none()))
        .collect();
    release(&lost, plan);
}

/// When the last container of a pod ended.
pub(super) fn finished_at(pod: &Value) -> &str {
    let ends = pod.list("/status/containerStatuses").iter();
    let last = ends.map(|status| status.text("/state/terminated/finishedAt")).max().unwrap_or_default();
    if last.is_empty() && pods::is_finished(pod) { pod.text("/metadata/creationTimestamp") } else { last }
}
