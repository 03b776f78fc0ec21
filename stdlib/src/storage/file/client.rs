//! Files below a root. Every path is resolved here and nowhere else, so that none leaves the root.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use aegis_engine::function::Cleanup;
use aegis_engine::{CallError, Secret, codes};
use async_trait::async_trait;
use tokio::io::AsyncWriteExt;

use crate::storage::backend::{Allowed, Backend, Content, Listing, Object, Reader, Terms, Wanted};
use crate::storage::client::{cannot, tempfile_beside};

/// The file root.
#[derive(Debug, Clone)]
pub(in crate::storage) struct Files {
    root: PathBuf,
}

impl Files {
    pub(in crate::storage) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The path of a key. Refuses `..`, and a symbolic link that leads out.
    pub(in crate::storage) async fn resolve(&self, key: &str) -> Result<PathBuf, CallError> {
        let outside = || {
            CallError::argument(format!("`{key}` leaves the storage folder `{}`", self.root.display()))
                .hint("move the file below it, or set `file-root` under `[targets.NAME.storage]`")
        };
        let relative = Path::new(key.trim_start_matches('/'));
        if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(outside());
        }
        let root =
            tokio::fs::canonicalize(&self.root).await.map_err(|error| cannot("find", &self.root, error))?;
        let path = root.join(relative);
        let mut existing = path.as_path();
        while tokio::fs::symlink_metadata(existing).await.is_err() {
            existing = existing.parent().ok_or_else(outside)?;
        }
        let real = tokio::fs::canonicalize(existing).await.map_err(|_| outside())?;
        if real.starts_with(&root) { Ok(path) } else { Err(outside()) }
    }

    async fn object(&self, key: &str, path: &Path) -> Result<Option<Object>, CallError> {
        let found = match tokio::fs::metadata(path).await {
            Ok(found) if found.is_file() => found,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot("read", path, error)),
        };
        let modified = found.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok());
        // Changes with every write, as an ETag does.
        let etag = modified.map(|time| format!("{:x}-{:x}", time.as_nanosecond(), found.len()));
        Ok(Some(Object {
            url: format!("file:///{}", key.trim_start_matches('/')),
            size: found.len(),
            etag,
            modified: modified.map(|time| format!("{time:.0}")),
            ..Object::default()
        }))
    }

    /// Keys of all files below the root that start with the prefix, sorted.
    async fn keys(&self, prefix: &str) -> Result<Vec<String>, CallError> {
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let root = self.resolve("").await?;
        let mut folders = vec![self.resolve(folder).await?];
        let mut keys = Vec::new();
        while let Some(folder) = folders.pop() {
            let Ok(mut entries) = tokio::fs::read_dir(&folder).await else { continue };
            while let Some(entry) =
                entries.next_entry().await.map_err(|error| cannot("list", &folder, error))?
            {
                let kind = entry.file_type().await.map_err(|error| cannot("list", &folder, error))?;
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file()
                    && let Ok(key) = entry.path().strip_prefix(&root)
                {
                    keys.push(key.to_string_lossy().into_owned());
                }
            }
        }
        keys.retain(|key| key.starts_with(prefix));
        keys.sort();
        Ok(keys)
    }

    /// Writes a file of its own and moves it to its place: a call that is dropped leaves nothing.
    async fn store(&self, key: &str, content: Content, terms: &Terms) -> Result<Object, CallError> {
        let path = self.resolve(key).await?;
        let part = tempfile_beside(&path).await?;
        match content {
            Content::Bytes(bytes) => {
                let file = part.reopen().map_err(|error| cannot("write", &path, error))?;
                let mut file = tokio::fs::File::from_std(file);
                let written = async {
                    file.write_all(&bytes).await?;
                    file.sync_all().await
                };
                written.await.map_err(|error| cannot("write", &path, error))?;
            }
            Content::File(from) => {
                tokio::fs::copy(&from, part.path()).await.map_err(|error| cannot("copy", &from, error))?;
            }
        }
        let moved = if terms.if_none_match { part.persist_noclobber(&path) } else { part.persist(&path) };
        moved.map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                CallError::new(codes::CONFLICT, format!("`file:///{key}` exists already"))
            }
            _ => cannot("write", &path, error.error),
        })?;
        let object = self.object(key, &path).await?.unwrap_or_default();
        Ok(Object { sha256: Some(terms.sha256.clone()), ..object })
    }
}

#[async_trait]
impl Backend for Files {
    async fn head(&self, key: &str, _: Option<&str>) -> Result<Option<Object>, CallError> {
        let path = self.resolve(key).await?;
        self.object(key, &path).await
    }

    async fn open(&self, key: &str, _: Option<&str>) -> Result<(Object, Reader), CallError> {
        let path = self.resolve(key).await?;
        let object = self.object(key, &path).await?.ok_or_else(|| {
            CallError::new(codes::NOT_FOUND, format!("there is no file `{}`", path.display()))
        })?;
        let file = tokio::fs::File::open(&path).await.map_err(|error| cannot("read", &path, error))?;
        Ok((object, Box::pin(file)))
    }

    async fn write(
        &self,
        key: &str,
        content: Content,
        terms: &Terms,
        _: &Cleanup,
    ) -> Result<Object, CallError> {
        self.store(key, content, terms).await
    }

    async fn list(&self, wanted: &Wanted) -> Result<Listing, CallError> {
        let mut listing = Listing::default();
        for key in self.keys(&wanted.prefix).await? {
            let rest = &key[wanted.prefix.len()..];
            let folded = wanted.delimiter.as_deref().filter(|d| !d.is_empty()).and_then(|delimiter| {
                rest.find(delimiter).map(|at| format!("{}{}", wanted.prefix, &rest[..at + delimiter.len()]))
            });
            if let Some(prefix) = &folded
                && listing.prefixes.contains(prefix)
            {
                continue;
            }
            if listing.objects.len() + listing.prefixes.len() == wanted.limit {
                listing.truncated = true;
                break;
            }
            match folded {
                Some(prefix) => listing.prefixes.push(prefix),
                None => listing.objects.extend(self.head(&key, None).await?),
            }
        }
        Ok(listing)
    }

    async fn delete(&self, key: &str, _: Option<&str>) -> Result<(), CallError> {
        let path = self.resolve(key).await?;
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(cannot("remove", &path, error)),
            _ => Ok(()),
        }
    }

    async fn copy_within(
        &self,
        key: &str,
        _: Option<&str>,
        _: &str,
        to_key: &str,
    ) -> Result<Option<Object>, CallError> {
        let from = self.resolve(key).await?;
        if self.object(key, &from).await?.is_none() {
            return Err(CallError::new(codes::NOT_FOUND, format!("there is no file `{}`", from.display())));
        }
        let copied = self.store(to_key, Content::File(from), &Terms::default()).await?;
        Ok(Some(Object { sha256: None, ..copied }))
    }

    async fn presign(&self, key: &str, _: Allowed, _: Duration) -> Result<Secret, CallError> {
        Err(CallError::argument(format!("`file:///{key}` cannot be reached by others"))
            .hint("only `s3://` objects can be presigned"))
    }
}
