//! Finished Jobs with `ttlSecondsAfterFinished` go when their time has come.

use std::time::Duration;

use serde_json::Value;

use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::Fields;

/// Removes finished Jobs.
pub const CONTROLLER: Controller = Controller {
    name: "ttl-after-finished-controller",
    manager: "kube-controller-manager",
    wakes,
    reconcile,
};

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    change.itself("Job.batch")
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(job) = world.cache.find(key).filter(|job| !job.is_terminating()) else { return plan };
    let ended =
        ["Complete", "Failed"].into_iter().find(|kind| job.is(kind)).and_then(|kind| job.condition(kind));
    let (Some(ended), Some(seconds)) = (ended, job.number("/spec/ttlSecondsAfterFinished")) else {
        return plan;
    };
    let span = Duration::from_secs(seconds.max(0).unsigned_abs());
    // Even with no time to live, watchers (helm 4 waits for hook Jobs by watching) see the Job finished before it goes.
    let seen = || world.left_since(world.settings.stop_delay, job.uid(), "finished");
    match world.left_of(span, ended.text("/lastTransitionTime")).or_else(seen) {
        Some(left) => plan.upkeep(left),
        None => plan.push(Write::Delete {
            object: Value::clone(job),
            grace: None,
            propagation: Some("Foreground"),
        }),
    }
    plan
}
