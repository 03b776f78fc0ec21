//! A target: the cluster, storage and people a run works on, as `aegis.toml` names it. Host modules build
//! their clients from it; nothing here opens a connection.

mod executor;

use std::collections::BTreeMap;
use std::path::PathBuf;

use aegis_engine::Secret;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

pub use executor::{ExecutorTarget, SecretKey};

/// A number of which there must be some: with none, nothing would ever run.
///
/// # Errors
/// When it is 0, or no number that fits.
pub fn one_or_more<'de, D, N>(deserializer: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: Deserialize<'de> + From<u8> + PartialOrd,
{
    let number = N::deserialize(deserializer)?;
    if number < N::from(1) {
        return Err(D::Error::custom("expected a whole number, 1 or more"));
    }
    Ok(Some(number))
}

/// One `[targets.NAME]` table.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Target {
    /// One line for people: what this is.
    pub description: String,
    /// True for the embedded sandbox cluster: no kubeconfig, stand-in releases where helm or a chart is missing.
    pub sandbox: bool,
    /// Effects need the name typed (or `--yes-on NAME`), and `risk: "high"` needs an approval.
    pub protected: bool,
    /// Scheduled runs under way on it at the same time, by all engines together; empty: any number.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "one_or_more")]
    pub most_runs: Option<u32>,
    /// The Kubernetes cluster.
    pub kubernetes: KubernetesTarget,
    /// Where helm and its charts come from.
    pub helm: HelmTarget,
    /// Object storage by URL scheme.
    pub storage: StorageTarget,
    /// People and systems to notify, by channel name.
    pub notify: BTreeMap<String, Channel>,
    /// Runs that schedules and triggers start on it execute as Jobs; empty: inside the engine that starts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<ExecutorTarget>,
}

/// Which cluster, through which credentials.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KubernetesTarget {
    /// Path of the kubeconfig; empty: `KUBECONFIG`, then `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// Context in it; empty: its current context.
    pub context: Option<String>,
    /// Namespace when a call names none; empty: the context's, then `default`.
    pub namespace: Option<String>,
    /// Requests under way at once (the server's own fairness does the rest). Default 16.
    pub concurrency: Option<usize>,
}

/// helm and charts.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HelmTarget {
    /// Path of the helm binary; empty: `helm` on `PATH`.
    pub binary: Option<PathBuf>,
    /// Folder with charts (`NAME` or `NAME-VERSION` folders, or `.tgz` files) looked at before any repository.
    pub charts: Option<PathBuf>,
    /// Repository URLs by name, replacing the ones that components name (mirrors, air gaps).
    pub repositories: BTreeMap<String, String>,
}

/// Object storage.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct StorageTarget {
    /// `s3://` URLs.
    pub s3: S3Target,
    /// `file://` URLs must stay below this folder; empty: the project folder.
    pub file_root: Option<PathBuf>,
}

/// S3 or anything that speaks it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct S3Target {
    /// Endpoint URL; empty: AWS.
    pub endpoint: Option<String>,
    /// Region; empty: the AWS profile's or `AWS_REGION`.
    pub region: Option<String>,
    /// AWS profile; empty: `AWS_PROFILE`, then `default`.
    pub profile: Option<String>,
    /// Bucket in the path instead of the host name; needed by most servers that are not AWS.
    pub path_style: bool,
}

/// Where a notification goes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Channel {
    /// A JSON POST to any URL, signed with HMAC-SHA256 when there is a key.
    Webhook {
        /// The URL, or `env:NAME` to read it from the environment.
        url: Secret,
        /// Signing key, or `env:NAME`.
        #[serde(default)]
        key: Option<Secret>,
    },
    /// A Slack incoming webhook.
    Slack {
        /// The webhook URL, or `env:NAME`.
        url: Secret,
    },
    /// E-mail over SMTP.
    Email {
        /// `smtps://host:465`, `smtp://host:587` (STARTTLS required) or, on loopback only, `smtp+plain://host:25`.
        server: String,
        /// Sender.
        from: String,
        /// Receivers.
        to: Vec<String>,
        /// User for SMTP authentication.
        #[serde(default)]
        user: Option<String>,
        /// Password, or `env:NAME`.
        #[serde(default)]
        password: Option<Secret>,
    },
    /// A file that gets one JSON line per notification: the sandbox's default, so that rehearsals show what would be sent.
    File {
        /// Path, relative to the state directory.
        path: PathBuf,
    },
}

/// What the process brings along besides the configuration: folders and resolved secrets. Made by the
/// command line, handed to every module that builds a client.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Name of the target.
    pub name: String,
    /// State directory (`.aegis`).
    pub state: PathBuf,
    /// Folder of the runbook's project.
    pub project: PathBuf,
    /// Kubeconfig text that rules over the files (the sandbox's own).
    pub kubeconfig: Option<String>,
    /// The environment, for `env:NAME` values, `KUBECONFIG`, `AWS_*`, `PATH`, XDG folders.
    pub environment: BTreeMap<String, String>,
}
