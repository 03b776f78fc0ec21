//! The form of an operator's file.
//!
//! ```yaml
//! about: what is played, in a sentence
//! image: part of the image's name that the operator's own pod runs
//! rules:
//!   - kind: Kafka.kafka.strimzi.io     # as kubectl writes kinds
//!     when: { metadata.labels.x: y }   # optional: only objects with these values
//!     runs: kube-webhook-certgen       # optional: only workloads that run this image ...
//!     command: admin init              # ... or hold this in their command
//!     makes:                           # objects it leads to; short forms in `objects`
//!       - each: ${spec.instances}      # optional: once for each number or list item
//!         statefulSet: { name: "${name}-kafka", replicas: 3, image: kafka }
//!     working: { phase: Creating }     # status until all that was made is ready
//!     status: { phase: Ready }         # status then
//!     conditions: [...]                # or only conditions, added to those there are
//!     labels: { x: y }                 # labels it gets
//! ```
//!
//! Text may hold `${...}`, see `render`. An operator without `image` is always there: that is for kinds a
//! chart itself brings (Jobs, Deployments).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// One operator and the rules it is played by.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// What is played, in a sentence.
    pub about: String,
    /// Part of the name of the image that its own pod runs.
    #[serde(default)]
    pub image: String,
    /// How each kind is played.
    pub rules: Vec<Rule>,
}

/// How one kind is played.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The kind, such as `Certificate.cert-manager.io`; `*.GROUP` for every kind of a group.
    pub kind: String,
    /// Values the object must have, by dotted path.
    #[serde(default)]
    pub when: BTreeMap<String, Value>,
    /// Part of the name of an image the object must run.
    #[serde(default)]
    pub runs: String,
    /// A part of a command the object must run.
    #[serde(default)]
    pub command: String,
    /// What it leads to.
    #[serde(default)]
    pub makes: Vec<Value>,
    /// Conditions added to those it has.
    #[serde(default)]
    pub conditions: Vec<Value>,
    /// Its labels afterwards, by key.
    #[serde(default)]
    pub labels: BTreeMap<String, Value>,
    /// Its status until all that was made is ready.
    #[serde(default)]
    pub working: Value,
    /// Its status then.
    #[serde(default)]
    pub status: Value,
}

impl Operator {
    /// Reads an operator's file.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }
}

impl Rule {
    /// Whether the rule is about a kind.
    pub fn plays(&self, kind: &str) -> bool {
        match self.kind.strip_prefix('*') {
            Some(group) => kind.ends_with(group),
            None => kind == self.kind,
        }
    }
}
