//! Storage: claims get volumes, and neither goes while it is in use.
//!
//! | file | what |
//! |---|---|
//! | `binder` | matching claims and volumes, and what becomes of a volume whose claim is gone |
//! | `provisioner` | making volumes for claims of a StorageClass |
//! | `protection` | the finalizers of claims and volumes in use |

pub mod binder;
pub mod protection;
pub mod provisioner;

use serde_json::Value;

use super::cache::Cache;
use super::fields::{Fields, Object};

const CLAIM: &str = "PersistentVolumeClaim";
const VOLUME: &str = "PersistentVolume";
const CLASS: &str = "StorageClass.storage.k8s.io";
const SELECTED: &str = "volume.kubernetes.io/selected-node";

fn class<'a>(claim: &Value, cache: &'a Cache) -> Option<&'a Object> {
    cache.get(CLASS, "", claim.text("/spec/storageClassName"))
}

/// Whether the claim's class binds only once a pod has a node, and none has yet.
fn waits_for_pod(claim: &Value, cache: &Cache) -> bool {
    let waits =
        class(claim, cache).is_some_and(|class| class.text("/volumeBindingMode") == "WaitForFirstConsumer");
    waits && claim.annotation(SELECTED).is_empty()
}

/// The claim a volume is bound or promised to.
fn claim_of<'a>(volume: &Value, cache: &'a Cache) -> Option<&'a Object> {
    let reference = volume.at("/spec/claimRef");
    let claim = cache.get(CLAIM, reference.text("/namespace"), reference.text("/name"))?;
    let uid = reference.text("/uid");
    (uid.is_empty() || uid == claim.uid()).then_some(claim)
}
