//! `aegis.toml`: targets and the state directory. Nothing is required: with no file the target is the
//! embedded sandbox.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_stdlib::target::Target;
use serde::Deserialize;

/// Name of the file, in the project folder.
pub(crate) const FILE: &str = "aegis.toml";

/// Name of the target that is always there.
pub(crate) const SANDBOX: &str = "sandbox";

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// The target when none is named.
    pub(crate) target: Option<String>,
    /// Where journals and the sandbox live.
    pub(crate) state_dir: Option<PathBuf>,
    /// Targets by name.
    pub(crate) targets: BTreeMap<String, Target>,
}

impl Config {
    /// Reads the file of a project; the sandbox is there without one.
    pub(crate) fn load(project: &Path) -> Result<Self, CallError> {
        let path = project.join(FILE);
        let mut config: Self = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| {
                CallError::new(codes::CONFIG, format!("`{}` cannot be used", path.display())).because(error)
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                return Err(CallError::new(codes::CONFIG, format!("`{}` cannot be read", path.display()))
                    .because(error));
            }
        };
        config.targets.entry(SANDBOX.to_owned()).or_insert_with(|| Target {
            description: "the embedded cluster".to_owned(),
            sandbox: true,
            ..Target::default()
        });
        Ok(config)
    }

    /// A target by name.
    pub(crate) fn target(&self, name: &str) -> Result<&Target, CallError> {
        self.targets.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.targets.keys().map(String::as_str).collect();
            let hint = aegis_engine::text::did_you_mean(name, names.iter().copied())
                .unwrap_or_else(|| format!("targets are {}", aegis_engine::text::list(&names)));
            CallError::new(codes::TARGET, format!("there is no target `{name}`")).hint(hint)
        })
    }
}
