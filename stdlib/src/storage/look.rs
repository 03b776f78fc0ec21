//! `storage::exists`, `storage::head` and `storage::list`.

use aegis_engine::function::{Context, Description, Effect, HostFunction};
use aegis_engine::{CallError, codes};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::backend::{OBJECT, Wanted};
use super::client::Storage;
use super::get::planned;
use super::location::{self, Location};

/// Arguments of `exists` and `head`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LookArguments {
    /// `s3://BUCKET/KEY` or `file:///PATH`.
    url: String,
    /// A version that the storage kept. Default: the current one.
    #[serde(default)]
    version: Option<String>,
}

impl LookArguments {
    async fn look(&self, context: &Context) -> Result<Option<Value>, CallError> {
        let location = Location::object(&self.url)?;
        if let Some(planned) = planned(context, &location) {
            return Ok(planned);
        }
        let backend = context.service::<Storage>()?.backend(&location).await?;
        let found = backend.head(&location.key, self.version.as_deref()).await?;
        Ok(found.map(|object| object.value()))
    }
}

const fn read(name: &'static str) -> Description {
    Description {
        capability: "storage:read",
        positional: &["url"],
        undo: "none: nothing changes",
        ..Description::of(name, Effect::Reads)
    }
}

pub(super) struct Exists;

#[async_trait]
impl HostFunction for Exists {
    type Arguments = LookArguments;

    fn describe() -> Description {
        Description {
            summary: "Tells whether there is an object.",
            returns: "bool",
            fails_when: "The storage cannot be reached or does not let us look.",
            example: "storage::exists(\"file:///reports/today.txt\")",
            ..read("exists")
        }
    }

    fn scope(arguments: &LookArguments) -> Option<String> {
        location::scope(&arguments.url)
    }

    async fn perform(context: &Context, arguments: LookArguments) -> Result<Value, CallError> {
        Ok(Value::Bool(arguments.look(context).await?.is_some()))
    }
}

pub(super) struct Head;

#[async_trait]
impl HostFunction for Head {
    type Arguments = LookArguments;

    fn describe() -> Description {
        Description {
            summary: "Tells size, version and checksum of an object without fetching it.",
            returns: OBJECT,
            fails_when: "There is no such object, or the storage cannot be reached.",
            example: "storage::head(\"s3://backups/db.dump\").size",
            ..read("head")
        }
    }

    fn scope(arguments: &LookArguments) -> Option<String> {
        location::scope(&arguments.url)
    }

    async fn perform(context: &Context, arguments: LookArguments) -> Result<Value, CallError> {
        arguments.look(context).await?.ok_or_else(|| {
            CallError::new(codes::NOT_FOUND, format!("there is no object `{}`", arguments.url))
                .hint("`storage::exists` tells this without failing")
        })
    }
}

/// Arguments of `list`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListArguments {
    /// What the URLs start with: `s3://BUCKET/`, `s3://BUCKET/2026-`, `file:///reports/`.
    url: String,
    /// Folds everything up to the next delimiter into one prefix: `"/"` lists one folder. Default: no folding.
    #[serde(default)]
    delimiter: Option<String>,
    /// Stops after so many objects and prefixes.
    #[serde(default = "default_limit")]
    limit: usize,
}

/// One page of S3.
const fn default_limit() -> usize {
    1000
}

pub(super) struct List;

#[async_trait]
impl HostFunction for List {
    type Arguments = ListArguments;

    fn describe() -> Description {
        Description {
            summary: "Lists the objects whose URL starts with a text, in the order of their keys, page by page.",
            returns: "map: `objects` (array as `head` gives them, without checksum), `prefixes` (array of URLs), `truncated` (bool: there is more than `limit`)",
            fails_when: "The storage cannot be reached or does not let us list.",
            example: "storage::list(\"s3://backups/db/\", #{ delimiter: \"/\" }).objects",
            ..read("list")
        }
    }

    fn scope(arguments: &ListArguments) -> Option<String> {
        location::scope(&arguments.url)
    }

    async fn perform(context: &Context, arguments: ListArguments) -> Result<Value, CallError> {
        if arguments.limit == 0 {
            return Err(CallError::argument("`limit` must be at least 1"));
        }
        let location = Location::prefix(&arguments.url)?;
        let wanted =
            Wanted { prefix: location.key.clone(), delimiter: arguments.delimiter, limit: arguments.limit };
        let backend = context.service::<Storage>()?.backend(&location).await?;
        let listing = backend.list(&wanted).await?;
        let mut objects: Vec<Value> = listing.objects.iter().map(super::backend::Object::value).collect();
        if wanted.delimiter.is_none() {
            overlay(context, &location, &mut objects);
        }
        let prefixes: Vec<String> = listing.prefixes.iter().map(|key| location.with_key(key).url()).collect();
        Ok(json!({ "objects": objects, "prefixes": prefixes, "truncated": listing.truncated }))
    }
}

/// In a plan, what earlier calls would store is there and what they would delete is gone.
fn overlay(context: &Context, location: &Location, objects: &mut Vec<Value>) {
    if !context.planning() {
        return;
    }
    for (key, planned) in context.overlay.under(&location.overlay_key()) {
        let url = key.trim_start_matches("storage:");
        objects.retain(|object| object["url"] != url);
        objects.extend(planned);
    }
    objects.sort_by_key(|object| object["url"].as_str().unwrap_or_default().to_owned());
}
