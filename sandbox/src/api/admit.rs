//! Admission, as the write pipeline asks for it; its refusals as answers.

use serde_json::{Value, json};

use super::status::Status;
use crate::admission::{self, Denial, Request};
use crate::store::Resource;

/// Reasons that webhooks may give and clients know.
const REASONS: [&str; 8] = [
    "BadRequest",
    "Forbidden",
    "Invalid",
    "Conflict",
    "NotFound",
    "Unauthorized",
    "TooManyRequests",
    "InternalError",
];

/// Lets a write pass, perhaps changed and with warnings, or refuses it.
pub(super) fn admit(request: &Request<'_>, object: &mut Value) -> Result<Vec<String>, Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    admission::admit(request, object).map_err(|denial| refuse(request, &name, &denial))
}

fn refuse(request: &Request<'_>, name: &str, denial: &Denial) -> Status {
    let sentence = denial.to_string();
    match denial {
        Denial::NoNamespace(namespace) => match request.store.kinds().of(&Resource::core("namespaces")) {
            Some(kind) => Status::not_found(&kind, namespace),
            None => Status::no_such_path(),
        },
        Denial::Terminating(namespace) => {
            let causes = json!([{
                "reason": "NamespaceTerminating",
                "message": format!("namespace {namespace} is being terminated"),
                "field": "metadata.namespace",
            }]);
            Status::forbidden(request.kind, name, &sentence).with_causes(causes)
        }
        Denial::Forbidden(_) => Status::forbidden(request.kind, name, &sentence),
        Denial::Policy { reason, .. } => {
            let (code, reason) = match reason.as_str() {
                "Unauthorized" => (401, "Unauthorized"),
                "Forbidden" => (403, "Forbidden"),
                "RequestEntityTooLarge" => (413, "RequestEntityTooLarge"),
                _ => (422, "Invalid"),
            };
            let causes = json!([{"message": sentence}]);
            let refusal = Status::forbidden(request.kind, name, &sentence).with_causes(causes);
            Status { code, reason, ..refusal }
        }
        Denial::Refused { code, reason, .. } => {
            let reason = REASONS.into_iter().find(|known| known == reason).unwrap_or_default();
            Status::new(*code, reason, sentence)
        }
        Denial::Unasked => Status::internal(sentence),
        Denial::Webhook(_) => {
            let causes = json!([{"message": sentence}]);
            Status::new(500, "InternalError", format!("Internal error occurred: {sentence}"))
                .with_causes(causes)
        }
    }
}
