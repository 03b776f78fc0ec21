//! Admission, as writes, deletions and ways in ask for it; its refusals as answers.

use serde_json::{Value, json};

use super::Call;
use super::read::served;
use super::reviews::user_info;
use super::status::Status;
use crate::admission::{self, Denial, Operation, Request};
use crate::store::{Key, Resource, Transaction};

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
    let named = [&*object, request.old.unwrap_or(&Value::Null)];
    let name =
        named.into_iter().find_map(|object| object["metadata"]["name"].as_str()).unwrap_or(request.name);
    let name = name.to_owned();
    admission::admit(request, object).map_err(|denial| refuse(request, &name, &denial))
}

/// Lets an object go, or refuses; answers warnings. One that is not there is nobody's business.
pub(super) fn admit_deletion(
    t: &Transaction<'_>,
    call: &Call,
    key: &Key,
    dry_run: bool,
) -> Result<Vec<String>, Status> {
    let Some(old) = t.get(key).map(|old| served(&old, &call.path.kind)) else { return Ok(Vec::new()) };
    let place = Place { operation: Operation::Delete, subresource: "", dry_run };
    let (namespace, name) = (&*key.namespace, &*key.name);
    admit(&place.request(t, call, (namespace, name), Some(&old)), &mut Value::Null)
}

/// Lets what a subresource is sent (an eviction, a binding, a way in) pass, or refuses; answers warnings.
pub(super) fn admit_sent(
    t: &Transaction<'_>,
    call: &Call,
    operation: Operation,
    object: &mut Value,
    dry_run: bool,
) -> Result<Vec<String>, Status> {
    let subresource = call.path.subresource.as_deref().unwrap_or_default();
    let place = Place { operation, subresource, dry_run };
    admit(&place.request(t, call, (&call.path.namespace, call.name()), None), object)
}

/// What is done, and where.
struct Place<'a> {
    operation: Operation,
    subresource: &'a str,
    dry_run: bool,
}

impl<'a> Place<'a> {
    fn request(
        &self,
        t: &'a Transaction<'a>,
        call: &'a Call,
        (namespace, name): (&'a str, &'a str),
        old: Option<&'a Value>,
    ) -> Request<'a> {
        Request {
            operation: self.operation,
            kind: &call.path.kind,
            namespace,
            subresource: self.subresource,
            name,
            old,
            store: t,
            user: user_info(&call.user),
            dry_run: self.dry_run,
            webhooks: &call.webhooks,
        }
    }
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
        Denial::NoDryRun(_) => Status::bad_request(sentence),
        Denial::Webhook(_) => {
            let causes = json!([{"message": sentence}]);
            Status::new(500, "InternalError", format!("Internal error occurred: {sentence}"))
                .with_causes(causes)
        }
    }
}
