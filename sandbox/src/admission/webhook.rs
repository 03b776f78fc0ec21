//! Admission webhooks: who is asked, in what order, and what becomes of the answer.
//!
//! A webhook by URL is called, and so is one behind a Service whose pod runs a program (a process pod). One
//! behind a Service of simulated pods is taken to answer "allowed" once a pod is ready, or when no pod can ever
//! stand there; before that it fails as it does on a real cluster, and its failure policy decides. Whoever is
//! taken to say yes is counted (`Tally`). Istio's injector does its part when it is taken to answer.
//!
//! A write holds the store, and nobody may wait for a server meanwhile: a question that has no answer yet stops
//! the write, is asked, and the write is made again with the answer (see `Webhooks`).

use super::answer::{self, Question};
use super::facts::Facts;
use super::matching::{Matched, Scope, matched};
use super::service::{Behind, behind};
use super::{Denial, Request, items, name_of};
use crate::api;
use crate::kinds::Kind;
use crate::players::injection;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const GROUP: &str = "admissionregistration.k8s.io";

/// One webhook of one configuration that a request concerns.
struct Webhook<'a> {
    /// `mutatingwebhookconfigurations/NAME/WEBHOOK`.
    place: String,
    definition: &'a Value,
    /// The version of the object it is shown, when that is not the request's.
    version: Option<Arc<Kind>>,
}

pub(super) fn mutate(
    request: &Request<'_>,
    object: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), Denial> {
    // What each that wants to look again has seen at last.
    let mut seen: Vec<(String, Value)> = Vec::new();
    each(request, "mutatingwebhookconfigurations", object, |webhook, object| {
        ask(request, webhook, "", object, warnings)?;
        if webhook.definition["reinvocationPolicy"] == "IfNeeded" {
            seen.push((webhook.place.clone(), object.clone()));
        }
        Ok(())
    })?;
    each(request, "mutatingwebhookconfigurations", object, |webhook, object| {
        let changed_since = seen.iter().any(|(place, last)| *place == webhook.place && last != object);
        if changed_since { ask(request, webhook, "again", object, warnings) } else { Ok(()) }
    })
}

pub(super) fn validate(
    request: &Request<'_>,
    object: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), Denial> {
    each(request, "validatingwebhookconfigurations", object, |webhook, object| {
        ask(request, webhook, "", object, warnings)
    })
}

/// Does something with every webhook that is to be asked, in order.
fn each(
    request: &Request<'_>,
    plural: &str,
    object: &mut Value,
    mut visit: impl FnMut(&Webhook<'_>, &mut Value) -> Result<(), Denial>,
) -> Result<(), Denial> {
    // Configurations cannot keep themselves from being changed.
    if request.kind.group == GROUP {
        return Ok(());
    }
    for configuration in request.all(GROUP, plural) {
        for definition in items(&configuration, "/webhooks") {
            let place = format!("{plural}/{}/{}", name_of(&configuration), name_of_webhook(definition));
            let Some(version) = concerned(request, definition, object)? else { continue };
            visit(&Webhook { place, definition, version }, object)?;
        }
    }
    Ok(())
}

/// Whether a webhook's rules, selectors and conditions are about this request, and in which version.
fn concerned(
    request: &Request<'_>,
    webhook: &Value,
    object: &Value,
) -> Result<Option<Option<Arc<Kind>>>, Denial> {
    let version = match matched(request, items(webhook, "/rules"), &webhook["matchPolicy"]) {
        None => return Ok(None),
        Some(Matched::AsAsked) => None,
        Some(Matched::As(kind)) => Some(kind),
    };
    let wanted = Scope::of(webhook).includes(request, object) && conditions_hold(request, webhook, object)?;
    Ok(wanted.then_some(version))
}

/// All conditions have to hold. One that is false settles it; else one that cannot be told counts as a failure.
fn conditions_hold(request: &Request<'_>, webhook: &Value, object: &Value) -> Result<bool, Denial> {
    let conditions = items(webhook, "/matchConditions");
    if conditions.is_empty() {
        return Ok(true);
    }
    let facts = Facts::of(request, object);
    let told: Vec<_> = conditions
        .iter()
        .map(|condition| (condition, facts.holds(condition["expression"].as_str().unwrap_or_default())))
        .collect();
    if told.iter().any(|(_, holds)| *holds == Some(false)) {
        return Ok(false);
    }
    match told.iter().find(|(_, holds)| holds.is_none()) {
        None => Ok(true),
        Some(_) if may_fail(webhook) => Ok(false),
        Some((condition, _)) => Err(Denial::Webhook(format!(
            "failed evaluating match condition {} of webhook {:?}",
            condition["name"],
            name_of_webhook(webhook)
        ))),
    }
}

fn ask(
    request: &Request<'_>,
    webhook: &Webhook<'_>,
    turn: &str,
    object: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), Denial> {
    let name = name_of_webhook(webhook.definition);
    let is_harmless = matches!(webhook.definition["sideEffects"].as_str(), Some("None" | "NoneOnDryRun"));
    if request.dry_run && !is_harmless {
        return Err(Denial::NoDryRun(name.to_owned()));
    }
    let problem = match call(request, webhook, turn, object) {
        Call::Assumed => {
            request.webhooks.assume(&webhook.place);
            let injects = webhook.place.starts_with("mutating") && injection::is_injector(webhook.definition);
            if injects && request.creates("", "Pod") {
                injection::inject(object);
                request.webhooks.note_change();
            }
            return Ok(());
        }
        Call::Unasked => return Err(Denial::Unasked),
        Call::Answered(Ok(review)) => return take(request, webhook, &review, object, warnings),
        Call::Answered(Err(problem)) | Call::Fails(problem) => problem,
    };
    if may_fail(webhook.definition) {
        tracing::debug!(webhook = name, problem, "an admission webhook is ignored");
        return Ok(());
    }
    Err(Denial::Webhook(format!("failed calling webhook {name:?}: failed to call webhook: {problem}")))
}

/// What an answer does to the object, in the version the webhook was shown.
fn take(
    request: &Request<'_>,
    webhook: &Webhook<'_>,
    review: &Value,
    object: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), Denial> {
    let name = name_of_webhook(webhook.definition);
    let mut shown = shown(webhook, object);
    if answer::take(&webhook.place, name, review, &mut shown, warnings)? {
        request.webhooks.note_change();
        *object = match &webhook.version {
            Some(version) => api::converted(shown, version, request.kind),
            None => shown,
        };
    }
    Ok(())
}

/// An object as a webhook is shown it.
fn shown(webhook: &Webhook<'_>, object: &Value) -> Value {
    match &webhook.version {
        Some(version) if object.is_object() => {
            api::served(&Arc::new(object.clone()), version).as_ref().clone()
        }
        _ => object.clone(),
    }
}

fn may_fail(webhook: &Value) -> bool {
    webhook["failurePolicy"] == "Ignore"
}

fn name_of_webhook(webhook: &Value) -> &str {
    webhook["name"].as_str().unwrap_or_default()
}

/// How a webhook stands towards a request.
enum Call {
    /// It cannot be called and is taken to say yes.
    Assumed,
    /// It has to be asked, which nobody can do while the store is held.
    Unasked,
    /// It was asked.
    Answered(Result<Value, String>),
    /// It cannot be called, and would not be on a real cluster.
    Fails(String),
}

fn call(request: &Request<'_>, webhook: &Webhook<'_>, turn: &str, object: &Value) -> Call {
    let config = &webhook.definition["clientConfig"];
    let timeout = webhook.definition["timeoutSeconds"].as_u64().unwrap_or(10);
    let really = |url: &str, connect: Option<u16>| {
        // A collection is deleted object by object.
        let key = format!("{} {turn} {}", webhook.place, request.object_name(object));
        let question = || Question {
            key: key.clone(),
            place: webhook.place.clone(),
            url: url.to_owned(),
            connect,
            bundle: config["caBundle"].as_str().unwrap_or_default().to_owned(),
            timeout: Duration::from_secs(timeout),
            review: review(request, webhook, object),
        };
        request.webhooks.answer_of(&key, question).map_or(Call::Unasked, Call::Answered)
    };
    if let Some(url) = config["url"].as_str() {
        return really(&format!("{url}?timeout={timeout}s"), None);
    }
    let service = &config["service"];
    let text = |field: &str| service[field].as_str().unwrap_or_default();
    let (name, namespace) = (text("name"), text("namespace"));
    let port = service["port"].as_i64().unwrap_or(443);
    let address = format!("https://{name}.{namespace}.svc:{port}{}?timeout={timeout}s", text("path"));
    match behind(request, namespace, name, port) {
        Behind::Program(local) => really(&address, Some(local)),
        Behind::Nobody => Call::Assumed,
        Behind::NotYet(why) => Call::Fails(format!("Post {address:?}: {why}")),
    }
}

fn review(request: &Request<'_>, webhook: &Webhook<'_>, object: &Value) -> Value {
    let mut review = answer::review(request, &shown(webhook, object));
    if let Some(version) = &webhook.version {
        let asked = &mut review["request"];
        for named in ["kind", "resource"] {
            asked[named]["group"] = version.group.clone().into();
            asked[named]["version"] = version.version.clone().into();
        }
        asked["kind"]["kind"] = version.kind.clone().into();
        asked["resource"]["resource"] = version.plural.clone().into();
        if let Some(old) = request.old {
            asked["oldObject"] = shown(webhook, old);
        }
    }
    review
}
