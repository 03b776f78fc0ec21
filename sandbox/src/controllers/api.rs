//! The door through which controllers write: the same API that clients use.
//!
//! Writes go through admission, so a quota refuses a ReplicaSet's pod as it would refuse a person's.
//! The trait is the whole of what controllers ask of the API.

use async_trait::async_trait;
use serde_json::Value;

use super::fields::Object;

/// Writes on behalf of a controller. `manager` is the field manager, such as `kube-controller-manager`.
#[async_trait]
pub trait Api: Send + Sync {
    /// Creates an object.
    async fn create(&self, manager: &str, object: Value) -> Result<Object, Refused>;
    /// Replaces an object, or its status, unless it changed since it was read.
    async fn replace(&self, manager: &str, object: Value, part: Part) -> Result<Object, Refused>;
    /// Applies fields of an object, or of its subresource, by force.
    async fn apply(&self, manager: &str, object: Value, subresource: &str) -> Result<Object, Refused>;
    /// A token of a service account that lives as long as a Secret, as Secrets hold it (base64).
    fn token(&self, account: &Value, secret: &Value) -> String;
    /// Binds a pod to a node, as the scheduler does.
    async fn bind(&self, manager: &str, pod: &Value, node: &str) -> Result<(), Refused>;
    /// Deletes an object; its uid is a precondition.
    async fn delete(&self, manager: &str, object: &Value, how: Deletion) -> Result<(), Refused>;
}

/// Which part of an object a replacement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All but the status.
    Main,
    /// The status alone.
    Status,
    /// The size, through `scale`.
    Scale,
    /// A namespace's `spec.finalizers`.
    Finalizers,
}

/// How an object is deleted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deletion {
    /// Grace in seconds; none leaves it to the object.
    pub grace: Option<u64>,
    /// `Background`, `Foreground` or `Orphan`; none leaves it to the kind.
    pub propagation: Option<&'static str>,
}

/// A refused write.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// The HTTP status: 403, 404, 409, 422 ...
    pub code: u16,
    /// The reason of the Status, such as `Conflict`.
    pub reason: String,
    /// What the API says.
    pub message: String,
}

impl Refused {
    /// Whether the object is not there.
    pub fn is_absent(&self) -> bool {
        self.code == 404
    }
    /// Whether the object is there already.
    pub fn is_present(&self) -> bool {
        self.reason == "AlreadyExists"
    }
}
