//! The `caBundle` of webhooks: filled in once the Service behind one has a ready endpoint, as operators
//! and certificate injectors do.
//!
//! A webhook without bundle counts as not answering, so the order of an installation shows as it would.

use serde_json::Value;

use super::certificates;
use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::Fields;

const CONFIGURATIONS: [&str; 2] = [
    "ValidatingWebhookConfiguration.admissionregistration.k8s.io",
    "MutatingWebhookConfiguration.admissionregistration.k8s.io",
];
const SLICE: &str = "EndpointSlice.discovery.k8s.io";

/// Fills in bundles.
pub const CONTROLLER: Controller =
    Controller { name: "aegis-players", manager: "aegis-players", wakes, reconcile };

fn wakes(change: &Change<'_>, cache: &Cache) -> Vec<Key> {
    if CONFIGURATIONS.contains(&change.kind) {
        return vec![change.key()];
    }
    if change.kind != SLICE {
        return Vec::new();
    }
    let service = change.object.label("kubernetes.io/service-name");
    let behind = |configuration: &&crate::controllers::fields::Object| {
        configuration.list("/webhooks").iter().any(|webhook| {
            webhook.text("/clientConfig/service/name") == service
                && webhook.text("/clientConfig/service/namespace") == change.object.namespace()
        })
    };
    CONFIGURATIONS
        .into_iter()
        .flat_map(|kind| cache.list(kind))
        .filter(behind)
        .map(|held| Key::of(held))
        .collect()
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(configuration) = world.cache.find(key).filter(|held| !held.is_terminating()) else {
        return plan;
    };
    let bundle = certificates::base64(&certificates::authority_certificate());
    let mut wanted = Value::clone(configuration);
    for webhook in wanted["webhooks"].as_array_mut().into_iter().flatten() {
        if webhook.text("/clientConfig/caBundle").is_empty() && answers(webhook, world.cache) {
            webhook["clientConfig"]["caBundle"] = bundle.clone().into();
        }
    }
    if configuration.at("/webhooks").is_array() && wanted != **configuration {
        plan.push(Write::Replace(wanted));
    }
    plan
}

/// Whether the Service behind a webhook has a ready endpoint.
fn answers(webhook: &Value, cache: &Cache) -> bool {
    let service = webhook.at("/clientConfig/service");
    let slices = cache.list_in(SLICE, service.text("/namespace"));
    let mine = slices.filter(|slice| slice.label("kubernetes.io/service-name") == service.text("/name"));
    service.is_object()
        && mine.flat_map(|slice| slice.list("/endpoints")).any(|endpoint| endpoint.flag("/conditions/ready"))
}
