//! Requests of one bucket.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aegis_engine::function::Cleanup;
use aegis_engine::{CallError, Secret, codes};
use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, ProvideCredentials, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedHttpClient,
};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::{ByteStream, DateTime, DateTimeFormat};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::sync::OnceCell;

use super::credentials;
use super::errors::About;
use super::upload;
use crate::storage::backend::{Allowed, Backend, Content, Listing, Object, Reader, Terms, Wanted};
use crate::storage::client::cannot;
use crate::target::{S3Target, Surroundings};
use crate::tls::client::extra_authorities;

/// Metadata under which the SHA-256 of the whole object is kept.
pub(super) const SHA256: &str = "aegis-sha256";
/// Larger content is sent in parts.
pub(super) const SINGLE: u64 = 16 * 1024 * 1024;
/// S3 copies up to this size in one request (Amazon S3 User Guide, "Copying objects").
const COPY_LIMIT: u64 = 5 * 1024 * 1024 * 1024;

/// S3 as a target names it. Connects at the first request.
pub(in crate::storage) struct S3 {
    target: S3Target,
    environment: BTreeMap<String, String>,
    session: OnceCell<Arc<Session>>,
}

/// A client whose credentials were found.
pub(super) struct Session {
    pub(super) client: Client,
    endpoint: String,
    tried: Vec<String>,
}

impl S3 {
    pub(in crate::storage) fn new(target: &S3Target, surroundings: &Surroundings) -> Self {
        let environment = surroundings.environment.clone();
        Self { target: target.clone(), environment, session: OnceCell::new() }
    }

    pub(in crate::storage) async fn bucket(&self, name: &str) -> Result<Bucket, CallError> {
        let session = self.session.get_or_try_init(|| self.connect()).await?;
        Ok(Bucket { session: Arc::clone(session), name: name.to_owned() })
    }

    /// Looks for credentials once, here, so that their absence is told as such and not as a failed request.
    async fn connect(&self) -> Result<Arc<Session>, CallError> {
        let http = self.http()?;
        let region = credentials::region(&self.target, &self.environment).await.ok_or_else(|| {
            CallError::new(codes::CONFIG, "no AWS region is set")
                .hint("set `region` under `[targets.NAME.storage.s3]`, or `AWS_REGION`")
        })?;
        let chain = credentials::chain(&self.target, &self.environment, &http, &region);
        chain.provider.provide_credentials().await.map_err(|error| {
            CallError::new(codes::UNAUTHENTICATED, "no AWS credentials were found")
                .because(crate::http::errors::root(&error))
                .hint(format!("looked in this order: {}", chain.tried.join(", ")))
        })?;
        let endpoint =
            self.target.endpoint.clone().or_else(|| self.environment.get("AWS_ENDPOINT_URL").cloned());
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .credentials_provider(chain.provider)
            .force_path_style(self.target.path_style)
            // Checksums are ours: SHA-256 as a plain header, which every S3 server understands.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenSupported)
            .retry_config(RetryConfig::standard().with_max_attempts(4))
            .timeout_config(TimeoutConfig::builder().connect_timeout(Duration::from_secs(10)).build())
            .region(region.clone());
        if let Some(endpoint) = &endpoint {
            config = config.endpoint_url(endpoint);
        }
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        Ok(Arc::new(Session { client: Client::from_conf(config.build()), endpoint, tried: chain.tried }))
    }

    fn http(&self) -> Result<SharedHttpClient, CallError> {
        let mut store = TrustStore::default().with_native_roots(true);
        if let Some(pem) = extra_authorities(&self.environment)? {
            store = store.with_pem_certificate(pem);
        }
        let context = TlsContext::builder().with_trust_store(store).build();
        let context = context
            .map_err(|error| CallError::new(codes::TLS, "TLS cannot be set up for S3").because(error))?;
        let builder = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
        Ok(builder.tls_context(context).build_https())
    }
}

/// One bucket.
#[derive(Clone)]
pub(in crate::storage) struct Bucket {
    pub(super) session: Arc<Session>,
    pub(super) name: String,
}

impl Bucket {
    pub(super) fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    pub(super) fn about(&self, what: &'static str, key: &str) -> About<'_> {
        About { what, url: self.url(key), endpoint: &self.session.endpoint, tried: &self.session.tried }
    }

    fn client(&self) -> &Client {
        &self.session.client
    }

    async fn put(&self, key: &str, bytes: Bytes, terms: &Terms) -> Result<Object, CallError> {
        let checksum = hex::decode(&terms.sha256).map(|digest| STANDARD.encode(digest)).unwrap_or_default();
        let answer = self
            .client()
            .put_object()
            .bucket(&self.name)
            .key(key)
            .metadata(SHA256, &terms.sha256)
            .checksum_sha256(checksum)
            .set_content_type(terms.content_type.clone())
            .set_if_none_match(terms.if_none_match.then(|| "*".to_owned()))
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|error| self.about("put", key).failed(&error))?;
        Ok(self.stored(key, terms, answer.e_tag, answer.version_id))
    }

    /// The object as it must lie there now.
    pub(super) fn stored(
        &self,
        key: &str,
        terms: &Terms,
        etag: Option<String>,
        version: Option<String>,
    ) -> Object {
        Object {
            url: self.url(key),
            size: terms.size,
            etag,
            version,
            sha256: Some(terms.sha256.clone()),
            content_type: terms.content_type.clone(),
            ..Object::default()
        }
    }
}

#[async_trait]
impl Backend for Bucket {
    async fn head(&self, key: &str, version: Option<&str>) -> Result<Option<Object>, CallError> {
        let request = self.client().head_object().bucket(&self.name).key(key);
        match request.set_version_id(version.map(str::to_owned)).send().await {
            Ok(found) => Ok(Some(seen(self.url(key), found))),
            // A bucket that is missing answers 404 as well, and HEAD has no body that could tell; either way
            // the object is not there.
            Err(error) if error.raw_response().is_some_and(|raw| raw.status().as_u16() == 404) => Ok(None),
            Err(error) => Err(self.about("look at", key).failed(&error)),
        }
    }

    async fn open(&self, key: &str, version: Option<&str>) -> Result<(Object, Reader), CallError> {
        let request = self.client().get_object().bucket(&self.name).key(key);
        let found = request
            .set_version_id(version.map(str::to_owned))
            .send()
            .await
            .map_err(|error| self.about("get", key).failed(&error))?;
        Ok(fetched(self.url(key), found))
    }

    async fn write(
        &self,
        key: &str,
        content: Content,
        terms: &Terms,
        cleanup: &Cleanup,
    ) -> Result<Object, CallError> {
        match content {
            Content::File(path) if terms.size > SINGLE => {
                upload::in_parts(self, key, &path, terms, cleanup).await
            }
            Content::File(path) => {
                let bytes = tokio::fs::read(&path).await.map_err(|error| cannot("read", &path, error))?;
                self.put(key, bytes.into(), terms).await
            }
            Content::Bytes(bytes) => self.put(key, bytes, terms).await,
        }
    }

    async fn list(&self, wanted: &Wanted) -> Result<Listing, CallError> {
        let mut listing = Listing::default();
        let mut next = None;
        loop {
            let left = wanted.limit - listing.objects.len() - listing.prefixes.len();
            let page = self
                .client()
                .list_objects_v2()
                .bucket(&self.name)
                .prefix(&wanted.prefix)
                .set_delimiter(wanted.delimiter.clone())
                .set_continuation_token(next)
                .max_keys(i32::try_from(left.min(1000)).unwrap_or(1000))
                .send()
                .await
                .map_err(|error| self.about("list", &wanted.prefix).failed(&error))?;
            listing.objects.extend(page.contents().iter().map(|found| Object {
                url: self.url(found.key().unwrap_or_default()),
                size: found.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                etag: found.e_tag().map(str::to_owned),
                modified: found.last_modified().and_then(shown),
                ..Object::default()
            }));
            listing
                .prefixes
                .extend(page.common_prefixes().iter().filter_map(|p| p.prefix().map(str::to_owned)));
            next = page.next_continuation_token().map(str::to_owned);
            listing.truncated = next.is_some();
            if next.is_none() || listing.objects.len() + listing.prefixes.len() >= wanted.limit {
                return Ok(listing);
            }
        }
    }

    async fn delete(&self, key: &str, version: Option<&str>) -> Result<(), CallError> {
        let request = self.client().delete_object().bucket(&self.name).key(key);
        let sent = request.set_version_id(version.map(str::to_owned)).send().await;
        sent.map(drop).map_err(|error| self.about("delete", key).failed(&error))
    }

    async fn copy_within(
        &self,
        key: &str,
        version: Option<&str>,
        to_bucket: &str,
        to_key: &str,
    ) -> Result<Option<Object>, CallError> {
        let Some(source) = self.head(key, version).await? else {
            return Err(self.about("copy", key).missing());
        };
        if source.size > COPY_LIMIT {
            return Ok(None);
        }
        let version = version.map(|version| format!("?versionId={version}")).unwrap_or_default();
        let from = format!("{}/{}{version}", self.name, escaped(key));
        let target = Self { name: to_bucket.to_owned(), ..self.clone() };
        let request = self.client().copy_object().copy_source(from).bucket(to_bucket).key(to_key);
        let answer = request.send().await.map_err(|error| self.about("copy", key).failed(&error))?;
        let etag = answer.copy_object_result().and_then(|result| result.e_tag()).map(str::to_owned);
        let version = answer.version_id().map(str::to_owned);
        Ok(Some(Object { url: target.url(to_key), etag, version, modified: None, ..source }))
    }

    async fn presign(&self, key: &str, allowed: Allowed, expires: Duration) -> Result<Secret, CallError> {
        let config = PresigningConfig::expires_in(expires)
            .map_err(|error| CallError::argument("the URL cannot be valid for that long").because(error))?;
        let presigned = match allowed {
            Allowed::Get => {
                let request = self.client().get_object().bucket(&self.name).key(key);
                request.presigned(config).await.map_err(|error| self.about("presign", key).failed(&error))?
            }
            Allowed::Put => {
                let request = self.client().put_object().bucket(&self.name).key(key);
                request.presigned(config).await.map_err(|error| self.about("presign", key).failed(&error))?
            }
        };
        Ok(Secret::new(presigned.uri()))
    }
}

fn seen(url: String, found: HeadObjectOutput) -> Object {
    Object {
        url,
        size: size(found.content_length()),
        sha256: found.metadata().and_then(|metadata| metadata.get(SHA256)).cloned(),
        modified: found.last_modified().and_then(shown),
        etag: found.e_tag,
        version: kept(found.version_id),
        content_type: found.content_type,
    }
}

fn fetched(url: String, found: GetObjectOutput) -> (Object, Reader) {
    let object = Object {
        url,
        size: size(found.content_length()),
        sha256: found.metadata().and_then(|metadata| metadata.get(SHA256)).cloned(),
        modified: found.last_modified().and_then(shown),
        etag: found.e_tag,
        version: kept(found.version_id),
        content_type: found.content_type,
    };
    (object, Box::pin(found.body.into_async_read()))
}

fn size(length: Option<i64>) -> u64 {
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or_default()
}

/// `null` is S3's name for the version of an object in a bucket that keeps none.
fn kept(version: Option<String>) -> Option<String> {
    version.filter(|version| version != "null")
}

fn shown(time: &DateTime) -> Option<String> {
    time.fmt(DateTimeFormat::DateTime).ok()
}

/// A key in the copy header is percent-encoded, slashes excepted.
fn escaped(key: &str) -> String {
    let letter = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    key.bytes().map(letter).collect()
}
