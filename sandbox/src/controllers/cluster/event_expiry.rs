//! Events go an hour after they last happened, the API server's default `--event-ttl`.

use std::time::Duration;

use serde_json::Value;

use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::Fields;

const LIFETIME: Duration = Duration::from_secs(3600);

/// Removes old events.
pub const CONTROLLER: Controller =
    Controller { name: "event-expiry", manager: "kube-apiserver", wakes, reconcile };

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    if change.gone { Vec::new() } else { change.itself("Event") }
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(event) = world.cache.told(&key.namespace, &key.name) else { return plan };
    match world.left_of(LIFETIME, last_seen(&event)) {
        Some(left) => plan.upkeep(left),
        None => plan.push(Write::delete(&event)),
    }
    plan
}

fn last_seen(event: &Value) -> &str {
    ["/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"]
        .into_iter()
        .map(|path| event.text(path))
        // Times of one form sort as text; an event may tell of something long ago.
        .max()
        .unwrap_or_default()
}
