//! `storage::delete`.

use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::{CallError, codes};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::backend::Backend;
use super::client::Storage;
use super::location::{self, Location};
use super::put::undo;

/// Arguments of `delete`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteArguments {
    /// `s3://BUCKET/KEY` or `file:///PATH`.
    url: String,
    /// Removes this kept version for good. Default: the current one, which a bucket with versions keeps.
    #[serde(default)]
    version: Option<String>,
    /// Only if the object still is the one that aegis stored with this SHA-256.
    #[serde(default)]
    if_sha256: Option<String>,
}

impl DeleteArguments {
    async fn backend(&self, context: &Context) -> Result<(Location, Box<dyn Backend>), CallError> {
        let location = Location::object(&self.url)?;
        let backend = context.service::<Storage>()?.backend(&location).await?;
        Ok((location, backend))
    }
}

pub(super) struct Delete;

#[async_trait]
impl HostFunction for Delete {
    type Arguments = DeleteArguments;

    fn describe() -> Description {
        Description {
            summary: "Deletes an object; one that is not there is no failure.",
            capability: "storage:destroy",
            positional: &["url"],
            returns: "map: `deleted` (bool: something was there)",
            undo: "the kept version is brought back where the bucket keeps versions; otherwise none: the bytes are gone",
            fails_when: "The storage cannot be reached or refuses, or `if_sha256` is given and the object is another one.",
            example: "storage::delete(\"file:///reports/old.txt\").deleted",
            ..Description::of("delete", Effect::Destroys)
        }
    }

    fn scope(arguments: &DeleteArguments) -> Option<String> {
        location::scope(&arguments.url)
    }

    async fn plan(context: &Context, arguments: &DeleteArguments) -> Result<Plan, CallError> {
        let (location, backend) = arguments.backend(context).await?;
        let found = backend.head(&location.key, arguments.version.as_deref()).await?;
        let url = location.url();
        let summary = match (&found, &arguments.version) {
            (None, _) => format!("delete `{url}`, which is not there"),
            (Some(object), Some(version)) => {
                format!("delete version {version} of `{url}` ({} bytes) for good", object.size)
            }
            (Some(object), None) => format!("delete `{url}` ({} bytes)", object.size),
        };
        let mut plan = Plan::new(summary).predicting(json!({ "deleted": found.is_some() }));
        if arguments.version.is_none() {
            plan = plan.overlaying(location.overlay_key(), None);
            plan.undo = found.as_ref().and_then(|object| undo(&location, Some(object), None));
        }
        plan.unchanged = found.is_none();
        Ok(plan)
    }

    async fn perform(context: &Context, arguments: DeleteArguments) -> Result<Value, CallError> {
        let (location, backend) = arguments.backend(context).await?;
        let version = arguments.version.as_deref();
        let Some(object) = backend.head(&location.key, version).await? else {
            return Ok(json!({ "deleted": false }));
        };
        if let (Some(wanted), Some(found)) = (&arguments.if_sha256, &object.sha256)
            && wanted != found
        {
            let message =
                format!("`{}` was written by somebody else since, and is left as it is", arguments.url);
            return Err(CallError::new(codes::CONFLICT, message)
                .hint("look at it, then delete it without `if_sha256`"));
        }
        backend.delete(&location.key, version).await?;
        Ok(json!({ "deleted": true }))
    }

    async fn probe(
        context: &Context,
        arguments: &DeleteArguments,
        _: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let (location, backend) = arguments.backend(context).await?;
        let found = backend.head(&location.key, arguments.version.as_deref()).await?;
        Ok(match found {
            None => Probe::Happened(json!({ "deleted": true })),
            Some(_) => Probe::DidNotHappen,
        })
    }
}
