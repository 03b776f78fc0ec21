//! `webhooks`: what admission webhooks were asked, and where an answer was assumed.

use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::check;
use crate::k8s::objects::Objects;

const PATH: &str = "/sandbox.aegis.dev/webhooks";

/// Arguments of `webhooks`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhooksArguments {}

/// `webhooks()`.
pub(super) struct Webhooks;

#[async_trait]
impl HostFunction for Webhooks {
    type Arguments = WebhooksArguments;

    fn describe() -> Description {
        Description {
            summary: "Tells which admission webhooks were called since the sandbox began to serve, and which were taken to allow because nothing runs behind their Service.",
            capability: "sandbox:read",
            positional: &[],
            returns: "map `{called, assumed}`, each a map of requests by webhook (`validatingwebhookconfigurations/NAME/WEBHOOK`)",
            undo: "none: it only reads",
            fails_when: "The target is no sandbox (A0301).",
            example: "sandbox::webhooks().assumed",
            ..Description::of("webhooks", Effect::Reads)
        }
    }

    async fn perform(context: &Context, WebhooksArguments {}: WebhooksArguments) -> Result<Value, CallError> {
        check(context)?;
        Objects::of(context)?.read(PATH).await
    }
}
