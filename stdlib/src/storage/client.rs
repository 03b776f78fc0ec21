//! The storage of a target: the backend for a location, and the streams between storage and local files.

use std::path::{Path, PathBuf};

use aegis_engine::{CallError, codes};
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::backend::{Backend, Object, Reader, Wanted};
use super::file::Files;
use super::location::{Kind, Location};
use super::s3::S3;
use crate::target::{Surroundings, Target};

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;

/// The storage of a target. Opens no connection before the first call.
pub struct Storage {
    s3: S3,
    files: Files,
}

impl Storage {
    /// Takes endpoints, credentials and the file root of the target.
    #[must_use]
    pub fn new(target: &Target, surroundings: &Surroundings) -> Self {
        let root = target.storage.file_root.as_ref();
        let root = root.map_or_else(|| surroundings.project.clone(), |root| surroundings.project.join(root));
        Self { s3: S3::new(&target.storage.s3, surroundings), files: Files::new(root) }
    }

    pub(super) async fn backend(&self, location: &Location) -> Result<Box<dyn Backend>, CallError> {
        Ok(match location.kind {
            Kind::S3 => Box::new(self.s3.bucket(&location.bucket).await?),
            Kind::File => Box::new(self.files.clone()),
        })
    }

    /// Every object whose URL begins with a text, as `storage::list` tells of it: for those who look for new ones.
    ///
    /// # Errors
    /// When the URL is none, or the storage cannot be listed.
    pub async fn objects(&self, url: &str) -> Result<Vec<Value>, CallError> {
        let location = Location::prefix(url)?;
        let wanted = Wanted { prefix: location.key.clone(), delimiter: None, limit: usize::MAX };
        let listing = self.backend(&location).await?.list(&wanted).await?;
        Ok(listing.objects.iter().map(Object::value).collect())
    }

    /// A local path below the file root.
    pub(super) async fn local(&self, path: &str) -> Result<PathBuf, CallError> {
        self.files.resolve(path).await
    }

    /// SHA-256 (hexadecimal) and size of a local file.
    pub(super) async fn digest(&self, path: &Path) -> Result<(String, u64), CallError> {
        let unreadable = |error| cannot("read", path, error);
        let mut file = tokio::fs::File::open(path).await.map_err(unreadable)?;
        let (mut hash, mut size, mut buffer) = (Sha256::new(), 0_u64, vec![0; CHUNK]);
        loop {
            match file.read(&mut buffer).await.map_err(unreadable)? {
                0 => return Ok((hex::encode(hash.finalize()), size)),
                read => {
                    hash.update(&buffer[..read]);
                    size += read as u64;
                }
            }
        }
    }

    /// All bytes of an object, checked.
    pub(super) async fn bytes(
        &self,
        object: &Object,
        reader: Reader,
        limit: u64,
    ) -> Result<Bytes, CallError> {
        let mut bytes = Vec::new();
        reader.take(limit + 1).read_to_end(&mut bytes).await.map_err(|error| broken(object, error))?;
        if bytes.len() as u64 > limit {
            let message = format!("`{}` is larger than {limit} bytes", object.url);
            return Err(
                CallError::new(codes::STORAGE, message).hint("raise `max_bytes`, or use `storage::download`")
            );
        }
        check(object, &super::backend::sha256(&bytes), bytes.len() as u64)?;
        Ok(bytes.into())
    }

    /// Streams an object into a local file, which appears only when it is whole and checked. Answers its SHA-256.
    pub(super) async fn save(
        &self,
        object: &Object,
        mut reader: Reader,
        path: &Path,
    ) -> Result<String, CallError> {
        let part = tempfile_beside(path).await?;
        let (mut hash, mut size, mut buffer) = (Sha256::new(), 0_u64, vec![0; CHUNK]);
        let mut file =
            tokio::fs::File::from_std(part.reopen().map_err(|error| cannot("write", path, error))?);
        loop {
            let read = reader.read(&mut buffer).await.map_err(|error| broken(object, error))?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            size += read as u64;
            file.write_all(&buffer[..read]).await.map_err(|error| cannot("write", path, error))?;
        }
        let digest = hex::encode(hash.finalize());
        check(object, &digest, size)?;
        file.sync_all().await.map_err(|error| cannot("write", path, error))?;
        part.persist(path).map_err(|error| cannot("write", path, error.error))?;
        Ok(digest)
    }
}

/// A file in the same folder, so that renaming it is one step.
pub(super) async fn tempfile_beside(path: &Path) -> Result<tempfile::NamedTempFile, CallError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    tokio::fs::create_dir_all(folder).await.map_err(|error| cannot("create", folder, error))?;
    tempfile::NamedTempFile::new_in(folder).map_err(|error| cannot("write", path, error))
}

pub(super) fn cannot(what: &str, path: &Path, error: std::io::Error) -> CallError {
    let code = match error.kind() {
        std::io::ErrorKind::NotFound => codes::NOT_FOUND,
        std::io::ErrorKind::PermissionDenied => codes::FORBIDDEN,
        _ => codes::STORAGE,
    };
    CallError::new(code, format!("cannot {what} `{}`", path.display())).because(error)
}

fn broken(object: &Object, error: std::io::Error) -> CallError {
    CallError::new(codes::STORAGE, format!("the bytes of `{}` stopped coming", object.url))
        .because(error)
        .retryable()
}

/// What came must be what aegis once stored.
fn check(object: &Object, digest: &str, size: u64) -> Result<(), CallError> {
    if object.size == size && object.sha256.as_deref().is_none_or(|stored| stored == digest) {
        return Ok(());
    }
    let message = format!("`{}` is not what was stored: {size} bytes with SHA-256 `{digest}`", object.url);
    let stored = object.sha256.as_deref().unwrap_or("unknown");
    Err(CallError::new(codes::CHECKSUM, message)
        .hint(format!("stored were {} bytes with SHA-256 `{stored}`", object.size)))
}
