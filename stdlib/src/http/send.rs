//! `http::send`: requests that change something at the other side.

use std::collections::BTreeMap;

use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::{CallError, Period, Secret};
use async_trait::async_trait;
use http::{HeaderValue, Method};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::client::{HttpClient, Request};
use super::exchange::{Follow, Policy, converse};
use super::options::{self, Basic, Draft, Expected};
use super::{answer, errors};

/// Where the other side finds the key by which it removes duplicates (draft-ietf-httpapi-idempotency-key-header).
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Methods that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ChangingMethod {
    /// Creates, or anything else.
    Post,
    /// Replaces; repeating it changes nothing more.
    Put,
    /// Changes in part.
    Patch,
    /// Removes; repeating it changes nothing more.
    Delete,
}

impl ChangingMethod {
    const fn http(self) -> Method {
        match self {
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

/// Arguments of `send`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SendArguments {
    /// `POST`, `PUT`, `PATCH` or `DELETE`.
    method: ChangingMethod,
    /// The URL; put secrets in `headers`, `bearer`, `query` or the body, never here.
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
    /// Body as a value, sent as JSON.
    #[serde(default)]
    json: Option<Value>,
    /// Body as text; say its `content-type` in `headers` when it is not plain text.
    #[serde(default)]
    body: Option<String>,
    /// True when the server removes duplicates by the `Idempotency-Key` header: the key of this call is sent,
    /// and the request may be repeated.
    #[serde(default)]
    idempotent: bool,
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

impl SendArguments {
    /// RFC 9110, section 9.2.2: repeating PUT and DELETE has the effect of sending them once.
    fn repeatable(&self) -> bool {
        self.idempotent || matches!(self.method, ChangingMethod::Put | ChangingMethod::Delete)
    }

    fn request(&self, context: &Context) -> Result<Request, CallError> {
        let draft = Draft {
            url: &self.url,
            headers: Some(&self.headers),
            query: Some(&self.query),
            bearer: self.bearer.as_ref(),
            basic: self.basic.as_ref(),
            json: self.json.as_ref(),
            body: self.body.as_deref(),
            timeout: self.timeout.0,
            max_bytes: self.max_bytes,
        };
        let mut request = draft.request(self.method.http())?;
        if self.idempotent
            && let Ok(key) = HeaderValue::from_str(&context.idempotency_key)
        {
            request.headers.insert(IDEMPOTENCY_KEY, key);
        }
        Ok(request)
    }
}

pub(super) struct Send;

#[async_trait]
impl HostFunction for Send {
    type Arguments = SendArguments;

    fn describe() -> Description {
        Description {
            summary: "Sends a request that changes something at the other side.",
            capability: "http:change",
            positional: &["method", "url"],
            returns: answer::RETURNS,
            undo: "none: only the server knows how; name a function of the runbook in the step's `undo`",
            fails_when: "The server cannot be reached or answers with a status that is not expected. A lost answer to a request that must not be repeated is an unknown outcome.",
            example: "http::send(\"POST\", \"https://cmdb.example.com/changes\", #{ json: #{ change: \"CHG-7\" }, idempotent: true }).status",
            ..Description::of("send", Effect::Once)
        }
    }

    fn scope(arguments: &SendArguments) -> Option<String> {
        options::parsed(&arguments.url).ok().map(|url| errors::plain(&url))
    }

    async fn plan(context: &Context, arguments: &SendArguments) -> Result<Plan, CallError> {
        let request = arguments.request(context)?;
        let size = if request.body.is_empty() {
            String::new()
        } else {
            format!(" with {} bytes", request.body.len())
        };
        Ok(Plan::new(format!("send {}{size}", errors::line(&request))))
    }

    async fn perform(context: &Context, arguments: SendArguments) -> Result<Value, CallError> {
        let request = arguments.request(context)?;
        let policy = Policy {
            repeatable: arguments.repeatable(),
            retries: arguments.retries,
            follow: arguments.follow,
            expected: arguments.expect_status.clone().unwrap_or_default(),
        };
        let client = context.service::<HttpClient>()?;
        let response = converse(context, &client, request.clone(), &policy).await?;
        if policy.expected.includes(response.status) {
            return Ok(answer::value(&response));
        }
        let error = errors::status(context.now(), &request, &response);
        // A gateway that got no answer cannot say whether the server behind it acted.
        let lost = matches!(response.status, 502 | 504) && !policy.repeatable;
        Err(if lost { error.unknown() } else { error })
    }

    async fn probe(_: &Context, arguments: &SendArguments, _: Option<&UndoCall>) -> Result<Probe, CallError> {
        Ok(if arguments.repeatable() { Probe::DidNotHappen } else { Probe::CannotTell })
    }
}
