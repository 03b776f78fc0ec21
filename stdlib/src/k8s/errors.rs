//! What can go wrong between a request and its answer, and the sentence, code and hint each of it becomes.
//! Statuses, reasons and causes are those of the Kubernetes API conventions (`meta/v1.Status`).

use std::error::Error as StdError;
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use serde_json::Value;

use super::request::{MANAGER, Request, Subject};

/// Why a request has no good answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server answered, and not with success.
    Refused(Box<Refusal>),
    /// No connection was made: the server never saw the request.
    Unreached(CallError),
    /// The connection broke, or no answer came: the server may have seen the request.
    Broken(CallError),
    /// Configuration, credentials or TLS: trying again changes nothing.
    Unusable(CallError),
}

/// A `Status` with its surroundings.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) causes: Vec<Cause>,
    pub(super) retry_after: Option<Duration>,
    pub(super) subject: Subject,
    pub(super) server: String,
}

/// One cause of a `Status`.
#[derive(Debug, Default, Clone)]
pub(super) struct Cause {
    pub(super) reason: String,
    pub(super) field: String,
    pub(super) message: String,
}

impl Failure {
    /// The HTTP status of a refusal.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// A write on an old `resourceVersion`: read again and try again.
    pub(super) fn is_stale(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == 409 && refusal.reason == "Conflict"
            && refusal.causes.is_empty())
    }
}

impl Refusal {
    /// Reads the answer to a request that was not a success.
    pub(super) fn read(
        request: &Request,
        server: &str,
        status: u16,
        headers: &http::HeaderMap,
        body: &[u8],
    ) -> Self {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let causes = answer.pointer("/details/causes").and_then(Value::as_array);
        let causes = causes.into_iter().flatten().map(|cause| Cause {
            reason: text(&cause["reason"]),
            field: text(&cause["field"]),
            message: text(&cause["message"]),
        });
        let plain = || String::from_utf8_lossy(body).trim().chars().take(300).collect();
        let after =
            headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            status,
            reason: text(&answer["reason"]),
            message: answer["message"].as_str().map_or_else(plain, str::to_owned),
            causes: causes.collect(),
            retry_after: after.map(Duration::from_secs),
            subject: request.subject.clone(),
            server: server.to_owned(),
        }
    }

    /// Fields of an apply that other managers own, as `field (manager)`.
    pub(super) fn owners(&self) -> Vec<(String, String)> {
        let conflicts = self.causes.iter().filter(|cause| cause.reason == "FieldManagerConflict");
        conflicts.map(|cause| (cause.field.clone(), manager(&cause.message))).collect()
    }

    /// True when everything an apply collides with was written by aegis itself (a scale, a patch, an undo):
    /// taking it over takes nothing from anybody.
    pub(super) fn collides_only_with_us(&self) -> bool {
        let owners = self.owners();
        !owners.is_empty() && owners.iter().all(|(_, manager)| manager == MANAGER)
    }

    /// Refused by an admission rule (quota, Pod Security, a policy), not by RBAC.
    fn is_admission(&self) -> bool {
        !self.message.contains("cannot ") || self.message.contains("denied the request")
    }

    fn invalid(&self) -> CallError {
        let mut message = format!("the server refuses {}: {}", self.subject, first_line(&self.message));
        let named = self.causes.iter().filter(|cause| !message.contains(&cause.message));
        let extra: Vec<String> = named.map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        if !extra.is_empty() {
            message = format!("{message} ({})", extra.join("; "));
        }
        CallError::new(codes::INVALID, message)
    }

    fn forbidden(&self) -> CallError {
        let Subject { verb, resource, namespace, .. } = &self.subject;
        let place = namespace.as_ref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
        CallError::new(codes::FORBIDDEN, format!("not allowed to {verb} {}: {}", self.subject, first_line(&self.message)))
            .hint(format!("`kubectl auth can-i {verb} {resource}{place}` asks the same; a role with that verb would allow it"))
    }

    fn conflict(&self) -> CallError {
        let owners = self.owners();
        if owners.is_empty() {
            let message = format!("{} is in the way: {}", self.subject, first_line(&self.message));
            return CallError::new(codes::CONFLICT, message);
        }
        let fields: Vec<String> =
            owners.iter().map(|(field, owner)| format!("`{field}` (`{owner}`)")).collect();
        CallError::new(
            codes::CONFLICT,
            format!("others own fields of {}: {}", self.subject, fields.join(", ")),
        )
        .hint("leave the fields out of the manifest, or take them over with `force: true`")
    }
}

/// The manager in `conflict with "kubectl" using apps/v1`.
fn manager(message: &str) -> String {
    message.split('"').nth(1).unwrap_or(message).to_owned()
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        let subject = &refusal.subject;
        match refusal.status {
            401 => CallError::new(
                codes::UNAUTHENTICATED,
                format!("`{}` does not accept the credentials", refusal.server),
            )
            .hint("the token may have expired: log in again, or check the user of the kubeconfig's context"),
            403 if refusal.is_admission() => refusal.invalid(),
            403 => refusal.forbidden(),
            404 => CallError::new(codes::NOT_FOUND, format!("{subject} does not exist")),
            409 => refusal.conflict(),
            400 | 422 => refusal.invalid(),
            status => {
                let message = format!(
                    "the API answered {status} to {} {subject}: {}",
                    subject.verb,
                    first_line(&refusal.message)
                );
                let error = CallError::new(codes::API, message);
                match refusal.retry_after {
                    Some(wait) => error.retry_after(wait),
                    None if status == 429 || status >= 500 => error.retryable(),
                    None => error,
                }
            }
        }
    }
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => (*refusal).into(),
            Failure::Unreached(error) | Failure::Broken(error) | Failure::Unusable(error) => error,
        }
    }
}

/// Sorts what the transport reports.
pub(super) fn transport(server: &str, error: &kube::Error) -> Failure {
    let cause = root(error);
    if let kube::Error::Auth(auth) = error {
        let message = format!("cannot get credentials for `{server}`");
        let error = CallError::new(codes::UNAUTHENTICATED, message).because(auth);
        return Failure::Unusable(
            error.hint("the login command of the kubeconfig's user failed; run it by hand"),
        );
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return Failure::Unusable(
            CallError::new(codes::TLS, format!("no secure connection to `{server}`"))
                .because(tls)
                .hint("compare the certificate authority in the kubeconfig with the server's certificate"),
        );
    }
    let connecting = find::<hyper_util::client::legacy::Error>(error).is_some_and(|error| error.is_connect());
    let unreachable =
        CallError::new(codes::UNREACHABLE, format!("cannot reach `{server}`")).because(cause).retryable();
    if connecting {
        Failure::Unreached(unreachable.hint("is the cluster up, and is this the right context?"))
    } else {
        Failure::Broken(
            CallError::new(codes::UNREACHABLE, format!("the connection to `{server}` broke"))
                .because(root(error))
                .retryable(),
        )
    }
}

/// The innermost cause as text: the outer ones only say that something failed.
fn root(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map(|cause| cause.to_string()).unwrap_or_default()
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    chain(error).find_map(|cause| cause.downcast_ref::<T>())
}

/// The chain of causes, looking into I/O errors, which hide the error they wrap from `source`.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| error.source())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::k8s::kinds::tests::deployments;

    fn refused(status: u16, body: &Value) -> Refusal {
        let request = Request::get(&deployments(), Some("shop"), "web");
        let headers = http::HeaderMap::new();
        Refusal::read(&request, "https://c", status, &headers, body.to_string().as_bytes())
    }

    #[test]
    fn a_refusal_of_rbac_says_verb_and_resource() {
        let body = json!({"reason": "Forbidden",
            "message": "deployments.apps \"web\" is forbidden: User \"alice\" cannot get resource \"deployments\""});
        let error = CallError::from(refused(403, &body));
        assert_eq!(error.code, codes::FORBIDDEN.0);
        assert!(error.message.starts_with("not allowed to get `deployments.apps/web` in namespace `shop`"));
        assert!(error.hint.unwrap().contains("kubectl auth can-i get deployments.apps -n shop"));
    }

    #[test]
    fn a_quota_is_no_question_of_rights() {
        let body = json!({"reason": "Forbidden", "message": "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1"});
        assert_eq!(CallError::from(refused(403, &body)).code, codes::INVALID.0);
    }

    #[test]
    fn a_conflict_names_the_owner_of_each_field() {
        let body = json!({"reason": "Conflict", "details": {"causes": [{"reason": "FieldManagerConflict",
            "message": "conflict with \"hpa\" using apps/v1", "field": ".spec.replicas"}]}});
        let refusal = refused(409, &body);
        assert!(!refusal.collides_only_with_us());
        let error = CallError::from(refusal);
        assert!(error.message.ends_with("`.spec.replicas` (`hpa`)"), "{}", error.message);
    }

    #[test]
    fn an_answer_that_is_no_status_is_still_told() {
        let request = Request::read("/version");
        let refusal = Refusal::read(&request, "s", 502, &http::HeaderMap::new(), b"bad gateway");
        let error = CallError::from(refusal);
        assert!(error.retryable);
        assert_eq!(error.message, "the API answered 502 to get `/version`: bad gateway");
    }
}
