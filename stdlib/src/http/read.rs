//! `http::get` and `http::head`.

use std::collections::BTreeMap;

use aegis_engine::function::{Context, Description, Effect, HostFunction};
use aegis_engine::{CallError, Period, Secret};
use async_trait::async_trait;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::client::HttpClient;
use super::exchange::{Follow, Policy, converse};
use super::options::{self, Basic, Draft, Expected};
use super::{answer, errors};

/// Arguments of `get` and `head`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadArguments {
    /// The URL; put secrets in `headers`, `bearer` or `query`, never here.
    url: String,
    /// Headers by name.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What follows the `?`, encoded for you; an array gives the name several times.
    #[serde(default)]
    query: BTreeMap<String, Value>,
    /// Token for `Authorization: Bearer`.
    #[serde(default)]
    bearer: Option<Secret>,
    /// `#{ user, password }` for HTTP Basic authentication.
    #[serde(default)]
    basic: Option<Basic>,
    /// For one try, body included.
    #[serde(default = "options::default_timeout")]
    timeout: Period,
    /// A status, an array of them, or `"any"`. Default: 200 to 299.
    #[serde(default)]
    expect_status: Option<Expected>,
    /// Which redirects are followed: `same-host`, `any` or `none`.
    #[serde(default)]
    follow: Follow,
    /// How often a request is sent again after a failure that may pass.
    #[serde(default = "options::default_retries")]
    retries: u32,
    /// Largest body accepted, in bytes. Default 8 MiB.
    #[serde(default = "options::default_max_bytes")]
    max_bytes: usize,
}

impl ReadArguments {
    fn scope(&self) -> Option<String> {
        options::parsed(&self.url).ok().map(|url| errors::plain(&url))
    }

    async fn read(self, context: &Context, method: Method) -> Result<Value, CallError> {
        let draft = Draft {
            url: &self.url,
            headers: Some(&self.headers),
            query: Some(&self.query),
            bearer: self.bearer.as_ref(),
            basic: self.basic.as_ref(),
            timeout: self.timeout.0,
            max_bytes: self.max_bytes,
            ..Draft::default()
        };
        let request = draft.request(method)?;
        let expected = self.expect_status.unwrap_or_default();
        let policy = Policy { repeatable: true, retries: self.retries, follow: self.follow, expected };
        let client = context.service::<HttpClient>()?;
        let response = converse(context, &client, request.clone(), &policy).await?;
        if policy.expected.includes(response.status) {
            return Ok(answer::value(&response));
        }
        Err(errors::status(context.now(), &request, &response))
    }
}

const fn read(name: &'static str) -> Description {
    Description {
        capability: "http:read",
        positional: &["url"],
        undo: "none: nothing changes",
        fails_when: "The server cannot be reached, makes no secure connection, answers with a status that is not expected, or sends too much.",
        ..Description::of(name, Effect::Reads)
    }
}

pub(super) struct Get;

#[async_trait]
impl HostFunction for Get {
    type Arguments = ReadArguments;

    fn describe() -> Description {
        Description {
            summary: "Fetches a URL.",
            returns: answer::RETURNS,
            example: "http::get(\"https://status.example.com/api\", #{ timeout: \"5s\" }).json",
            ..read("get")
        }
    }

    fn scope(arguments: &ReadArguments) -> Option<String> {
        arguments.scope()
    }

    async fn perform(context: &Context, arguments: ReadArguments) -> Result<Value, CallError> {
        arguments.read(context, Method::GET).await
    }
}

pub(super) struct Head;

#[async_trait]
impl HostFunction for Head {
    type Arguments = ReadArguments;

    fn describe() -> Description {
        Description {
            summary: "Asks for the status and headers of a URL, without its body.",
            returns: answer::RETURNS,
            example: "http::head(\"https://status.example.com/\", #{ expect_status: \"any\" }).status",
            ..read("head")
        }
    }

    fn scope(arguments: &ReadArguments) -> Option<String> {
        arguments.scope()
    }

    async fn perform(context: &Context, arguments: ReadArguments) -> Result<Value, CallError> {
        arguments.read(context, Method::HEAD).await
    }
}
