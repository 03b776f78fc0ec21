//! `storage::copy`.

use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::{CallError, codes};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::backend::{Content, OBJECT, Object, Terms};
use super::client::{Storage, tempfile_beside};
use super::location::{self, Location};
use super::put::undo;

/// Arguments of `copy`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CopyArguments {
    /// `s3://BUCKET/KEY` or `file:///PATH`.
    from: String,
    /// Where to; the kinds may differ.
    to: String,
    /// A kept version of `from`. Default: the current one.
    #[serde(default)]
    version: Option<String>,
}

pub(super) struct Copy;

#[async_trait]
impl HostFunction for Copy {
    type Arguments = CopyArguments;

    fn describe() -> Description {
        Description {
            summary: "Copies an object, inside the storage where it can, through this machine where it must.",
            capability: "storage:change",
            positional: &["from", "to"],
            returns: OBJECT,
            undo: "as `put`",
            fails_when: "There is no such object, or one of the two storages cannot be reached or refuses.",
            example: "storage::copy(\"file:///reports/today.txt\", \"file:///reports/kept.txt\").size",
            ..Description::of("copy", Effect::Changes)
        }
    }

    /// Both ends: `+FROM+TO`, which no pattern for one URL matches, unless both are the same.
    fn scope(arguments: &CopyArguments) -> Option<String> {
        let (from, to) = (location::scope(&arguments.from)?, location::scope(&arguments.to)?);
        Some(if from == to { to } else { format!("+{from}+{to}") })
    }

    async fn plan(context: &Context, arguments: &CopyArguments) -> Result<Plan, CallError> {
        let (from, to) = (Location::object(&arguments.from)?, Location::object(&arguments.to)?);
        let storage = context.service::<Storage>()?;
        let source = storage.backend(&from).await?.head(&from.key, arguments.version.as_deref()).await?;
        let before = storage.backend(&to).await?.head(&to.key, None).await?;
        let size = source
            .as_ref()
            .map_or_else(|| "not there yet".to_owned(), |object| format!("{} bytes", object.size));
        let version =
            arguments.version.as_ref().map(|version| format!("version {version} of ")).unwrap_or_default();
        let summary = format!("copy {version}`{}` ({size}) to `{}`", from.url(), to.url());
        let copied =
            Object { url: to.url(), etag: None, version: None, modified: None, ..source.unwrap_or_default() };
        let sha256 = copied.sha256.clone();
        let mut plan =
            Plan::new(summary).predicting(copied.value()).overlaying(to.overlay_key(), Some(copied.value()));
        plan.undo = undo(&to, before.as_ref(), sha256.as_ref());
        Ok(plan)
    }

    async fn perform(context: &Context, arguments: CopyArguments) -> Result<Value, CallError> {
        let (from, to) = (Location::object(&arguments.from)?, Location::object(&arguments.to)?);
        let storage = context.service::<Storage>()?;
        let source = storage.backend(&from).await?;
        let version = arguments.version.as_deref();
        if from.kind == to.kind
            && let Some(copied) = source.copy_within(&from.key, version, &to.bucket, &to.key).await?
        {
            return Ok(copied.value());
        }
        let (object, reader) = source.open(&from.key, version).await?;
        let held = tempfile_beside(&context.project.join("copy")).await?;
        let sha256 = storage.save(&object, reader, held.path()).await?;
        let terms =
            Terms { sha256, size: object.size, content_type: object.content_type, ..Terms::default() };
        let (target, content) = (storage.backend(&to).await?, Content::File(held.path().to_owned()));
        let copied = target.write(&to.key, content, &terms, context.cleanup()).await?;
        Ok(copied.value())
    }

    /// Copying again is right as long as the source is there.
    async fn probe(
        context: &Context,
        arguments: &CopyArguments,
        _: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let from = Location::object(&arguments.from)?;
        let backend = context.service::<Storage>()?.backend(&from).await?;
        match backend.head(&from.key, arguments.version.as_deref()).await? {
            Some(_) => Ok(Probe::DidNotHappen),
            None => Err(CallError::new(codes::NOT_FOUND, format!("`{}` is not there any more", from.url()))),
        }
    }
}
