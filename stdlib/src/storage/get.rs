//! `storage::get` and `storage::download`.

use aegis_engine::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::client::Storage;
use super::location::{self, Location};

/// Large enough for any manifest or report, small enough for the journal that records it.
const fn default_max_bytes() -> u64 {
    8 * 1024 * 1024
}

/// Arguments of `get`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetArguments {
    /// `s3://BUCKET/KEY` or `file:///PATH`.
    url: String,
    /// A version that the storage kept. Default: the current one.
    #[serde(default)]
    version: Option<String>,
    /// Largest object accepted, in bytes. Default 8 MiB.
    #[serde(default = "default_max_bytes")]
    max_bytes: u64,
}

pub(super) struct Get;

#[async_trait]
impl HostFunction for Get {
    type Arguments = GetArguments;

    fn describe() -> Description {
        Description {
            summary: "Fetches an object as text.",
            capability: "storage:read",
            positional: &["url"],
            returns: "map: as `head`, with `text`; for bytes that are not text, `text` is `()` and `base64` holds them",
            undo: "none: nothing changes",
            fails_when: "There is no such object, it is too large, or its bytes are not the ones that were stored.",
            example: "storage::get(\"s3://backups/latest.json\").text",
            ..Description::of("get", Effect::Reads)
        }
    }

    fn scope(arguments: &GetArguments) -> Option<String> {
        location::scope(&arguments.url)
    }

    async fn perform(context: &Context, arguments: GetArguments) -> Result<Value, CallError> {
        let location = Location::object(&arguments.url)?;
        if let Some(Some(planned)) = planned(context, &location) {
            return Ok(planned);
        }
        let storage = context.service::<Storage>()?;
        let backend = storage.backend(&location).await?;
        let (object, reader) = backend.open(&location.key, arguments.version.as_deref()).await?;
        let bytes = storage.bytes(&object, reader, arguments.max_bytes).await?;
        let mut answer = object.value();
        match std::str::from_utf8(&bytes) {
            Ok(text) => answer["text"] = Value::from(text),
            Err(_) => {
                answer["text"] = Value::Null;
                answer["base64"] = Value::String(STANDARD.encode(&bytes));
            }
        }
        Ok(answer)
    }
}

/// What a plan says about an object: `Some(None)` is an object that would be gone.
pub(super) fn planned(context: &Context, location: &Location) -> Option<Option<Value>> {
    context.planning().then(|| context.overlay.get(&location.overlay_key())).flatten()
}

/// Arguments of `download`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DownloadArguments {
    /// `s3://BUCKET/KEY` or `file:///PATH`.
    url: String,
    /// Where to, below the target's file root. A file that is there is replaced.
    path: String,
    /// A version that the storage kept. Default: the current one.
    #[serde(default)]
    version: Option<String>,
}

pub(super) struct Download;

#[async_trait]
impl HostFunction for Download {
    type Arguments = DownloadArguments;

    fn describe() -> Description {
        Description {
            summary: "Fetches an object into a local file, which appears when it is whole and checked.",
            capability: "storage:read",
            positional: &["url", "path"],
            returns: "map: as `head`, with `path` (absolute) and `sha256` of what was written",
            undo: "none: the file is local; delete it with `storage::delete(\"file:///PATH\")`",
            fails_when: "There is no such object, its bytes are not the ones that were stored, or the file cannot be written.",
            example: "storage::download(\"s3://backups/db.dump\", \"restore/db.dump\").size",
            ..Description::of("download", Effect::Changes)
        }
    }

    fn scope(arguments: &DownloadArguments) -> Option<String> {
        location::scope(&arguments.url)
    }

    async fn plan(context: &Context, arguments: &DownloadArguments) -> Result<Plan, CallError> {
        let location = Location::object(&arguments.url)?;
        let storage = context.service::<Storage>()?;
        let path = storage.local(&arguments.path).await?;
        let backend = storage.backend(&location).await?;
        let found = backend.head(&location.key, arguments.version.as_deref()).await?;
        let size = found.as_ref().map_or(0, |object| object.size);
        let mut predicted = found.unwrap_or_default().value();
        predicted["path"] = Value::from(path.to_string_lossy());
        let summary = format!("fetch `{}` ({size} bytes) into `{}`", location.url(), path.display());
        Ok(Plan::new(summary).predicting(predicted))
    }

    async fn perform(context: &Context, arguments: DownloadArguments) -> Result<Value, CallError> {
        let location = Location::object(&arguments.url)?;
        let storage = context.service::<Storage>()?;
        let path = storage.local(&arguments.path).await?;
        let backend = storage.backend(&location).await?;
        let (object, reader) = backend.open(&location.key, arguments.version.as_deref()).await?;
        let sha256 = storage.save(&object, reader, &path).await?;
        let mut answer = object.value();
        answer["path"] = Value::from(path.to_string_lossy());
        answer["sha256"] = Value::String(sha256);
        Ok(answer)
    }

    /// Fetching again is always right.
    async fn probe(_: &Context, _: &DownloadArguments, _: Option<&UndoCall>) -> Result<Probe, CallError> {
        Ok(Probe::DidNotHappen)
    }
}
