//! What the options of a request mean: headers, query, credentials, body, and the status that is expected.

use std::collections::BTreeMap;
use std::time::Duration;

use aegis_engine::{CallError, Period, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::client::Request;

/// Large enough for any API answer a runbook reads, small enough for the journal that records it.
pub(super) const fn default_max_bytes() -> usize {
    8 * 1024 * 1024
}

pub(super) const fn default_timeout() -> Period {
    Period::seconds(30)
}

pub(super) const fn default_retries() -> u32 {
    3
}

/// Statuses that do not fail a call.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Expected {
    /// 200 to 299.
    #[default]
    #[serde(skip)]
    Success,
    /// Exactly one.
    One(u16),
    /// One of several.
    Several(Vec<u16>),
    /// `"any"`.
    Word(AnyStatus),
}

/// The word `any`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AnyStatus {
    /// Every status.
    Any,
}

impl Expected {
    pub(crate) fn includes(&self, status: u16) -> bool {
        match self {
            Self::Success => (200..300).contains(&status),
            Self::One(only) => *only == status,
            Self::Several(several) => several.contains(&status),
            Self::Word(AnyStatus::Any) => true,
        }
    }
}

/// User and password for HTTP Basic authentication.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Basic {
    /// User name.
    user: String,
    /// Password.
    password: Secret,
}

/// Everything a request is made of, gathered from the arguments of either function.
#[derive(Default)]
pub(super) struct Draft<'a> {
    pub(super) url: &'a str,
    pub(super) headers: Option<&'a BTreeMap<String, String>>,
    pub(super) query: Option<&'a BTreeMap<String, Value>>,
    pub(super) bearer: Option<&'a Secret>,
    pub(super) basic: Option<&'a Basic>,
    pub(super) json: Option<&'a Value>,
    pub(super) body: Option<&'a str>,
    pub(super) timeout: Duration,
    pub(super) max_bytes: usize,
}

impl Draft<'_> {
    pub(super) fn request(&self, method: Method) -> Result<Request, CallError> {
        let mut url = parsed(self.url)?;
        for (name, value) in self.query.into_iter().flatten() {
            append(&mut url, name, value);
        }
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.into_iter().flatten() {
            headers.insert(header_name(name)?, header_value(name, value)?);
        }
        if let Some(credentials) = self.credentials() {
            let mut value = header_value("authorization", &credentials)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let body = self.bytes(&mut headers)?;
        Ok(Request {
            label: None,
            method,
            url,
            headers,
            body,
            timeout: self.timeout,
            max_bytes: self.max_bytes,
        })
    }

    fn credentials(&self) -> Option<String> {
        let basic = self.basic.map(|basic| {
            format!("Basic {}", STANDARD.encode(format!("{}:{}", basic.user, basic.password.open())))
        });
        self.bearer.map(|token| format!("Bearer {}", token.open())).or(basic)
    }

    fn bytes(&self, headers: &mut HeaderMap) -> Result<Bytes, CallError> {
        match (self.json, self.body) {
            (Some(_), Some(_)) => {
                Err(CallError::argument("both `json` and `body` are given").hint("give one"))
            }
            (Some(json), None) => {
                headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                Ok(Bytes::from(json.to_string()))
            }
            (None, Some(text)) => {
                headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain; charset=utf-8"));
                Ok(Bytes::from(text.to_owned()))
            }
            (None, None) => Ok(Bytes::new()),
        }
    }
}

pub(crate) fn parsed(text: &str) -> Result<Url, CallError> {
    let wrong = |what: &str| CallError::argument(format!("the URL {what}"));
    let url = Url::parse(text).map_err(|error| wrong("cannot be read").because(error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("must start with `https://` or `http://`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            wrong("must not hold a user or password").hint("pass `basic: #{ user: .., password: .. }`")
        );
    }
    Ok(url)
}

/// An array becomes the same name several times; `()` is left out.
fn append(url: &mut Url, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| append(url, name, item)),
        Value::String(text) => drop(url.query_pairs_mut().append_pair(name, text)),
        other => drop(url.query_pairs_mut().append_pair(name, &other.to_string())),
    }
}

fn header_name(name: &str) -> Result<HeaderName, CallError> {
    name.parse().map_err(|_| CallError::argument(format!("`{name}` is not a header name")))
}

/// The value is not quoted: it may be a secret.
fn header_value(name: &str, value: &str) -> Result<HeaderValue, CallError> {
    let wrong =
        || CallError::argument(format!("the value of header `{name}` has letters that headers cannot hold"));
    value.parse().map_err(|_| wrong())
}
