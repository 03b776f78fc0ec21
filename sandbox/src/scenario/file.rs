//! What a scenario file says.
//!
//! ```yaml
//! seed: 7
//! topology: {workers: 6, zones: [a, b]}
//! lasts: 30m
//! steps:
//! - apply: {file: web.yaml}
//! - {at: 5m, fault: {name: dark, kind: node-kill, zone: a}}
//! - {at: 15m, clear: dark}
//! ```

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Error;
use crate::controllers::Topology;

/// A cluster, and what is done to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Where names and uids come from.
    #[serde(default)]
    pub seed: u64,
    /// When it begins; midnight of the first of January 2026 by itself.
    #[serde(default = "new_year")]
    pub start: Timestamp,
    /// The nodes.
    #[serde(default)]
    pub topology: Topology,
    /// When the outcome is looked at, such as `30m`.
    #[serde(deserialize_with = "span")]
    pub lasts: Duration,
    /// What is done, in any order; those of one moment in the order they are written.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// Something that is done at a moment.
#[derive(Debug, Clone, Deserialize)]
pub struct Step {
    /// How long after the start, such as `5m`.
    #[serde(default, deserialize_with = "span")]
    pub at: Duration,
    /// What.
    #[serde(flatten)]
    pub action: Action,
}

/// What can be done.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Applies objects, server-side.
    Apply(Objects),
    /// Changes an object by a merge patch.
    Patch(Patch),
    /// Deletes an object.
    Delete(Object),
    /// Adds a fault: its name, its kind and what it takes.
    Fault(Map<String, Value>),
    /// Clears a fault by its name.
    Clear(String),
}

/// Objects in a file or in place.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Objects {
    /// A YAML file, looked for beside the scenario's.
    pub file: Option<String>,
    /// Objects written into the scenario; those of the file are added.
    pub objects: Vec<Value>,
}

/// An object by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// `deployment/web`, by any name of the kind.
    pub object: String,
    /// Its namespace; `default` by itself.
    #[serde(default = "default_namespace")]
    pub namespace: String,
}

/// A change of an object.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// `deployment/web`, by any name of the kind.
    pub object: String,
    /// Its namespace; `default` by itself.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// The merge patch.
    pub with: Value,
}

impl Scenario {
    /// Reads a file with the manifests it names.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |problem: String| Error::File { path: path.to_owned(), problem };
        let mut scenario: Self =
            serde_saphyr::from_str(&text(path)?).map_err(|error| wrong(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for step in &mut scenario.steps {
            if let Action::Apply(Objects { file: Some(file), objects }) = &mut step.action {
                objects.extend(manifests(&folder.join(&*file))?);
            }
        }
        scenario.steps.sort_by_key(|step| step.at);
        Ok(scenario)
    }
}

fn manifests(path: &Path) -> Result<Vec<Value>, Error> {
    let wrong =
        |error: serde_saphyr::Error| Error::File { path: path.to_owned(), problem: error.to_string() };
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text(path)?).map_err(wrong)?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

fn text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn new_year() -> Timestamp {
    Timestamp::constant(1_767_225_600, 0)
}

fn default_namespace() -> String {
    "default".to_owned()
}

fn span<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    crate::faults::span(&text)
        .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no span of time, as `90s` or `10m`")))
}
