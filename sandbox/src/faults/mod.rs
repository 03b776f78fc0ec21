//! Faults: what goes wrong on purpose, as objects of the cluster itself.
//!
//! ```text
//!   aegis sandbox fault add, sandbox::fault, kubectl --> Fault objects (sandbox.aegis.dev/v1, cluster-scoped)
//!                                                          |  read where they matter
//!      nodes . pods . requests . behaviour of pods . quotas . storage
//! ```
//!
//! A fault holds for as long as its object is there: taking it back is deleting it, every process that takes
//! part in the cluster sees it, and it survives a restart like anything else.
//!
//! | file | what |
//! |---|---|
//! | `table` | every kind of fault and every parameter, in one visible list |
//! | `definition` | the CustomResourceDefinition made from that list |
//! | `nodes` | nodes that are killed, frozen or cut off |
//! | `pods` | pods that are killed; faults that end by themselves |
//! | `requests` | errors and delays of the API |
//! | `certificates` | certificates that have expired |
//!
//! Whether an image can be pulled, a container crashes, is slow or never ready is asked by the kubelet; full
//! quotas by admission; broken storage by the provisioner and the kubelet.

pub mod certificates;
pub mod definition;
pub mod nodes;
pub mod pods;
pub mod requests;
pub mod table;

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::Change;
use crate::controllers::fields::{Fields, Object};
use crate::store::Resource;
use crate::store::selector::LabelSelector;

/// The group of faults.
pub const GROUP: &str = "sandbox.aegis.dev";
/// Their version.
pub const VERSION: &str = "v1";
/// Their plural.
pub const PLURAL: &str = "faults";
/// Their kind, as caches name it.
pub const KIND: &str = "Fault.sandbox.aegis.dev";

/// One fault. Parameters that its kind does not take are refused when it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Fault {
    /// The object's name.
    #[serde(skip)]
    pub name: String,
    /// Which kind, of those in [`table::KINDS`].
    pub kind: String,
    /// A node's name.
    pub node: String,
    /// A zone.
    pub zone: String,
    /// A namespace; all of them when empty.
    pub namespace: String,
    /// A label selector for pods; all of them when empty.
    pub selector: String,
    /// A part of an image's name.
    pub image: String,
    /// A StorageClass; all of them when empty.
    pub class: String,
    /// A Certificate of cert-manager; all of them when empty.
    pub certificate: String,
    /// Verbs of requests; all of them when empty.
    pub verbs: Vec<String>,
    /// Resources of requests, as `pods` or `deployments.apps`; all of them when empty.
    pub resources: Vec<String>,
    /// What requests get: `429`, `500`, `503`, `timeout`, `reset` or `slow`.
    pub error: String,
    /// The share of requests it happens to.
    pub rate: Option<f64>,
    /// Which of them: the same seed chooses the same ones.
    pub seed: u64,
    /// How many pods.
    pub count: Option<usize>,
    /// How many times as long things take.
    pub factor: Option<f64>,
    /// How long something takes, as `5s`.
    pub delay: String,
    /// After how many seconds a refused client shall come back.
    pub retry_after: Option<u32>,
    /// With which code containers end.
    pub exit_code: Option<i64>,
    /// How long the fault holds, as `10m`; until it is cleared when empty.
    pub lasts: String,
}

impl Fault {
    /// Reads an object; none for one that is on its way out, or that nobody could have written.
    pub fn read(object: &Value) -> Option<Self> {
        if object.is_terminating() {
            return None;
        }
        let fault = Self::deserialize(object.at("/spec")).ok()?;
        Some(Self { name: object.name().to_owned(), ..fault })
    }

    /// Whether the fault is of a kind.
    pub fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }

    /// Whether it is about a node.
    pub fn hits_node(&self, node: &Value) -> bool {
        let named = !self.node.is_empty() && self.node == node.name();
        named || !self.zone.is_empty() && self.zone == node.label("topology.kubernetes.io/zone")
    }

    /// Whether it is about a namespace.
    pub fn hits_namespace(&self, namespace: &str) -> bool {
        self.namespace.is_empty() || self.namespace == namespace
    }

    /// Whether it is about a pod, by namespace and labels.
    pub fn hits_pod(&self, pod: &Value) -> bool {
        let selected = || match LabelSelector::parse(&self.selector) {
            Ok(selector) => selector.matches(pod),
            Err(_) => false,
        };
        self.hits_namespace(pod.namespace()) && (self.selector.is_empty() || selected())
    }

    /// Whether it is about a container's image.
    pub fn hits_image(&self, container: &Value) -> bool {
        container.text("/image").contains(&self.image)
    }

    /// Whether it is about a StorageClass.
    pub fn hits_class(&self, class: &str) -> bool {
        self.class.is_empty() || self.class == class
    }

    /// How long something takes; none when it does not say.
    pub fn delay(&self) -> Option<Duration> {
        span(&self.delay)
    }
}

/// Reads `90s`, `10m`, `1h`.
pub(crate) fn span(text: &str) -> Option<Duration> {
    Duration::try_from(text.parse::<jiff::SignedDuration>().ok()?).ok()
}

/// Where faults are stored.
pub fn resource() -> Resource {
    Resource::new(GROUP, PLURAL)
}

/// The faults among objects.
pub fn read_all<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Vec<Fault> {
    objects.into_iter().filter_map(|object| Fault::read(object)).collect()
}

/// The faults that controllers see.
pub fn in_cache(cache: &Cache) -> Vec<Fault> {
    read_all(cache.list(KIND))
}

/// The faults of some kinds that concern a pod on a node.
pub fn of_pod(cache: &Cache, pod: &Value, node: &Value) -> Vec<Fault> {
    let mut faults = in_cache(cache);
    faults.retain(|fault| match fault.kind.as_str() {
        "node-slow" => fault.hits_node(node),
        _ => fault.hits_pod(pod),
    });
    faults
}

/// Wakes every object of a kind when a fault comes, changes or goes.
pub fn wakes_all(change: &Change<'_>, cache: &Cache, kind: &str) -> Vec<Key> {
    match change.kind == KIND {
        true => cache.list(kind).map(|object| Key::of(object)).collect(),
        false => Vec::new(),
    }
}
