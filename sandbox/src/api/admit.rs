//! The admission rules, as the write pipeline asks them.

use serde_json::Value;

use super::status::Status;
use super::write::namespace_key;
use crate::kinds::Kind;
use crate::store::{Transaction, lifecycle};

/// What is being done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Update,
}

/// One write, as admission sees it.
pub(super) struct Request<'a> {
    pub(super) operation: Operation,
    pub(super) kind: &'a Kind,
    pub(super) namespace: &'a str,
    pub(super) subresource: &'a str,
    pub(super) old: Option<&'a Value>,
}

/// Lets a write pass, perhaps changed and with warnings, or refuses it.
pub(super) fn admit(
    t: &Transaction<'_>,
    request: &Request<'_>,
    object: &mut Value,
) -> Result<Vec<String>, Status> {
    check_namespace(t, request, object)?;
    let _ = (request.subresource, request.old);
    Ok(Vec::new())
}

/// New objects need a namespace that is there and stays.
fn check_namespace(t: &Transaction<'_>, request: &Request<'_>, object: &Value) -> Result<(), Status> {
    if request.operation != Operation::Create || !request.kind.namespaced {
        return Ok(());
    }
    let key = namespace_key(request.namespace);
    let Some(namespace) = t.get(&key) else {
        let kind = t.kinds().of(&key.resource).ok_or_else(Status::no_such_path)?;
        return Err(Status::not_found(&kind, request.namespace));
    };
    if !lifecycle::is_terminating(&namespace) {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let problem = format!(
        "unable to create new content in namespace {} because it is being terminated",
        request.namespace
    );
    let causes = serde_json::json!([{
        "reason": "NamespaceTerminating",
        "message": format!("namespace {} is being terminated", request.namespace),
        "field": "metadata.namespace",
    }]);
    Err(Status::forbidden(request.kind, name, &problem).with_causes(causes))
}
