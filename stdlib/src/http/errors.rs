//! Failures told apart: no such host, nobody listens, no secure connection, a broken exchange, a status that
//! was not expected. Messages name the URL without its query, which may hold secrets.

use std::error::Error;

use aegis_engine::{CallError, Code, codes};
use http::StatusCode;
use jiff::Timestamp;
use url::Url;

use super::client::{Request, Response};
use super::exchange;

/// How much of an error body a message quotes.
const QUOTED: usize = 300;

/// A failure, and whether the request may have reached the other side.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: CallError,
    pub(crate) sent: bool,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self { error, sent: false }
    }
}

/// The URL as messages, scopes and plans show it: no user, no query, no fragment.
pub(crate) fn plain(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// `GET https://host/path`
pub(crate) fn line(request: &Request) -> String {
    if let Some(label) = &request.label {
        return label.clone();
    }
    format!("`{} {}`", request.method, plain(&request.url))
}

/// What went wrong below HTTP.
pub(crate) fn transport(request: &Request, error: &reqwest::Error) -> Failure {
    let host = request.url.host_str().unwrap_or_default();
    let port = request.url.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
    let reach = |code: Code, what: String| CallError::new(code, what).because(root(error));
    if error.is_dns() {
        let told = reach(codes::UNREACHABLE, format!("the name `{host}` cannot be resolved"));
        return Failure::from(
            told.hint("check the spelling, the DNS of this machine and its network").retryable(),
        );
    }
    if let Some(cause) = tls_cause(error) {
        let told =
            CallError::new(codes::TLS, format!("no secure connection to `{host}{port}`")).because(cause);
        return Failure::from(told.hint(
            "if the server's certificate comes from a private authority, name its PEM file in `SSL_CERT_FILE`",
        ));
    }
    if error.is_connect() {
        let told = reach(codes::UNREACHABLE, format!("cannot reach `{host}{port}`"));
        return Failure::from(
            told.hint("check that the server runs and that no firewall is between").retryable(),
        );
    }
    let what = if error.is_timeout() { "got no answer in time" } else { "lost its connection" };
    let told = CallError::new(codes::HTTP, format!("{} {what}", line(request))).because(root(error));
    Failure { error: told.retryable(), sent: true }
}

pub(crate) fn too_large(request: &Request) -> Failure {
    let message = format!("the answer to {} is larger than {} bytes", line(request), request.max_bytes);
    let error = CallError::new(codes::HTTP, message).hint("raise `max_bytes`, or ask for less");
    Failure { error, sent: true }
}

/// A status that the caller did not expect.
pub(crate) fn status(now: Timestamp, request: &Request, response: &Response) -> CallError {
    let status = StatusCode::from_u16(response.status).unwrap_or_default();
    let reason = status.canonical_reason().map(|reason| format!(" {reason}")).unwrap_or_default();
    let said = quoted(&response.body);
    let message = format!("{} was answered {}{reason}{said}", line(request), response.status);
    let error = CallError::new(code_of(response.status), message);
    match response.status {
        401 => error.hint("check the credentials that the call sends"),
        300..=399 => error.hint(redirect_hint(response)),
        429 | 500..=599 => match exchange::retry_after(&response.headers, now) {
            Some(wait) => error.retry_after(wait),
            None => error.retryable(),
        },
        _ => error,
    }
}

fn code_of(status: u16) -> Code {
    match status {
        401 => codes::UNAUTHENTICATED,
        403 => codes::FORBIDDEN,
        404 | 410 => codes::NOT_FOUND,
        _ => codes::HTTP,
    }
}

fn redirect_hint(response: &Response) -> String {
    let location = response.headers.get(http::header::LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| response.url.join(location).ok());
    let target = target.as_ref().map_or_else(|| "nowhere".to_owned(), plain);
    format!("it points to `{target}`; call that, or pass `follow: \"any\"`")
}

/// `: <the start of the body>`, on one line; nothing for an empty or binary body.
fn quoted(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(QUOTED * 4)]);
    let words: Vec<&str> = text.split_whitespace().collect();
    let short: String = words.join(" ").chars().take(QUOTED).collect();
    if short.is_empty() || body.contains(&0) { String::new() } else { format!(": {short}") }
}

/// The innermost cause: the others only repeat that a request failed.
pub(crate) fn root(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The TLS error in a chain. An IO error hides the error it wraps from `source`, so it is opened.
pub(crate) fn tls_cause(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let found = error.downcast_ref::<rustls::Error>();
        let found = found.or_else(|| wrapped.and_then(|inner| inner.downcast_ref::<rustls::Error>()));
        if let Some(found) = found {
            return Some(found.to_string());
        }
        next = wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}
