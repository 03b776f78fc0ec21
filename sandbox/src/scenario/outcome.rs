//! What came of a scenario: what was told, how the cluster looks, and one line that two runs are compared by.

use jiff::SignedDuration;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Scenario;
use crate::admission::Counts;
use crate::controllers::fields::Fields;
use crate::faults;
use crate::picture::{Picture, World, picture};
use crate::store::{Resource, Store};

/// What came of a scenario.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Outcome {
    /// What names and uids came from.
    pub seed: u64,
    /// How long it lasted, in the cluster's time.
    pub lasted: SignedDuration,
    /// How many writes the cluster saw.
    pub writes: u64,
    /// Steps and events, in order.
    pub timeline: Vec<Moment>,
    /// How the cluster looks at the end.
    pub picture: Picture,
    /// Of everything above and of every object, keys and certificates aside: equal outcomes have equal digests.
    pub digest: String,
}

/// Something that was told.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Moment {
    /// How long after the start, in whole seconds.
    pub at: SignedDuration,
    /// About what: `Pod default/web-1`, or the step.
    pub object: String,
    /// In a word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
}

impl Moment {
    pub(super) fn of(at: SignedDuration, event: &Value) -> Self {
        let about = event.at("/involvedObject");
        let place = [about.text("/namespace"), about.text("/name")];
        let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
        Self {
            at,
            object: format!("{} {}", about.text("/kind"), place.join("/")),
            reason: event.text("/reason").to_owned(),
            message: event.text("/message").to_owned(),
        }
    }
}

pub(super) fn of(scenario: &Scenario, store: &Store, timeline: Vec<Moment>, webhooks: Counts) -> Outcome {
    let objects = |group: &str, plural: &str| -> Vec<Value> {
        let list = store.list(&Resource::new(group, plural), None);
        list.objects().map(|object| Value::clone(&object)).collect()
    };
    let world = World {
        nodes: objects("", "nodes"),
        pods: objects("", "pods"),
        workloads: ["deployments", "statefulsets", "daemonsets"]
            .map(|plural| objects("apps", plural))
            .concat(),
        faults: objects(faults::GROUP, faults::PLURAL),
        webhooks,
    };
    let outcome = Outcome {
        seed: scenario.seed,
        lasted: SignedDuration::try_from(scenario.lasts).unwrap_or(SignedDuration::MAX),
        writes: store.version(),
        timeline,
        picture: picture(&world),
        digest: String::new(),
    };
    Outcome { digest: digest(&outcome, store), ..outcome }
}

fn digest(outcome: &Outcome, store: &Store) -> String {
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(outcome).unwrap_or_default());
    let mut shelves: Vec<Resource> = store.kinds().all().iter().map(|kind| kind.storage.clone()).collect();
    shelves.sort();
    shelves.dedup();
    for shelf in shelves {
        for object in store.list(&shelf, None).objects() {
            hash.update(without_secrets(&object).to_string());
        }
    }
    hex::encode(hash.finalize())
}

/// Keys are drawn by the cryptographic library, which no seed reaches; so are the certificates made with them.
fn without_secrets(object: &Value) -> Value {
    let mut object = object.clone();
    if object["kind"] == "Secret" {
        for (_, value) in object["data"].as_object_mut().into_iter().flatten() {
            *value = Value::Null;
        }
    }
    for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
        webhook["clientConfig"]["caBundle"] = Value::Null;
    }
    if !object["spec"]["caBundle"].is_null() {
        object["spec"]["caBundle"] = Value::Null;
    }
    object
}
