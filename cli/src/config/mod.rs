//! Configuration: `aegis.toml` in layers, and where each value comes from.
//!
//! ```text
//! compiled-in defaults < user file (XDG) < project file < environment < flags
//! ```
//!
//! Every file is read by itself first, so that an unknown key is told with its file and line; then the
//! layers are laid over each other key by key.

mod database;
mod executors;
mod layers;
mod spared;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aegis_engine::Period;
use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::text::{did_you_mean, list};
use aegis_sandbox::serve::Topology;
use aegis_stdlib::target::{Target, one_or_more};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

pub(crate) use database::DatabaseConfig;
pub(crate) use layers::{Layered, Origin, load};
pub(crate) use spared::load_spared;

/// The defaults, as a file with comments.
pub(crate) const DEFAULTS: &str = include_str!("default.toml");

/// The configuration as all layers together say it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// Target of runs that name none.
    pub(crate) target: String,
    /// Where journals and the sandbox live.
    pub(crate) state_dir: PathBuf,
    /// Who acts.
    pub(crate) operator: String,
    /// Where several engines share their work.
    pub(crate) database: DatabaseConfig,
    /// The embedded cluster.
    pub(crate) sandbox: SandboxConfig,
    /// The scheduler.
    pub(crate) serve: ServeConfig,
    /// Targets by name.
    pub(crate) targets: BTreeMap<String, Target>,
}

/// The embedded cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SandboxConfig {
    /// How fast its time runs; 1 is real time.
    pub(crate) time_scale: f64,
    /// Whether its API speaks TLS. Counts when the cluster is new.
    pub(crate) tls: bool,
    /// Whether pods that ask for it run their commands as processes of this machine.
    pub(crate) allow_processes: bool,
    /// Where names and uids in it come from; random without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,
    /// The nodes a new cluster begins with.
    pub(crate) topology: Topology,
    /// The same for single clusters: `sandbox:NAME` by its name.
    pub(crate) clusters: BTreeMap<String, Topology>,
}

/// `aegis serve`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ServeConfig {
    /// Channel of each schedule's target that hears of missed, failed and waiting runs; empty: nobody.
    pub(crate) notify: String,
    /// Address of `/metrics` and `/healthz`; empty: none.
    pub(crate) listen: String,
    /// Certificate and key of that address.
    pub(crate) tls: TlsConfig,
    /// Who may use the API, by name.
    pub(crate) tokens: BTreeMap<String, aegis_console::Token>,
    /// URL that is asked while it serves; empty: none.
    pub(crate) heartbeat: String,
    /// How often.
    #[serde(deserialize_with = "some_time")]
    pub(crate) heartbeat_every: Option<Period>,
    /// Runs at the same time.
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) most_runs: Option<usize>,
    /// How long runs may take to end once it was told to stop.
    pub(crate) drain: Option<Period>,
    /// By what several engines elect the one that decides on instants; without one, all do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lease: Option<LeaseConfig>,
}

/// What happens again and again needs a pause.
fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Period>, D::Error> {
    let length = Period::deserialize(deserializer)?;
    if length.0.is_zero() {
        return Err(D::Error::custom("expected some time, not none: write how long, like `1m`"));
    }
    Ok(Some(length))
}

/// A Lease in a cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaseConfig {
    /// Target whose cluster it is in.
    pub(crate) cluster: String,
    /// Its namespace; else the cluster's usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// Its name.
    #[serde(default = "LeaseConfig::usual_name")]
    pub(crate) name: String,
}

impl LeaseConfig {
    fn usual_name() -> String {
        "aegis-scheduler".to_owned()
    }
}

/// Files with what TLS needs, relative to the project.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TlsConfig {
    /// Chain of certificates, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    /// Private key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
}

impl SandboxConfig {
    /// The nodes a sandbox target begins with. A cluster of its own is in a region of its own name unless
    /// the configuration says where it is.
    pub(crate) fn topology(&self, target: &str) -> Topology {
        let Some((_, name)) = target.split_once(':') else { return self.topology.clone() };
        self.clusters.get(name).cloned().unwrap_or_else(|| Topology {
            region: name.to_owned(),
            zones: ["a", "b", "c"].map(|zone| format!("{name}-{zone}")).to_vec(),
            ..self.topology.clone()
        })
    }
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            time_scale: 1.0,
            tls: true,
            allow_processes: false,
            seed: None,
            topology: Topology::default(),
            clusters: BTreeMap::new(),
        }
    }
}

impl Config {
    /// A target by name.
    pub(crate) fn target(&self, name: &str) -> Result<&Target, CallError> {
        // `sandbox:seoul` is the target `sandbox` with a cluster of its own.
        let several =
            |(base, own): (&str, &str)| self.targets.get(base).filter(|base| base.sandbox && is_name(own));
        let own = name.split_once(':').and_then(several);
        self.targets.get(name).or(own).ok_or_else(|| {
            let names: Vec<&str> = self.targets.keys().map(String::as_str).collect();
            let hint = did_you_mean(name, names.iter().copied()).unwrap_or_else(|| {
                format!("targets are {}; add `[targets.{name}]` to aegis.toml", list(&names))
            });
            CallError::new(codes::NO_TARGET, format!("there is no target `{name}`")).hint(hint)
        })
    }
}

/// Whether a text can name a cluster: it is part of a folder's name, a region's and a zone's.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
}

/// The file of a project.
pub(crate) fn project_file(root: &Path) -> PathBuf {
    root.join("aegis.toml")
}

/// The file of a user: `$XDG_CONFIG_HOME/aegis/aegis.toml`, else below `~/.config`.
pub(crate) fn user_file(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(folder.join("aegis").join("aegis.toml"))
}
