//! `token`: what a service account proves itself with.

use axum::response::Response;
use serde_json::{Value, json};

use crate::admission::Operation;
use crate::api::admit::admit_sent;
use crate::api::answer::value_response;
use crate::api::status::{Cause, Status};
use crate::api::write::user_agent;
use crate::api::{Api, Call, decode};

const DEFAULT_SECONDS: i64 = 3600;
const SHORTEST_SECONDS: i64 = 600;

impl Api {
    pub(super) fn token(&self, call: &Call) -> Result<Response, Status> {
        let account = self.find(call)?;
        let mut request = decode::object(&call.headers, &call.body, &call.path.kind)?.object;
        self.store().rehearse(|t| admit_sent(t, call, Operation::Create, &mut request, false))?;
        let asks_audiences = request["spec"]["audiences"].is_array();
        let spec = &mut request["spec"];
        let seconds = spec["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
        if seconds < SHORTEST_SECONDS {
            let detail = "may not specify a duration less than 10 minutes";
            let cause = Cause::invalid("spec.expirationSeconds", &json!(seconds), detail);
            return Err(Status::invalid_named("authentication.k8s.io", "TokenRequest", "", &[cause]));
        }
        let mut audiences: Vec<String> = spec["audiences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        if audiences.is_empty() {
            audiences.push(Self::default_audience());
        }
        let (token, expires) = self.issue_token(&account, &audiences, seconds, &spec["boundObjectRef"]);
        let metadata = &account["metadata"];
        let answer = json!({
            "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
            "metadata": {
                "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
                "creationTimestamp": self.store().ambient().timestamp(),
                "managedFields": [asked(call, asks_audiences, &self.store().ambient().timestamp())],
            },
            "spec": {
                "audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": spec["boundObjectRef"],
            },
            "status": {"token": token, "expirationTimestamp": expires},
        });
        value_response(call, 201, &answer)
    }
}

/// The entry of whoever asked: the lifetime has a default, audiences have none.
fn asked(call: &Call, asks_audiences: bool, time: &str) -> Value {
    let mut spec = json!({"f:expirationSeconds": {}});
    if asks_audiences {
        spec["f:audiences"] = json!({});
    }
    json!({
        "manager": user_agent(call), "operation": "Update", "apiVersion": "authentication.k8s.io/v1", "time": time,
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": spec}, "subresource": "token",
    })
}
