//! Every answer that is not success: `metav1.Status` with the reasons, codes and sentences that
//! clients look for.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::kinds::Kind;
pub use crate::schema::Cause;
use crate::store;

/// A refusal. Displays as its message.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason; empty for the few errors that have none.
    pub reason: &'static str,
    /// The sentence for people.
    pub message: String,
    /// What it is about.
    pub details: Option<Value>,
    /// A plain text answer in place of a Status body.
    pub plain: bool,
    /// A token to go on listing with.
    pub list_continue: Option<String>,
    /// What the client is warned of besides.
    pub warnings: Vec<String>,
}

impl Status {
    /// A refusal without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, reason, message, details: None, plain: false, list_continue: None, warnings: Vec::new() }
    }

    /// The same with what was warned of before it came to this.
    pub(in crate::api) fn warning(self, warnings: &[String]) -> Self {
        Self { warnings: warnings.to_vec(), ..self }
    }

    fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The path leads to nothing we serve.
    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource").with_details(json!({}))
    }

    /// The path leads nowhere at all; answered as text.
    pub fn page_not_found() -> Self {
        Self { plain: true, ..Self::new(404, "NotFound", "404 page not found\n") }
    }

    /// There is no object of this name.
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} {name:?} not found", kind.resource());
        Self::new(404, "NotFound", message).with_details(about(kind, name))
    }

    /// The object is there already.
    pub fn already_exists(kind: &Kind, name: &str, terminating: bool) -> Self {
        let prefix = if terminating { "object is being deleted: " } else { "" };
        let message = format!("{prefix}{} {name:?} already exists", kind.resource());
        Self::new(409, "AlreadyExists", message).with_details(about(kind, name))
    }

    /// The writer's version is not the stored one.
    pub fn modified(kind: &Kind, name: &str) -> Self {
        Self::conflict(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// The operation does not fit the object's present state.
    pub fn conflict(kind: &Kind, name: &str, problem: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {problem}", kind.resource());
        Self::new(409, "Conflict", message).with_details(about(kind, name))
    }

    /// The object breaks rules; each cause names one.
    pub fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Self {
        let api_version = kind.api_version();
        let ordered = |cause: &Cause| match kind.custom {
            true => cause.clone(),
            false => cause
                .shown_by(|value| crate::protobuf::go_json(&api_version, &kind.kind, &cause.field, value)),
        };
        let causes: Vec<Cause> = causes.iter().map(ordered).collect();
        let causes = &causes[..];
        // Two groups that are views of one resource tell of the one it is stored as.
        Self::invalid_named(kind.storage.group(), &kind.kind, name, causes)
    }

    /// Like [`Status::invalid`] for something that is not an object, such as the options of a call.
    pub fn invalid_named(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let mut lines: Vec<String> = causes
            .iter()
            .map(|cause| match &*cause.field {
                "" => cause.message.clone(),
                field => format!("{field}: {}", cause.message),
            })
            .collect();
        let mut seen = std::collections::HashSet::new();
        lines.retain(|line| seen.insert(line.clone()));
        let problems = if lines.len() == 1 { lines[0].clone() } else { format!("[{}]", lines.join(", ")) };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let message = format!("{qualified} {name:?} is invalid: {problems}");
        let mut details = details(group, kind, name);
        details["causes"] = causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        Self::new(422, "Invalid", message).with_details(details)
    }

    /// The request itself is wrong.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// A failure inside; a few client mistakes are answered so too, as the real server does.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// The caller may not do this.
    pub fn forbidden(kind: &Kind, name: &str, problem: &str) -> Self {
        let message = format!("{} {name:?} is forbidden: {problem}", kind.resource());
        Self::new(403, "Forbidden", message).with_details(about(kind, name))
    }

    /// The caller may not do this to objects of a resource, which need not exist.
    pub fn forbidden_attempt(group: &str, plural: &str, name: &str, problem: &str) -> Self {
        let qualified = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        let subject = if name.is_empty() { qualified } else { format!("{qualified} {name:?}") };
        let message = format!("{subject} is forbidden: {problem}");
        Self::new(403, "Forbidden", message).with_details(details(group, plural, name))
    }

    /// The method does not exist here.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message).with_details(json!({}))
    }

    /// None of the media types that the client reads can be written.
    pub fn not_acceptable(available: &str) -> Self {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {available}");
        Self::new(406, "NotAcceptable", message).with_details(json!({}))
    }

    /// The versions asked for are no longer known.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// The body is larger than we read.
    pub fn too_large(limit: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"))
    }

    /// What a real server can do and this one cannot.
    pub fn not_implemented(what: &str) -> Self {
        let message = format!("the sandbox does not support {what}");
        Self::new(501, "NotImplemented", message)
    }

    /// From a refusal of the store, told about an object of `kind`.
    pub fn from_store(error: &store::Error, kind: &Kind) -> Self {
        match error {
            store::Error::NotFound(key) => Self::not_found(kind, &key.name),
            store::Error::AlreadyExists { key, terminating } => {
                Self::already_exists(kind, &key.name, *terminating)
            }
            store::Error::Conflict(key) => Self::modified(kind, &key.name),
            store::Error::Precondition { key, field, expected, actual } => {
                Self::precondition(kind, &key.name, field, expected, actual)
            }
            store::Error::Log(source) => {
                Self::new(500, "InternalError", format!("Internal error occurred: {error}: {source}"))
            }
        }
    }

    fn precondition(kind: &Kind, name: &str, field: &str, expected: &str, actual: &str) -> Self {
        let ending = match field {
            "UID" => "have been deleted and then recreated",
            _ => "have been modified",
        };
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: the {field} in the precondition ({expected}) does not match the {field} in record ({actual}). The object might {ending}",
            kind.kind
        );
        Self::new(409, "Conflict", message).with_details(details(&kind.group, &kind.kind, name))
    }

    /// Adds empty details, as the real server does for requests that reach no object.
    pub fn with_empty_details(self) -> Self {
        self.with_details(json!({}))
    }

    /// Adds seconds after which to try again.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        let mut details = self.details.take().unwrap_or_else(|| json!({}));
        details["retryAfterSeconds"] = seconds.into();
        self.details = Some(details);
        self
    }

    /// Adds causes to a refusal that is not about an invalid object.
    pub fn with_causes(mut self, causes: Value) -> Self {
        let mut details = self.details.take().unwrap_or_else(|| json!({}));
        details["causes"] = causes;
        self.details = Some(details);
        self
    }

    /// The `metav1.Status` object.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {},
            "status": "Failure", "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            body["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            body["details"] = details.clone();
        }
        if let Some(token) = &self.list_continue {
            body["metadata"]["continue"] = token.clone().into();
        }
        body
    }

    /// The whole HTTP answer.
    pub fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (content_type, body) = match self.plain {
            true => ("text/plain; charset=utf-8", self.message.clone()),
            false => ("application/json", format!("{}\n", self.body())),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = code;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let seconds = self.details.as_ref().and_then(|details| details["retryAfterSeconds"].as_u64());
        if let Some(seconds) = seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        super::answer::with_warnings(response, &self.warnings)
    }
}

/// The details of a refusal about an object: these name the resource where others name the kind.
fn about(kind: &Kind, name: &str) -> Value {
    details(&kind.group, &kind.plural, name)
}

fn details(group: &str, kind: &str, name: &str) -> Value {
    let mut details = Map::new();
    for (field, value) in [("name", name), ("group", group), ("kind", kind)] {
        if !value.is_empty() {
            details.insert(field.into(), value.into());
        }
    }
    Value::Object(details)
}
