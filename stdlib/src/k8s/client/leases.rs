//! Leases, for those who agree on who does something: `election.rs` says when to take one.

use aegis_engine::error::CallError;
use serde_json::Value;

use super::Cluster;
use crate::k8s::errors::Failure;
use crate::k8s::kinds::Kind;
use crate::k8s::request::{PatchKind, Request};

fn leases() -> Kind {
    Kind::assumed("coordination.k8s.io/v1", "Lease", true)
}

impl Cluster {
    /// A Lease, if it is there.
    pub(in crate::k8s) async fn lease(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, CallError> {
        match self.answer(&Request::get(&leases(), Some(namespace), name)).await {
            Ok(lease) => Ok(Some(lease)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Makes a Lease; answers whether it was this one.
    pub(in crate::k8s) async fn make_lease(&self, namespace: &str, lease: &Value) -> Result<bool, CallError> {
        won(self.answer(&Request::create(&leases(), Some(namespace), lease)).await)
    }

    /// Changes a Lease, if it still is at the resource version that the patch names; answers whether it was.
    pub(in crate::k8s) async fn change_lease(
        &self,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<bool, CallError> {
        won(self.answer(&Request::patch(&leases(), Some(namespace), name, PatchKind::Merge, patch)).await)
    }
}

/// Somebody else was faster: no failure, but nothing was changed.
fn won(answer: Result<Value, Failure>) -> Result<bool, CallError> {
    match answer {
        Ok(_) => Ok(true),
        Err(Failure::Refused(refusal)) if refusal.status == 409 => Ok(false),
        Err(failure) => Err(failure.into()),
    }
}
