//! `storage::presign` and `storage::presign_upload`: URLs that allow one thing for a while. They are secrets.

use std::time::Duration;

use aegis_engine::function::{Context, Description, Effect, HostFunction};
use aegis_engine::{CallError, Period};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::backend::Allowed;
use super::client::Storage;
use super::location::{self, Location};

/// Signature version 4 allows a week at most (Amazon S3 User Guide, "Presigned URLs").
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const fn default_expires() -> Period {
    Period::minutes(15)
}

/// Arguments of `presign` and `presign_upload`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PresignArguments {
    /// `s3://BUCKET/KEY`.
    url: String,
    /// How long the URL is good for; a week at most.
    #[serde(default = "default_expires")]
    expires: Period,
}

impl PresignArguments {
    async fn presigned(&self, context: &Context, allowed: Allowed) -> Result<Value, CallError> {
        let location = Location::object(&self.url)?;
        if self.expires.0 > LONGEST || self.expires.0 < Duration::from_secs(1) {
            return Err(CallError::argument(format!("a presigned URL cannot be good for {}", self.expires))
                .hint("choose between `1s` and `7d`"));
        }
        let backend = context.service::<Storage>()?.backend(&location).await?;
        let url = backend.presign(&location.key, allowed, self.expires.0).await?;
        Ok(Value::from(url.open()))
    }
}

const fn presign(name: &'static str) -> Description {
    Description {
        positional: &["url"],
        returns: "secret string: the URL",
        undo: "none: nothing changes; the URL ends by itself",
        fails_when: "The URL is not `s3://`, or no credentials are found. Whether the object exists is not looked at.",
        secret: true,
        ..Description::of(name, Effect::Reads)
    }
}

pub(super) struct Presign;

#[async_trait]
impl HostFunction for Presign {
    type Arguments = PresignArguments;

    fn describe() -> Description {
        Description {
            summary: "Makes a URL with which anybody can fetch the object for a while.",
            capability: "storage:read",
            example: "storage::presign(\"s3://backups/db.dump\", #{ expires: \"1h\" })",
            ..presign("presign")
        }
    }

    fn scope(arguments: &PresignArguments) -> Option<String> {
        location::scope(&arguments.url)
    }

    async fn perform(context: &Context, arguments: PresignArguments) -> Result<Value, CallError> {
        arguments.presigned(context, Allowed::Get).await
    }
}

pub(super) struct PresignUpload;

#[async_trait]
impl HostFunction for PresignUpload {
    type Arguments = PresignArguments;

    fn describe() -> Description {
        Description {
            summary: "Makes a URL with which anybody can store the object for a while.",
            capability: "storage:change",
            example: "storage::presign_upload(\"s3://inbox/report.csv\", #{ expires: \"1h\" })",
            ..presign("presign_upload")
        }
    }

    fn scope(arguments: &PresignArguments) -> Option<String> {
        location::scope(&arguments.url)
    }

    async fn perform(context: &Context, arguments: PresignArguments) -> Result<Value, CallError> {
        arguments.presigned(context, Allowed::Put).await
    }
}
