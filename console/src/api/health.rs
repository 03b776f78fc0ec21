//! That it lives: for probes and Prometheus, without a token.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::answer::{Refused, blocking};
use crate::Console;

pub(super) async fn healthz(State(console): State<Arc<Console>>) -> impl IntoResponse {
    if console.metrics.lives() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the loop does not go round\n")
    }
}

pub(super) async fn metrics(State(console): State<Arc<Console>>) -> Result<impl IntoResponse, Refused> {
    let text = blocking(move || Ok(console.metrics.text(&*console.journals)?)).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}
