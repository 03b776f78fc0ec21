//! `[database]`: where several engines share their work. Its address may hold a password, so it is a secret from the
//! file or variable it is read from to the moment it is connected with.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::files::{WRITTEN, read_text};
use aegis_engine::{Period, Secret};
use serde::{Deserialize, Serialize};

use crate::view::failure::Failure;

/// An engine that works well was heard of within a few seconds.
const SHORTEST: Duration = Duration::from_secs(2);

/// `[database]` of `aegis.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DatabaseConfig {
    /// The address, `env:NAME` or `file:PATH`; empty: journals are in the state directory.
    pub(crate) url: Secret,
    /// After how long without a word an engine has lost its runs.
    takeover_after: Option<Period>,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: Secret::new(""), takeover_after: None }
    }
}

impl DatabaseConfig {
    /// The address itself.
    pub(crate) fn address(
        &self,
        project: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Secret, Failure> {
        let written = self.url.open();
        if let Some(name) = written.strip_prefix("env:") {
            let value = environment.get(name).filter(|value| !value.is_empty());
            return Ok(Secret::new(value.ok_or_else(|| {
                CallError::new(
                    codes::CONFIG,
                    format!("the address of the database is to be in `{name}`, which is not set"),
                )
                .hint(format!("export {name}=postgres://user:password@host/name"))
            })?));
        }
        if let Some(path) = written.strip_prefix("file:") {
            let path = project.join(path);
            let text = read_text(&path, WRITTEN).map_err(|error| {
                let message = format!("the address of the database cannot be read from `{}`", path.display());
                CallError::new(codes::CONFIG, message).because(error)
            })?;
            return Ok(Secret::new(text.trim()));
        }
        Ok(self.url.clone())
    }

    /// After how long without a word an engine has lost its runs.
    pub(crate) fn takeover_after(&self) -> Result<Duration, Failure> {
        let length = self.takeover_after.map_or(Duration::from_secs(90), |period| period.0);
        if length < SHORTEST {
            let problem = "`database.takeover-after` is shorter than two seconds";
            return Err(CallError::new(codes::CONFIG, problem)
                .hint("a slow answer would look like a dead engine; 30s to 2m is usual")
                .into());
        }
        Ok(length)
    }
}

/// What stands on the command line is read by everybody on the machine.
pub(super) fn refuse_password(url: &str) -> Result<(), Failure> {
    let user = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'));
    if user.is_some_and(|(user, _)| user.contains(':')) || url.contains("password=") {
        return Err(CallError::new(
            codes::CONFIG,
            "`--database` has a password, which everybody on this machine can read there",
        )
        .hint("put the address into AEGIS_DATABASE_URL, or into a file: `--database file:PATH`")
        .into());
    }
    Ok(())
}
