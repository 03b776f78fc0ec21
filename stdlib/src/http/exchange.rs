//! Repeats and redirects: decisions over requests and answers. The IO is `client.rs`.

use std::time::Duration;

use aegis_engine::CallError;
use aegis_engine::function::Context;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_LANGUAGE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, Method};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::client::{HttpClient, Request, Response};
use super::errors::{self, Failure};
use super::options::Expected;

/// As many as browsers follow.
const MAX_REDIRECTS: usize = 10;
/// The first pause before a repeat; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A server that asks for a longer pause is told to the script instead of waited for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Which redirects are followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Follow {
    /// None: the redirect is the answer.
    None,
    /// Those to the same host.
    #[default]
    SameHost,
    /// All; headers and bodies stay at home.
    Any,
}

/// What may be done with a request besides sending it once.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// Sending it twice does the same as sending it once.
    pub(crate) repeatable: bool,
    /// How often it is sent again at most.
    pub(crate) retries: u32,
    pub(crate) follow: Follow,
    /// Statuses that are no reason to send it again.
    pub(crate) expected: Expected,
}

/// Sends a request, repeating and following as the policy allows. The answer may have any status.
pub(crate) async fn converse(
    context: &Context,
    client: &HttpClient,
    request: Request,
    policy: &Policy,
) -> Result<Response, CallError> {
    let mut request = request;
    for _ in 0..=MAX_REDIRECTS {
        let response = persist(context, client, &request, policy).await?;
        match redirected(&request, &response, policy.follow) {
            Some(next) => request = next,
            None => return Ok(response),
        }
    }
    let message = format!("{} was redirected more than {MAX_REDIRECTS} times", errors::line(&request));
    Err(CallError::new(aegis_engine::codes::HTTP, message))
}

/// Sends one request until it is answered for good.
async fn persist(
    context: &Context,
    client: &HttpClient,
    request: &Request,
    policy: &Policy,
) -> Result<Response, CallError> {
    let mut tried = 0;
    loop {
        let outcome = client.exchange(request).await;
        let wait = wait_before_repeat(&outcome, policy, tried, (context.now(), context.random()));
        let Some(wait) = wait.filter(|_| tried < policy.retries) else {
            return outcome.map_err(|failure| final_error(failure, policy));
        };
        tried += 1;
        context.progress(format!("{} again in {:.1} s", errors::line(request), wait.as_secs_f64()));
        context.pause(wait).await;
    }
}

/// How long to wait before sending again; `None` when sending again is wrong or useless.
fn wait_before_repeat(
    outcome: &Result<Response, Failure>,
    policy: &Policy,
    tried: u32,
    (now, dice): (jiff::Timestamp, u64),
) -> Option<Duration> {
    match outcome {
        Ok(response) => {
            // 429 says that nothing was done, whatever the method.
            let passing = response.status == 429 || (policy.repeatable && is_passing(response.status));
            let passing = passing && !policy.expected.includes(response.status);
            let asked = retry_after(&response.headers, now);
            let wait = asked.unwrap_or_else(|| backoff(tried, dice));
            (passing && wait <= LONGEST_RETRY_AFTER).then_some(wait)
        }
        Err(failure) => {
            let safe = policy.repeatable || !failure.sent;
            (safe && failure.error.retryable).then(|| backoff(tried, dice))
        }
    }
}

const fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// Doubling pauses, each between half and all of its length so that many callers do not march in step.
fn backoff(tried: u32, dice: u64) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(1 << tried.min(8)).min(LONGEST_PAUSE);
    let thousandths = u32::try_from(500 + dice % 500).unwrap_or(1000);
    full * thousandths / 1000
}

fn final_error(failure: Failure, policy: &Policy) -> CallError {
    if failure.sent && !policy.repeatable { failure.error.unknown() } else { failure.error }
}

/// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: jiff::Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Duration::try_from(date.timestamp().duration_since(now)).unwrap_or_default())
}

/// The request that a redirect asks for, when it is to be followed.
fn redirected(request: &Request, response: &Response, follow: Follow) -> Option<Request> {
    if follow == Follow::None || !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers.get(LOCATION)?.to_str().ok()?;
    let url = request.url.join(location).ok()?;
    let downgrade = request.url.scheme() == "https" && url.scheme() != "https";
    let same = same_host(&request.url, &url);
    let keeps_body = matches!(response.status, 307 | 308);
    let leaks = !same && keeps_body && !request.body.is_empty();
    if downgrade || leaks || !matches!(url.scheme(), "http" | "https") || (!same && follow != Follow::Any) {
        return None;
    }
    let mut next = Request { url, ..request.clone() };
    if !keeps_body && !matches!(next.method, Method::GET | Method::HEAD) {
        next.method = Method::GET;
        next.body = Bytes::new();
    }
    if !same {
        next.headers = harmless(&request.headers);
    }
    Some(next)
}

/// The same server, or its HTTPS side.
fn same_host(from: &Url, to: &Url) -> bool {
    let upgrade = from.scheme() == "http"
        && to.scheme() == "https"
        && (from.port_or_known_default(), to.port_or_known_default()) == (Some(80), Some(443));
    from.host() == to.host() && (from.origin() == to.origin() || upgrade)
}

/// Only headers that cannot be credentials: an API key may have any name.
fn harmless(headers: &HeaderMap) -> HeaderMap {
    let kept = |name: &http::HeaderName| [ACCEPT, ACCEPT_LANGUAGE].contains(name);
    headers.iter().filter(|(name, _)| kept(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
}
