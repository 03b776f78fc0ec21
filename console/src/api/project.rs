//! The project as it was last read: what is wrong with it, which stands as it was until it is mended.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::Console;

pub(super) async fn show(State(console): State<Arc<Console>>) -> Json<Value> {
    Json(json!({ "mistakes": console.project.mistakes(), "shut": console.project.gates().are_shut }))
}
