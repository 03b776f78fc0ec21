//! What a request says: the names in its path, its query, its body. Each is read in one place, so that what cannot be
//! used is said in the shape of every other error, with the name that was meant.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::text::{did_you_mean, list};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::answer::Refused;
use super::paths::nothing_at;

/// The one name in a path.
pub(super) struct Named(pub(super) String);

/// What stands behind the question mark. Its names have been looked at before.
pub(super) struct Asked<T>(pub(super) T);

/// A body in JSON.
pub(super) struct Body<T>(pub(super) T);

/// That no body says anything: who sends one means something by it.
pub(super) struct NoBody;

/// A body as it came.
pub(super) struct Whole(pub(super) Bytes);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let Path(name) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| {
            Refused::wrong("the name in the path is not text in UTF-8", "write it with `%` as in URLs")
        })?;
        // No name fits to every name.
        if name.trim().is_empty() {
            return Err(nothing_at(parts.uri.path()));
        }
        Ok(Self(name))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let Query(read) = Query::try_from_uri(&parts.uri).map_err(|wrong| {
            let told = wrong.body_text();
            let told = told.split_once(": ").map_or(told.as_str(), |(_, own)| own);
            let (name, why) = told.split_once(": ").unwrap_or(("the query", told));
            Refused::of(StatusCode::BAD_REQUEST, unfit(&format!("`{name}` in the query"), why))
        })?;
        Ok(Self(read))
    }
}

impl<S: Send + Sync> FromRequest<S> for Whole {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let body = Bytes::from_request(request, state).await.map_err(|wrong| match wrong.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let error = CallError::new(codes::LIMIT, "the body is larger than 1 MiB");
                Refused::of(StatusCode::PAYLOAD_TOO_LARGE, error.hint("send less at once"))
            }
            _ => Refused::wrong("the body broke off", "send it again"),
        })?;
        Ok(Self(body))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        if !is_json(&request) {
            let error = CallError::argument("the body is not said to be JSON");
            let error = error.hint("send it with `Content-Type: application/json`");
            return Err(Refused::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
        }
        let Whole(body) = Whole::from_request(request, state).await?;
        let unfit = |wrong: serde_json::Error| {
            Refused::of(StatusCode::UNPROCESSABLE_ENTITY, unfit("the body", &wrong.to_string()))
        };
        serde_json::from_value(read_json(&body)?).map(Self).map_err(unfit)
    }
}

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let status = if is_json(&request) {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        };
        let Whole(body) = Whole::from_request(request, state).await?;
        let says_nothing = body.trim_ascii().is_empty()
            || serde_json::from_slice::<Value>(&body).is_ok_and(|value| value == Value::Object(Map::new()));
        if says_nothing {
            return Ok(Self);
        }
        let error = CallError::argument("this takes no body, and what stands in one would be passed over");
        Err(Refused::of(status, error.hint("leave the body away")))
    }
}

fn is_json(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json")
}

/// A body as a value.
pub(super) fn read_json(body: &[u8]) -> Result<Value, Refused> {
    serde_json::from_slice(body)
        .map_err(|wrong| Refused::wrong(format!("the body is not JSON: {wrong}"), "send one JSON value"))
}

/// Names in a query that its route does not know would be passed over in silence.
pub(super) fn check_query(uri: &Uri, known: &[&str]) -> Result<(), Refused> {
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let Query(pairs) =
        pairs.map_err(|_| Refused::wrong("the query cannot be read", "write `?name=value&name=value`"))?;
    let Some((unknown, _)) = pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    let hint = did_you_mean(unknown, known.iter().copied()).unwrap_or_else(|| match known {
        [] => "leave the query away".to_owned(),
        known => format!("names are {}", list(known)),
    });
    Err(Refused::wrong(format!("the query has no `{unknown}` here"), hint))
}

/// What the reader of a value says, with the names that it expected.
fn unfit(place: &str, told: &str) -> CallError {
    let mut names = told.split('`').skip(1).step_by(2);
    let wrong = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    let meant = || {
        did_you_mean(wrong, known.iter().copied()).unwrap_or_else(|| format!("known are {}", list(&known)))
    };
    if told.starts_with("unknown field") {
        CallError::argument(format!("{place} has no key `{wrong}`")).hint(meant())
    } else if told.starts_with("unknown variant") {
        CallError::argument(format!("{place} cannot be `{wrong}`")).hint(meant())
    } else if told.starts_with("missing field") {
        CallError::argument(format!("{place} has no `{wrong}`")).hint(format!("add `\"{wrong}\": ...`"))
    } else {
        CallError::argument(format!("{place} cannot be used: {told}")).hint("docs/api.md says what it takes")
    }
}
