//! Getting one object, and serving stored objects in the version that was asked for.

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Value, json};

use super::answer::object_response;
use super::status::Status;
use super::{Api, Call};
use crate::kinds::Kind;
use crate::store::{Key, Object};

impl Call {
    /// The store's key of the object the call names.
    pub(super) fn key(&self) -> Key {
        self.key_of(self.path.name.as_deref().unwrap_or_default())
    }

    /// The store's key of an object of the called kind and namespace.
    pub(super) fn key_of(&self, name: &str) -> Key {
        self.path.kind.storage.key(&self.path.namespace, name)
    }

    /// The name in the path; empty when there is none.
    pub(super) fn name(&self) -> &str {
        self.path.name.as_deref().unwrap_or_default()
    }
}

impl Api {
    pub(super) fn get(&self, call: &Call) -> Result<Response, Status> {
        if let Some(wanted) = call.query.get("resourceVersion") {
            self.check_version_is_reached(wanted)?;
        }
        object_response(call, 200, &self.find(call)?)
    }

    /// The object the call names, in the called version.
    pub(super) fn find(&self, call: &Call) -> Result<Object, Status> {
        let object = self.store().get(&call.key());
        let object = object.ok_or_else(|| Status::not_found(&call.path.kind, call.name()))?;
        Ok(served(&object, &call.path.kind))
    }

    /// A version from the future is answered as the real server does, without its three seconds
    /// of waiting: nothing in a sandbox is ever behind.
    pub(super) fn check_version_is_reached(&self, wanted: &str) -> Result<u64, Status> {
        let number: u64 = wanted.parse().map_err(|_| {
            Status::bad_request(format!("invalid resource version: {}", super::list::not_a_version(wanted)))
        })?;
        let current = self.store().version();
        if number <= current {
            return Ok(number);
        }
        let message = format!("Timeout: Too large resource version: {number}, current: {current}");
        let causes = json!([{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]);
        Err(Status::new(504, "Timeout", message).with_causes(causes).retry_after(1))
    }
}

/// A stored object as an object of `kind`: the same but for the version it names, since versions of
/// one resource differ in nothing else here. The two groups of events are the exception.
pub(crate) fn served(object: &Object, kind: &Kind) -> Object {
    let api_version = kind.api_version();
    if object["apiVersion"] == api_version.as_str() {
        return object.clone();
    }
    let mut copy = Value::clone(object);
    super::strategy::to_version(&mut copy, kind);
    copy["apiVersion"] = api_version.into();
    copy["kind"] = kind.kind.clone().into();
    Arc::new(copy)
}
