//! What is told, the same for all kinds of channels.

use aegis_engine::function::Context;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// How bad it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Good news, or the end of bad news.
    Ok,
    /// For the record.
    #[default]
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must act now.
    Critical,
}

impl Severity {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One notification to one channel. The webhook's body and the file's line are this struct as JSON.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Message {
    /// The same in every process that ever sends this notification to this channel.
    pub(super) id: String,
    pub(super) channel: String,
    pub(super) severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(super) fields: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<String>,
    pub(super) run: String,
    pub(super) target: String,
    pub(super) operator: String,
    pub(super) sent_at: Timestamp,
}

/// What a script says about a notification.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) severity: Severity,
    pub(super) title: Option<String>,
    pub(super) message: String,
    pub(super) fields: Map<String, Value>,
    pub(super) link: Option<String>,
}

impl Message {
    pub(super) fn new(context: &Context, channel: &str, content: &Content) -> Self {
        let content = content.clone();
        Self {
            id: id(&context.idempotency_key, channel),
            channel: channel.to_owned(),
            severity: content.severity,
            title: content.title,
            message: content.message,
            fields: content.fields,
            link: content.link,
            run: context.run.clone(),
            target: context.target.clone(),
            operator: context.operator.clone(),
            sent_at: context.now(),
        }
    }

    /// The title, or the first line.
    pub(super) fn headline(&self) -> &str {
        self.title.as_deref().unwrap_or_else(|| self.message.lines().next().unwrap_or_default())
    }

    /// `run 42 on prod, by ada`
    pub(super) fn origin(&self) -> String {
        format!("run {} on {}, by {}", self.run, self.target, self.operator)
    }

    /// Fields as name and text.
    pub(super) fn shown_fields(&self) -> impl Iterator<Item = (&str, String)> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.fields.iter().map(move |(name, value)| (name.as_str(), text(value)))
    }
}

/// Short, opaque, and without the dot that a webhook signature uses as a separator.
pub(super) fn id(key: &str, channel: &str) -> String {
    let digest = Sha256::digest(format!("{key}\u{1f}{channel}"));
    format!("msg_{}", hex::encode(&digest[..16]))
}
