//! That it lives: for probes and Prometheus, without a token.

use std::sync::Arc;

use aegis_engine::text::count;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::answer::{Refused, blocking};
use crate::Console;

pub(super) async fn healthz(State(console): State<Arc<Console>>) -> impl IntoResponse {
    if !console.metrics.lives() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the loop does not go round\n".to_owned());
    }
    // It lives all the same: nobody should start it again for that.
    let mistakes = console.project.mistakes().len();
    let more = match mistakes {
        0 => String::new(),
        mistakes => {
            format!("{} in the project, and what has them stands as it was\n", count(mistakes, "mistake"))
        }
    };
    (StatusCode::OK, format!("ok\n{more}"))
}

pub(super) async fn metrics(State(console): State<Arc<Console>>) -> Result<impl IntoResponse, Refused> {
    let text = blocking(move || Ok(console.metrics.text(&*console.journals)?)).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}
