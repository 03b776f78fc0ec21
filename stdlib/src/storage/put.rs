//! `storage::put` and `storage::upload`.

use aegis_engine::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use similar::TextDiff;
use tokio::io::AsyncReadExt;

use super::backend::{Backend, Content, OBJECT, Object, Terms, sha256};
use super::client::Storage;
use super::location::{self, Location};

/// Larger texts are compared by their hash only.
const DIFFED: u64 = 64 * 1024;

/// Arguments of `put`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutArguments {
    /// `s3://BUCKET/KEY` or `file:///PATH`.
    url: String,
    /// The content.
    text: String,
    /// True: only when nothing is there yet; otherwise the call fails.
    #[serde(default)]
    if_none_match: bool,
    /// Media type that S3 keeps with the object.
    #[serde(default)]
    content_type: Option<String>,
}

/// Arguments of `upload`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadArguments {
    /// `s3://BUCKET/KEY` or `file:///PATH`.
    url: String,
    /// A local file below the target's file root.
    path: String,
    /// True: only when nothing is there yet; otherwise the call fails.
    #[serde(default)]
    if_none_match: bool,
    /// Media type that S3 keeps with the object.
    #[serde(default)]
    content_type: Option<String>,
}

const fn change(name: &'static str) -> Description {
    Description {
        capability: "storage:change",
        returns: OBJECT,
        undo: "a new object is deleted, an overwritten one brought back where versions are kept; otherwise none: the old bytes are gone",
        ..Description::of(name, Effect::Changes)
    }
}

pub(super) struct Put;

#[async_trait]
impl HostFunction for Put {
    type Arguments = PutArguments;

    fn describe() -> Description {
        Description {
            summary: "Stores a text as an object.",
            positional: &["url", "text"],
            fails_when: "The storage cannot be reached or refuses, or `if_none_match` is set and something is there.",
            example: "storage::put(\"file:///reports/today.txt\", \"all is well\").size",
            ..change("put")
        }
    }

    fn scope(arguments: &PutArguments) -> Option<String> {
        location::scope(&arguments.url)
    }

    async fn plan(context: &Context, arguments: &PutArguments) -> Result<Plan, CallError> {
        Write::of_text(context, arguments).await?.plan().await
    }

    async fn perform(context: &Context, arguments: PutArguments) -> Result<Value, CallError> {
        Write::of_text(context, &arguments).await?.perform(context).await
    }

    async fn probe(
        context: &Context,
        arguments: &PutArguments,
        _: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        Write::of_text(context, arguments).await?.probe().await
    }
}

pub(super) struct Upload;

#[async_trait]
impl HostFunction for Upload {
    type Arguments = UploadArguments;

    fn describe() -> Description {
        Description {
            summary: "Stores a local file as an object, in parts when it is large.",
            positional: &["url", "path"],
            fails_when: "The file cannot be read or changes meanwhile, the storage cannot be reached or refuses, or `if_none_match` is set and something is there.",
            example: "storage::upload(\"s3://backups/db.dump\", \"dumps/db.dump\")",
            ..change("upload")
        }
    }

    fn scope(arguments: &UploadArguments) -> Option<String> {
        location::scope(&arguments.url)
    }

    async fn plan(context: &Context, arguments: &UploadArguments) -> Result<Plan, CallError> {
        Write::of_file(context, arguments).await?.plan().await
    }

    async fn perform(context: &Context, arguments: UploadArguments) -> Result<Value, CallError> {
        Write::of_file(context, &arguments).await?.perform(context).await
    }

    async fn probe(
        context: &Context,
        arguments: &UploadArguments,
        _: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        Write::of_file(context, arguments).await?.probe().await
    }
}

/// What both functions come down to.
struct Write {
    location: Location,
    backend: Box<dyn Backend>,
    content: Content,
    terms: Terms,
}

impl Write {
    async fn of_text(context: &Context, arguments: &PutArguments) -> Result<Self, CallError> {
        let location = Location::object(&arguments.url)?;
        let backend = context.service::<Storage>()?.backend(&location).await?;
        let text = arguments.text.clone();
        let terms = Terms {
            if_none_match: arguments.if_none_match,
            content_type: arguments
                .content_type
                .clone()
                .or_else(|| Some("text/plain; charset=utf-8".to_owned())),
            sha256: sha256(text.as_bytes()),
            size: text.len() as u64,
        };
        Ok(Self { location, backend, content: Content::Bytes(text.into()), terms })
    }

    async fn of_file(context: &Context, arguments: &UploadArguments) -> Result<Self, CallError> {
        let location = Location::object(&arguments.url)?;
        let storage = context.service::<Storage>()?;
        let path = storage.local(&arguments.path).await?;
        let (sha256, size) = storage.digest(&path).await?;
        let backend = storage.backend(&location).await?;
        let content_type = arguments.content_type.clone();
        let terms = Terms { if_none_match: arguments.if_none_match, content_type, sha256, size };
        Ok(Self { location, backend, content: Content::File(path), terms })
    }

    async fn plan(&self) -> Result<Plan, CallError> {
        let url = self.location.url();
        let before = self.backend.head(&self.location.key, None).await?;
        let size = self.terms.size;
        let summary = match &before {
            None => format!("store {size} bytes at `{url}`"),
            Some(old) if old.version.is_some() => {
                format!("replace {} bytes at `{url}` by {size}, keeping the old version", old.size)
            }
            Some(old) => {
                format!("replace {} bytes at `{url}` by {size}; the old ones are gone then", old.size)
            }
        };
        let predicted = Object {
            url,
            size,
            sha256: Some(self.terms.sha256.clone()),
            content_type: self.terms.content_type.clone(),
            ..Object::default()
        };
        let mut planned = predicted.value();
        if let Content::Bytes(bytes) = &self.content {
            planned["text"] = Value::from(String::from_utf8_lossy(bytes));
        }
        let mut plan = Plan::new(summary)
            .with_diff(self.diff(before.as_ref()).await?)
            .predicting(predicted.value())
            .overlaying(self.location.overlay_key(), Some(planned));
        plan.unchanged = before.as_ref().is_some_and(|old| self.is_there(old));
        plan.undo = undo(&self.location, before.as_ref(), Some(&self.terms.sha256));
        Ok(plan)
    }

    /// A diff where both sides are texts of readable size.
    async fn diff(&self, before: Option<&Object>) -> Result<String, CallError> {
        let Content::Bytes(new) = &self.content else { return Ok(String::new()) };
        let old_size = before.map_or(0, |old| old.size);
        if old_size.max(self.terms.size) > DIFFED {
            return Ok(String::new());
        }
        let old = match before {
            Some(_) => {
                let (_, reader) = self.backend.open(&self.location.key, None).await?;
                let mut bytes = Vec::new();
                let read = reader.take(DIFFED).read_to_end(&mut bytes).await;
                if read.is_err() {
                    return Ok(String::new());
                }
                bytes
            }
            None => Vec::new(),
        };
        let (Ok(old), Ok(new)) = (std::str::from_utf8(&old), std::str::from_utf8(new)) else {
            return Ok(String::new());
        };
        let url = self.location.url();
        Ok(TextDiff::from_lines(old, new).unified_diff().header(&url, &url).to_string())
    }

    fn is_there(&self, old: &Object) -> bool {
        old.size == self.terms.size && old.sha256.as_ref() == Some(&self.terms.sha256)
    }

    async fn perform(self, context: &Context) -> Result<Value, CallError> {
        let Self { location, backend, content, terms } = self;
        let stored = backend.write(&location.key, content, &terms, context.cleanup()).await?;
        Ok(stored.value())
    }

    /// The same bytes are there: it happened, or happening again changes nothing.
    async fn probe(&self) -> Result<Probe, CallError> {
        let found = self.backend.head(&self.location.key, None).await?;
        Ok(match found {
            Some(object) if self.is_there(&object) => Probe::Happened(object.value()),
            _ => Probe::DidNotHappen,
        })
    }
}

/// The inverse of writing to a location: delete what was created, or bring the kept version back.
pub(super) fn undo(
    location: &Location,
    before: Option<&Object>,
    sha256: Option<&String>,
) -> Option<UndoCall> {
    let url = location.url();
    match before {
        None => Some(UndoCall {
            function: "storage::delete".to_owned(),
            arguments: match sha256 {
                Some(sha256) => json!({ "url": url, "if_sha256": sha256 }),
                None => json!({ "url": url }),
            },
            summary: format!("delete `{url}` again"),
        }),
        Some(old) => old.version.as_ref().map(|version| UndoCall {
            function: "storage::copy".to_owned(),
            arguments: json!({ "from": url, "to": url, "version": version }),
            summary: format!("bring version {version} of `{url}` back"),
        }),
    }
}
