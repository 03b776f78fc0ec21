//! `[targets.NAME.executor]`: runs on the target execute as Jobs of a management cluster instead of inside the engine
//! that starts them. Only what is particular to aegis has a key of its own; everything else that a pod can have is given
//! as Kubernetes writes it, in `pod` and `container`.

use std::collections::BTreeMap;
use std::time::Duration;

use aegis_engine::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How long a Job may be kept from executing its run before it is given up.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How long a Job stays when it has ended: its pods' logs with it.
const KEPT: Duration = Duration::from_secs(3600);

/// Pods of a Job that may fail before it does; Kubernetes' own number.
const RETRIES: u32 = 6;

/// One `[targets.NAME.executor]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExecutorTarget {
    /// Image with the `aegis` binary as its entry point.
    pub image: String,
    /// Where the pod gets the address of the database from that engines and pods share.
    pub database: SecretKey,
    /// Target whose cluster the Jobs are made in; empty: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Namespace of the Jobs; empty: the cluster's usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Service account of the pods; empty: the namespace's `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Program and first arguments in place of the image's entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// ConfigMap with the files of the project (`aegis.toml` at least), at `/project`; empty: the image has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Secrets whose keys become variables: secret parameters, keys of channels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// What a pod asks for: `cpu`, `memory`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, String>,
    /// What a pod gets at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, String>,
    /// Labels of Jobs and pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// How long something may keep a Job from executing its run before the Job is given up. Default 15m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<Period>,
    /// Pods of a Job that may be lost or fail before the Job is given up. Default 6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How long a Job is kept when it has ended. Default 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Period>,
    /// Laid over the pod's `spec`: `nodeSelector`, `tolerations`, `volumes`, `priorityClassName`, ...
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub pod: Map<String, Value>,
    /// Laid over the container: `imagePullPolicy`, `env`, `volumeMounts`, ...
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub container: Map<String, Value>,
}

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SecretKey {
    /// The Secret, in the namespace of the Jobs.
    pub secret: String,
    /// Its key.
    pub key: String,
}

impl ExecutorTarget {
    /// How long something may keep a Job from executing its run.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience.map_or(PATIENCE, Into::into)
    }

    /// How long a Job is kept when it has ended.
    pub(crate) fn kept(&self) -> Duration {
        self.keep.map_or(KEPT, Into::into)
    }

    /// Pods that may fail.
    pub(crate) fn retries(&self) -> u32 {
        self.retries.unwrap_or(RETRIES)
    }
}
