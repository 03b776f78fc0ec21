//! The paths below an object: status, scale, eviction, binding, logs, tokens and so on.

mod eviction;
mod log;
mod pods;
mod scale;
mod streams;
mod token;

pub(super) use self::pods::{TOPOLOGY, bind_in};
pub(super) use self::scale::{rescale, scale_of};

use axum::response::Response;
use serde_json::Value;

use super::status::Status;
use super::{Api, Call, Verb};

impl Api {
    pub(super) async fn subresource(&self, call: &Call, verb: Verb, name: &str) -> Result<Response, Status> {
        match (name, verb) {
            ("scale", Verb::Get) => self.scale(call),
            ("scale", Verb::Update) => self.update_scale(call),
            ("scale", Verb::Patch) => self.patch_scale(call),
            ("eviction", _) => self.evict(call),
            ("binding", _) => {
                let binding = super::decode::object(&call.headers, &call.body, &call.path.kind)?.object;
                self.bind(call, call.name(), binding)
            }
            ("token", _) => self.token(call),
            ("log", _) => self.log(call),
            ("exec" | "attach" | "portforward", _) => self.connect(call, name).await,
            ("proxy", _) => Err(Status::not_implemented("proxying to nodes, services and pods")),
            (_, Verb::Get) => self.get(call),
            (_, Verb::Update) => self.update_part(call, name),
            (_, Verb::Patch) => self.patch_part(call, name),
            _ => Err(Status::method_not_allowed()),
        }
    }
}

/// A number in an object; zero when there is none.
fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}
