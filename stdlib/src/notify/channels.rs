//! Which channel a name means, with its secrets resolved.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aegis_engine::text::{did_you_mean, list};
use aegis_engine::{CallError, Secret, codes};

use crate::target::{Channel, Surroundings, Target};

/// Where notifications of the sandbox go when its target names no channel.
const SANDBOX_FILE: &str = "notifications.jsonl";

/// The channels of a target.
pub(super) struct Channels {
    target: String,
    sandbox: bool,
    by_name: BTreeMap<String, Channel>,
    environment: BTreeMap<String, String>,
}

impl Channels {
    pub(super) fn new(target: &Target, surroundings: &Surroundings) -> Self {
        Self {
            target: surroundings.name.clone(),
            sandbox: target.sandbox,
            by_name: target.notify.clone(),
            environment: surroundings.environment.clone(),
        }
    }

    /// The channel of that name.
    pub(super) fn find(&self, name: &str) -> Result<Channel, CallError> {
        match self.by_name.get(name) {
            Some(channel) => Ok(channel.clone()),
            None if self.sandbox => Ok(Channel::File { path: PathBuf::from(SANDBOX_FILE) }),
            None => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> CallError {
        let known: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
        let line = format!("[targets.{}.notify.{name}]", self.target);
        let hint = did_you_mean(name, known.iter().copied()).unwrap_or_else(|| {
            format!("channels are {}; add one under `{line}` in `aegis.toml`", list(&known))
        });
        let message = format!("target `{}` has no notification channel `{name}`", self.target);
        CallError::new(codes::TARGET, message).hint(hint)
    }

    /// The text itself, or the environment variable that `env:NAME` names.
    pub(super) fn resolved(&self, channel: &str, secret: &Secret) -> Result<Secret, CallError> {
        let Some(name) = secret.open().strip_prefix("env:") else { return Ok(secret.clone()) };
        self.environment.get(name).filter(|value| !value.is_empty()).map(Secret::new).ok_or_else(|| {
            let message = format!("channel `{channel}` takes a value from `{name}`, which is not set");
            CallError::new(codes::CONFIG, message).hint(format!("set the environment variable `{name}`"))
        })
    }
}

/// The kind of a channel in one word.
pub(super) const fn kind(channel: &Channel) -> &'static str {
    match channel {
        Channel::Webhook { .. } => "webhook",
        Channel::Slack { .. } => "slack",
        Channel::Email { .. } => "email",
        Channel::File { .. } => "file",
    }
}
