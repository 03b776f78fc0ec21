//! Asking webhooks: the questions and answers of one write, and what an answer does to the object.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Denial, Operation, Request, Tally};
use crate::client;

/// What the webhooks have said about one write, and which of them is to be asked next.
#[derive(Debug, Default)]
pub struct Webhooks {
    answers: Mutex<HashMap<String, Result<Value, String>>>,
    next: Mutex<Option<Question>>,
    changed: AtomicBool,
    /// Who was taken to say yes.
    assumed: Mutex<BTreeSet<String>>,
    tally: Tally,
}

/// One webhook that has to be asked.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) key: String,
    pub(super) place: String,
    pub(super) url: String,
    /// A port of this machine to connect to in place of the URL's host.
    pub(super) connect: Option<u16>,
    pub(super) bundle: String,
    pub(super) timeout: Duration,
    pub(super) review: Value,
}

impl Webhooks {
    /// For one request to a cluster with this tally.
    pub fn counting(tally: &Tally) -> Self {
        Self { tally: tally.clone(), ..Self::default() }
    }

    /// A webhook is taken to say yes; once for a request, however often it is made again.
    pub(super) fn assume(&self, place: &str) {
        if lock(&self.assumed).insert(place.to_owned()) {
            self.tally.add_assumed(place);
        }
    }

    /// What a webhook said; when it was not asked yet, its question is kept to be asked next.
    pub(super) fn answer_of(
        &self,
        key: &str,
        question: impl FnOnce() -> Question,
    ) -> Option<Result<Value, String>> {
        let answer = lock(&self.answers).get(key).cloned();
        if answer.is_none() {
            *lock(&self.next) = Some(question());
        }
        answer
    }

    /// Asks the webhook that stopped the last attempt; answers whether there was one.
    pub async fn ask_next(&self) -> bool {
        let Some(question) = lock(&self.next).take() else { return false };
        let answer = ask(&question).await;
        self.tally.add_called(&question.place);
        lock(&self.answers).insert(question.key, answer);
        true
    }

    /// A webhook changed the object: what it added needs defaults.
    pub(super) fn note_change(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Whether a webhook changed the object.
    pub(super) fn changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// Whether a webhook changed the object since this was last asked.
    pub fn take_change(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn ask(question: &Question) -> Result<Value, String> {
    let authority = client::bundle(&question.bundle);
    let request = client::Request {
        method: "POST",
        url: &question.url,
        connect: question.connect.map(|port| (std::net::Ipv4Addr::LOCALHOST, port).into()),
        authority: authority.as_deref(),
        token: None,
        body: Some(question.review.to_string()),
    };
    let told = |problem: &dyn std::fmt::Display| format!("Post {:?}: {problem}", question.url);
    let answered = tokio::time::timeout(question.timeout, client::send(&request)).await;
    let (code, body) =
        answered.map_err(|_| told(&"context deadline exceeded"))?.map_err(|error| told(&error))?;
    if !(200..300).contains(&code) {
        return Err(format!("the server rejected our request for an unknown reason (code {code})"));
    }
    let review: Value = serde_json::from_slice(&body).map_err(|error| told(&error))?;
    let response = &review["response"];
    let expected = &question.review["request"]["uid"];
    match response["allowed"].is_boolean() && response["uid"] == *expected {
        true => Ok(response.clone()),
        false => Err(format!(
            "received invalid webhook response: expected response.uid={expected}, got {}",
            response["uid"]
        )),
    }
}

/// The question as webhooks read it.
pub(super) fn review(request: &Request<'_>, object: &Value) -> Value {
    let kind = request.kind;
    let (group, version, spoken) = request.speaks();
    let named = json!({ "group": group, "version": version, "kind": spoken });
    let resource = json!({ "group": kind.group, "version": kind.version, "resource": kind.plural });
    let options = request.operation.options();
    let mut asked = json!({
        "uid": request.store.ambient().uid("admission"), "kind": named, "resource": resource,
        "requestKind": named, "requestResource": resource,
        "name": request.object_name(object), "namespace": request.namespace,
        "operation": request.operation.name(),
        "userInfo": request.user, "object": object, "oldObject": request.old, "dryRun": request.dry_run,
        "options": options.map(|kind| json!({ "kind": kind, "apiVersion": "meta.k8s.io/v1" })),
    });
    if request.operation == Operation::Connect {
        asked["oldObject"] = Value::Null;
    }
    if !request.subresource.is_empty() {
        asked["subResource"] = request.subresource.into();
        asked["requestSubResource"] = request.subresource.into();
    }
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked })
}

/// What an answer does: warns, refuses, or changes the object, and then it says so. What is deleted cannot be changed.
pub(super) fn take(
    place: &str,
    name: &str,
    response: &Value,
    object: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<bool, Denial> {
    warnings.extend(
        response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned),
    );
    if response["allowed"] == false {
        return Err(refused(name, &response["status"]));
    }
    let patch = response["patch"].as_str().filter(|_| place.starts_with("mutating") && object.is_object());
    let Some(patch) = patch else { return Ok(false) };
    let broken = |problem: String| Denial::Webhook(format!("failed calling webhook {name:?}: {problem}"));
    let text = STANDARD.decode(patch).map_err(|error| broken(error.to_string()))?;
    let patch: json_patch::Patch =
        serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
    json_patch::patch(object, &patch).map_err(|error| broken(error.to_string()))?;
    Ok(true)
}

fn refused(name: &str, status: &Value) -> Denial {
    let denied = format!("admission webhook {name:?} denied the request");
    let text = |field: &str| status[field].as_str().filter(|text| !text.is_empty());
    let sentence = match text("message").or_else(|| text("reason")) {
        Some(why) => format!("{denied}: {why}"),
        None => format!("{denied} without explanation"),
    };
    // A refusal is never a success, whatever its author wrote.
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
    Denial::Refused {
        code: code.unwrap_or(400),
        reason: text("reason").unwrap_or_default().to_owned(),
        sentence,
    }
}
