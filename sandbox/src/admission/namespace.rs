//! NamespaceLifecycle: new objects need a namespace that is there and stays.

use super::{Denial, Operation, Request};
use crate::store::lifecycle::is_terminating;
use serde_json::Value;

pub(super) fn admit(request: &Request<'_>, _: &mut Value, _: &mut Vec<String>) -> Result<(), Denial> {
    if request.operation != Operation::Create || !request.kind.namespaced {
        return Ok(());
    }
    match request.own_namespace() {
        None => Err(Denial::NoNamespace(request.namespace.to_owned())),
        Some(namespace) if is_terminating(&namespace) => {
            Err(Denial::Terminating(request.namespace.to_owned()))
        }
        Some(_) => Ok(()),
    }
}
