//! What S3's error codes mean here (Amazon S3 API reference, "Error responses"). The code always stands in the
//! message, because it is what other people's documentation is about.

use aegis_engine::{CallError, Code, codes};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::http::errors::{root, tls_cause};

/// What a request was about, for the sentence.
pub(super) struct About<'a> {
    /// `put`, `list`, ...
    pub(super) what: &'static str,
    pub(super) url: String,
    pub(super) endpoint: &'a str,
    /// Where the credentials in use were looked for.
    pub(super) tried: &'a [String],
}

impl About<'_> {
    /// The error of a request.
    pub(super) fn failed<E>(&self, error: &SdkError<E, HttpResponse>) -> CallError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error {
            SdkError::ServiceError(refusal) => {
                let status = refusal.raw().status().as_u16();
                let meta = refusal.err().meta();
                let code = meta.code().map_or_else(|| word_for(status), str::to_owned);
                self.refused(&code, status, meta.message())
            }
            SdkError::ResponseError(_) | SdkError::ConstructionFailure(_) => {
                let told = format!("cannot {} `{}`", self.what, self.url);
                CallError::new(codes::STORAGE, told).because(DisplayErrorContext(error))
            }
            other => self.unreachable(other),
        }
    }

    fn refused(&self, code: &str, status: u16, said: Option<&str>) -> CallError {
        let said = said.map(|said| format!(": {said}")).unwrap_or_default();
        let message = format!("cannot {} `{}`: S3 answers `{code}` ({status}){said}", self.what, self.url);
        let error = CallError::new(meaning(code, status), message);
        let error = match self.hint(code) {
            Some(hint) => error.hint(hint),
            None => error,
        };
        let passing =
            status >= 500 || matches!(code, "SlowDown" | "RequestTimeout" | "ConditionalRequestConflict");
        if passing { error.retryable() } else { error }
    }

    fn hint(&self, code: &str) -> Option<String> {
        Some(match code {
            "SignatureDoesNotMatch" | "InvalidAccessKeyId" | "ExpiredToken" | "InvalidToken" => {
                self.sources()
            }
            "NoSuchBucket" => "create the bucket, or check its name and region".to_owned(),
            "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                "the bucket is in another region; set `region` under `[targets.NAME.storage.s3]`".to_owned()
            }
            "RequestTimeTooSkewed" => "correct the clock of this machine".to_owned(),
            "PreconditionFailed" => "somebody stored an object there already".to_owned(),
            "AccessDenied" => {
                "the credentials need a policy that allows this on this bucket and key".to_owned()
            }
            _ => return None,
        })
    }

    /// The object is not there.
    pub(super) fn missing(&self) -> CallError {
        CallError::new(codes::NOT_FOUND, format!("cannot {} `{}`: it does not exist", self.what, self.url))
    }

    /// `credentials came from a, b, in this order`
    pub(super) fn sources(&self) -> String {
        format!("credentials are looked for in this order: {}", self.tried.join(", "))
    }

    fn unreachable<E>(&self, error: &SdkError<E, HttpResponse>) -> CallError
    where
        E: std::error::Error + 'static,
    {
        if let Some(cause) = tls_cause(error) {
            return CallError::new(codes::TLS, format!("no secure connection to `{}`", self.endpoint))
                .because(cause)
                .hint("if the server's certificate comes from a private authority, name its PEM file in `SSL_CERT_FILE`");
        }
        CallError::new(codes::UNREACHABLE, format!("cannot reach `{}`", self.endpoint))
            .because(root(error))
            .hint("check `endpoint` under `[targets.NAME.storage.s3]` and the network")
            .retryable()
    }
}

fn meaning(code: &str, status: u16) -> Code {
    match code {
        "SignatureDoesNotMatch"
        | "InvalidAccessKeyId"
        | "ExpiredToken"
        | "InvalidToken"
        | "TokenRefreshRequired" => codes::UNAUTHENTICATED,
        "AccessDenied" | "AccountProblem" | "AllAccessDisabled" => codes::FORBIDDEN,
        "NoSuchKey" | "NoSuchBucket" | "NoSuchVersion" | "NotFound" => codes::NOT_FOUND,
        "PreconditionFailed" | "ConditionalRequestConflict" | "BucketAlreadyExists" => codes::CONFLICT,
        "BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch" => {
            codes::CHECKSUM
        }
        _ if status == 403 => codes::FORBIDDEN,
        _ => codes::STORAGE,
    }
}

/// An answer to HEAD has no body, so its code is the status in words.
fn word_for(status: u16) -> String {
    match status {
        403 => "AccessDenied".to_owned(),
        404 => "NotFound".to_owned(),
        412 => "PreconditionFailed".to_owned(),
        other => format!("status {other}"),
    }
}
