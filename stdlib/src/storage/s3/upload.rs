//! Uploads in parts: four at a time, each with its SHA-256, and nothing left at the server when one fails or
//! the run is cancelled.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aegis_engine::function::Cleanup;
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
/// How often an upload that was given up is looked at until nothing of it is left: parts that were on their way
/// may arrive after an abort (Amazon S3 API Reference, "AbortMultipartUpload").
const ABORTS: u32 = 8;
/// The wait after the first of these looks; each next one is twice as long.
const BETWEEN_ABORTS: Duration = Duration::from_millis(100);

/// Sends a file.
pub(super) async fn in_parts(
    bucket: &Bucket,
    key: &str,
    path: &Path,
    terms: &Terms,
    cleanup: &Cleanup,
) -> Result<Object, CallError> {
    let upload = Upload::begin(bucket, key, terms, cleanup).await?;
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
struct Upload {
    bucket: Bucket,
    key: String,
    id: String,
    complete: AtomicBool,
    cleanup: Cleanup,
}

impl Upload {
    /// Whoever asks for an upload and goes away before the answer must not leave one that nobody knows: the
    /// answer is waited for all the same, and drops the upload it tells of.
    async fn begin(bucket: &Bucket, key: &str, terms: &Terms, cleanup: &Cleanup) -> Result<Self, CallError> {
        let request = bucket
            .session
            .client
            .create_multipart_upload()
            .bucket(&bucket.name)
            .key(key)
            .metadata(SHA256, &terms.sha256)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .set_content_type(terms.content_type.clone());
        let (bucket, key, after) = (bucket.clone(), key.to_owned(), cleanup.clone());
        let answered = async move {
            let answer = request.send().await.map_err(|error| bucket.about("upload", &key).failed(&error))?;
            let id = answer.upload_id.unwrap_or_default();
            Ok(Self { bucket, key, id, complete: false.into(), cleanup: after })
        };
        let begun = cleanup.begin(answered).ok_or_else(|| given_up("there is no runtime"))?;
        begun.await.map_err(given_up)?
    }

    async fn send(&self, number: i32, bytes: Bytes) -> Result<CompletedPart, CallError> {
        let checksum = STANDARD.encode(Sha256::digest(&bytes));
        let answer = self
            .bucket
            .session
            .client
            .upload_part()
            .bucket(&self.bucket.name)
            .key(&self.key)
            .upload_id(&self.id)
            .part_number(number)
            .checksum_sha256(&checksum)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|error| self.bucket.about("upload", &self.key).failed(&error))?;
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
            .key(&self.key)
            .upload_id(&self.id)
            .multipart_upload(parts)
            .set_if_none_match(terms.if_none_match.then(|| "*".to_owned()))
            .send()
            .await
            .map_err(|error| self.bucket.about("upload", &self.key).failed(&error))?;
        self.complete.store(true, Ordering::Relaxed);
        Ok(self.bucket.stored(&self.key, terms, answer.e_tag, answer.version_id))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.complete.load(Ordering::Relaxed) {
            let (bucket, key, id) = (self.bucket.clone(), self.key.clone(), self.id.clone());
            drop(self.cleanup.begin(abort(bucket, key, id)));
        }
    }
}

/// Aborts until the server knows nothing of the upload any more.
async fn abort(bucket: Bucket, key: String, id: String) {
    let client = &bucket.session.client;
    let mut wait = BETWEEN_ABORTS;
    for _ in 0..ABORTS {
        let aborted =
            client.abort_multipart_upload().bucket(&bucket.name).key(&key).upload_id(&id).send().await;
        let parts = client.list_parts().bucket(&bucket.name).key(&key).upload_id(&id).send().await;
        match (aborted, parts) {
            (_, Err(error)) if error.raw_response().is_some_and(|raw| raw.status().as_u16() == 404) => return,
            (aborted, parts) => {
                let error = aborted.err().map(|error| error.to_string());
                let parts = parts.map_or(0, |parts| parts.parts().len());
                tracing::debug!(error, parts, "an upload that was given up is still there");
            }
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    tracing::warn!(url = bucket.url(&key), upload = id, "parts of an upload stay at the server");
}

fn given_up(why: impl std::fmt::Display) -> CallError {
    CallError::new(codes::CANCELLED, "the upload was given up before it began").because(why)
}
