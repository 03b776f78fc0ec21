//! Answers: JSON, and errors with the code, sentence and hint that the command line gives.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::journal::StoreError;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why something was not done.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    error: CallError,
}

/// What handlers answer.
pub(super) type Answer<T> = Result<Json<T>, Refused>;

impl Refused {
    pub(super) const fn of(status: StatusCode, error: CallError) -> Self {
        Self { status, error }
    }

    pub(super) const fn unauthorized(error: CallError) -> Self {
        Self::of(StatusCode::UNAUTHORIZED, error)
    }

    pub(super) fn wrong(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::of(StatusCode::BAD_REQUEST, CallError::argument(message.into()).hint(hint))
    }
}

impl From<CallError> for Refused {
    fn from(error: CallError) -> Self {
        let is = |code: aegis_engine::Code| error.code == code.0;
        let status = match () {
            () if is(codes::NO_RUN) || is(codes::NOT_FOUND) => StatusCode::NOT_FOUND,
            () if is(codes::FORBIDDEN) || is(codes::APPROVAL) => StatusCode::FORBIDDEN,
            () if is(codes::NOT_POSSIBLE) || is(codes::CLAIMED) => StatusCode::CONFLICT,
            () if is(codes::ARGUMENT) => StatusCode::BAD_REQUEST,
            () if is(codes::NOT_READY) || is(codes::STATE) || is(codes::DISK_FULL) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            () if is(codes::TIMEOUT) => StatusCode::GATEWAY_TIMEOUT,
            () => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, error }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        aegis_engine::run::Stop::Store(error).error().into()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self { status, error } = self;
        let body = json!({ "error": { "code": error.code, "message": error.message, "hint": error.hint } });
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// Reads and writes stores where that holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    let broken = |_| CallError::new(codes::DEFECT, "the answer broke off");
    tokio::task::spawn_blocking(work).await.map_err(broken)?
}
