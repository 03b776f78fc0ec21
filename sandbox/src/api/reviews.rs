//! Kinds that are asked and never stored: who am I, may I, whose token is this.

use axum::response::Response;
use serde_json::{Value, json};

use super::answer::{Listed, list_response, value_response};
use super::auth::{Attempt, User};
use super::query::WriteOptions;
use super::status::{Cause, Status};
use super::write::Draft;
use super::{Api, Call, decode};

impl Api {
    pub(super) fn review(&self, call: &Call) -> Result<Response, Status> {
        let kind = &call.path.kind;
        if kind.plural == "componentstatuses" {
            return self.component_statuses(call);
        }
        if !kind.verbs.contains(&"create") {
            return self.metrics(call);
        }
        let mut review = decode::object(&call.headers, &call.body, kind)?.object;
        review["kind"] = kind.kind.clone().into();
        review["apiVersion"] = kind.api_version().into();
        if !review["metadata"].is_object() {
            review["metadata"] = json!({});
        }
        if kind.kind != "SelfSubjectReview" && kind.kind != "Binding" {
            // What is asked is the specification; the rest of what a client sends is not looked at.
            for field in ["creationTimestamp", "generation"] {
                super::write::remove(&mut review["metadata"], field);
            }
            super::write::remove(&mut review, "status");
            let options = WriteOptions::read(&call.query, "CreateOptions")?;
            Draft::new(call, "", &options).own(None, &mut review, &self.store().ambient().timestamp());
        }
        match &*kind.kind {
            "SelfSubjectAccessReview" => review["status"] = self.access(&call.user, &review["spec"]),
            "SubjectAccessReview" | "LocalSubjectAccessReview" => {
                let user = reviewed_user(&review["spec"], &kind.kind)?;
                review["status"] = self.access(&user, &review["spec"]);
            }
            "SelfSubjectRulesReview" => {
                // The answer repeats nothing of the question.
                let status = self.rules(&call.user, &review["spec"]);
                review["metadata"] = json!({});
                review["spec"] = json!({});
                review["status"] = status;
            }
            "SelfSubjectReview" => {
                review["metadata"] = json!({"creationTimestamp": self.store().ambient().timestamp()});
                review["status"] = json!({"userInfo": user_info(&call.user)});
            }
            "TokenReview" => review["status"] = self.token_review(&review["spec"]),
            "Binding" => {
                let name = review["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                return self.bind(call, &name, review);
            }
            other => return Err(Status::not_implemented(&format!("`{other}`"))),
        }
        value_response(call, 201, &review)
    }

    fn access(&self, user: &User, spec: &Value) -> Value {
        let decision = self.allows(user, &Attempt::of_review(spec));
        let mut status = json!({"allowed": decision.is_allowed});
        if !decision.reason.is_empty() {
            status["reason"] = decision.reason.into();
        }
        status
    }

    fn rules(&self, user: &User, spec: &Value) -> Value {
        let namespace = spec["namespace"].as_str().unwrap_or_default();
        let rules = self.rules_for(user, namespace);
        let (paths, resources): (Vec<Value>, Vec<Value>) =
            rules.into_iter().partition(|rule| rule["nonResourceURLs"].is_array());
        json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
    }

    fn token_review(&self, spec: &Value) -> Value {
        match self.user_of_token(spec["token"].as_str().unwrap_or_default()) {
            None => json!({"user": {}, "error": "invalid bearer token"}),
            Some(user) => {
                let audiences = spec["audiences"].as_array().cloned();
                let audiences = audiences.unwrap_or_else(|| vec![Self::default_audience().into()]);
                json!({"authenticated": true, "user": user_info(&user), "audiences": audiences})
            }
        }
    }

    /// The parts of a control plane that old clients ask about.
    fn component_statuses(&self, call: &Call) -> Result<Response, Status> {
        let item = |name: &str, status: &str, message: &str| {
            json!({
                "kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name},
                "conditions": [{"type": "Healthy", "status": status, "message": message}],
            })
        };
        // They are asked at the server's own address, where on any cluster of today nobody listens.
        let refused = |port: u16| {
            format!(
                "Get \"https://127.0.0.1:{port}/healthz\": dial tcp 127.0.0.1:{port}: connect: connection refused"
            )
        };
        let items = [
            item("scheduler", "False", &refused(10259)),
            item("controller-manager", "False", &refused(10257)),
            item("etcd-0", "True", "ok"),
        ];
        match call.path.name.as_deref() {
            None => {
                let items = items.map(std::sync::Arc::new).map(Listed::Object);
                list_response(call, items, &json!({}))
            }
            Some(name) => {
                let found = items.into_iter().find(|item| item["metadata"]["name"] == name);
                let found = found.ok_or_else(|| Status::not_found(&call.path.kind, name))?;
                super::answer::object_response(call, 200, &found.into())
            }
        }
    }
}

pub(super) fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.clone().into();
    }
    if !user.credential.is_empty() {
        info["extra"] = json!({"authentication.kubernetes.io/credential-id": [user.credential]});
    }
    info
}

fn reviewed_user(spec: &Value, kind: &str) -> Result<User, Status> {
    let groups: Vec<String> = spec["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let name = spec["user"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() && groups.is_empty() {
        let cause =
            Cause::invalid("spec.user", &json!(""), "at least one of user or group must be specified");
        return Err(match kind {
            "SubjectAccessReview" => Status::invalid_named("authorization.k8s.io", "", "", &[cause]),
            _ => Status::invalid_named("authorization.k8s.io", kind, "", &[cause]),
        });
    }
    Ok(User { name, uid: String::new(), groups, credential: String::new() })
}
