//! Uploads in parts: four at a time, each with its SHA-256, and nothing left at the server when one fails or
//! the run is cancelled.

use std::path::Path;

use aegis_engine::{CallError, codes};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::client::{Bucket, SHA256, SINGLE};
use crate::storage::backend::{Object, Terms};
use crate::storage::client::cannot;

/// The most parts an upload may have (Amazon S3 User Guide, "Multipart upload limits").
const MAX_PARTS: u64 = 10_000;
/// Parts on their way at once; each holds its bytes in memory.
const AT_ONCE: usize = 4;

/// Sends a file.
pub(super) async fn in_parts(
    bucket: &Bucket,
    key: &str,
    path: &Path,
    terms: &Terms,
) -> Result<Object, CallError> {
    let upload = Upload::begin(bucket, key, terms).await?;
    let part_size = usize::try_from(SINGLE.max(terms.size.div_ceil(MAX_PARTS))).unwrap_or(usize::MAX);
    let file = tokio::fs::File::open(path).await.map_err(|error| cannot("read", path, error))?;
    let reading = Reading { file, hash: Sha256::new(), number: 0, expected: terms.sha256.clone() };
    let parts = stream::try_unfold(reading, |mut reading| async move {
        let part = reading.next(path, part_size).await?;
        Ok(part.map(|part| (part, reading)))
    });
    let sent = parts.map_ok(|(number, bytes)| upload.send(number, bytes)).try_buffered(AT_ONCE);
    let parts: Vec<CompletedPart> = sent.boxed().try_collect().await?;
    upload.complete(parts, terms).await
}

/// Reads the file part by part and hashes it on the way: a file that changes meanwhile must not be completed.
struct Reading {
    file: tokio::fs::File,
    hash: Sha256,
    number: i32,
    expected: String,
}

impl Reading {
    async fn next(&mut self, path: &Path, size: usize) -> Result<Option<(i32, Bytes)>, CallError> {
        let mut bytes = Vec::with_capacity(size);
        let mut limited = (&mut self.file).take(size as u64);
        if limited.read_to_end(&mut bytes).await.map_err(|error| cannot("read", path, error))? == 0 {
            return self.finished(path);
        }
        self.hash.update(&bytes);
        self.number += 1;
        Ok(Some((self.number, bytes.into())))
    }

    fn finished(&mut self, path: &Path) -> Result<Option<(i32, Bytes)>, CallError> {
        if hex::encode(std::mem::take(&mut self.hash).finalize()) == self.expected {
            return Ok(None);
        }
        let message = format!("`{}` changed while it was uploaded", path.display());
        Err(CallError::new(codes::CHECKSUM, message).hint("upload a file that nobody writes to"))
    }
}

/// An upload under way. Dropped before it is complete, it is aborted.
struct Upload<'a> {
    bucket: &'a Bucket,
    key: &'a str,
    id: String,
    complete: std::sync::atomic::AtomicBool,
}

impl<'a> Upload<'a> {
    async fn begin(bucket: &'a Bucket, key: &'a str, terms: &Terms) -> Result<Self, CallError> {
        let answer = bucket
            .session
            .client
            .create_multipart_upload()
            .bucket(&bucket.name)
            .key(key)
            .metadata(SHA256, &terms.sha256)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .set_content_type(terms.content_type.clone())
            .send()
            .await
            .map_err(|error| bucket.about("upload", key).failed(&error))?;
        let id = answer.upload_id.unwrap_or_default();
        Ok(Self { bucket, key, id, complete: false.into() })
    }

    async fn send(&self, number: i32, bytes: Bytes) -> Result<CompletedPart, CallError> {
        let checksum = STANDARD.encode(Sha256::digest(&bytes));
        let answer = self
            .bucket
            .session
            .client
            .upload_part()
            .bucket(&self.bucket.name)
            .key(self.key)
            .upload_id(&self.id)
            .part_number(number)
            .checksum_sha256(&checksum)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|error| self.bucket.about("upload", self.key).failed(&error))?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag);
        Ok(part.checksum_sha256(checksum).build())
    }

    async fn complete(&self, parts: Vec<CompletedPart>, terms: &Terms) -> Result<Object, CallError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let answer = self
            .bucket
            .session
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket.name)
            .key(self.key)
            .upload_id(&self.id)
            .multipart_upload(parts)
            .set_if_none_match(terms.if_none_match.then(|| "*".to_owned()))
            .send()
            .await
            .map_err(|error| self.bucket.about("upload", self.key).failed(&error))?;
        self.complete.store(true, std::sync::atomic::Ordering::Relaxed);
        Ok(self.bucket.stored(self.key, terms, answer.e_tag, answer.version_id))
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if self.complete.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let client = self.bucket.session.client.clone();
        let abort =
            client.abort_multipart_upload().bucket(&self.bucket.name).key(self.key).upload_id(&self.id);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = abort.send().await {
                    tracing::warn!(%error, "parts of an upload stay at the server");
                }
            });
        }
    }
}
