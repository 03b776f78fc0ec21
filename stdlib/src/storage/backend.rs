//! What every kind of storage can do, in few operations. The functions of the module are written against this
//! and never ask which kind they talk to.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use aegis_engine::function::Cleanup;
use aegis_engine::{CallError, Secret};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::AsyncRead;

/// An object as it lies there.
#[derive(Debug, Clone, Default)]
pub(super) struct Object {
    pub(super) url: String,
    /// Bytes.
    pub(super) size: u64,
    pub(super) etag: Option<String>,
    /// Only where the storage keeps versions.
    pub(super) version: Option<String>,
    /// As written by aegis; hexadecimal.
    pub(super) sha256: Option<String>,
    /// RFC 3339.
    pub(super) modified: Option<String>,
    pub(super) content_type: Option<String>,
}

impl Object {
    pub(super) fn value(&self) -> Value {
        json!({
            "url": self.url, "size": self.size, "etag": self.etag, "version": self.version,
            "sha256": self.sha256, "modified": self.modified, "content_type": self.content_type,
        })
    }
}

/// The shape that functions promise for an object.
pub(super) const OBJECT: &str = "map: `url`, `size` (bytes), `etag`, `version`, `sha256`, `modified` (RFC 3339), `content_type`; what the storage does not know is `()`";

/// What is to be stored.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A local file.
    File(PathBuf),
}

/// How it is to be stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Terms {
    /// Only when nothing is there.
    pub(super) if_none_match: bool,
    pub(super) content_type: Option<String>,
    /// Of the whole content; hexadecimal.
    pub(super) sha256: String,
    /// Of the whole content.
    pub(super) size: u64,
}

/// One page after another, up to a limit.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) objects: Vec<Object>,
    /// What the delimiter folds together.
    pub(super) prefixes: Vec<String>,
    /// There is more than the limit.
    pub(super) truncated: bool,
}

/// What to list.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    pub(super) limit: usize,
}

/// What a presigned URL allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Fetching.
    Get,
    /// Storing.
    Put,
}

/// The bytes of an object as they come.
pub(super) type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// One bucket, or the file root.
#[async_trait]
pub(super) trait Backend: Send + Sync {
    /// What lies there, without its bytes.
    async fn head(&self, key: &str, version: Option<&str>) -> Result<Option<Object>, CallError>;
    /// What lies there, with its bytes.
    async fn open(&self, key: &str, version: Option<&str>) -> Result<(Object, Reader), CallError>;
    /// Stores all of it or nothing, also when the call is dropped in the middle.
    async fn write(
        &self,
        key: &str,
        content: Content,
        terms: &Terms,
        cleanup: &Cleanup,
    ) -> Result<Object, CallError>;
    /// Lists.
    async fn list(&self, wanted: &Wanted) -> Result<Listing, CallError>;
    /// Removes; removing what is not there is no failure.
    async fn delete(&self, key: &str, version: Option<&str>) -> Result<(), CallError>;
    /// Copies inside the storage where it can; `None` where the bytes must travel through here.
    async fn copy_within(
        &self,
        key: &str,
        version: Option<&str>,
        to_bucket: &str,
        to_key: &str,
    ) -> Result<Option<Object>, CallError>;
    /// A URL that allows one thing for a while.
    async fn presign(&self, key: &str, allowed: Allowed, expires: Duration) -> Result<Secret, CallError>;
}

/// Hexadecimal SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
