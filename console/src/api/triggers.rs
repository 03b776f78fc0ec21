//! Triggers: events from outside. Who sends proves who they are by a signature, or by a token of the role `trigger`.

use std::sync::Arc;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::text::did_you_mean;
use aegis_scheduler::trigger::payload::{Part, alerts};
use aegis_scheduler::trigger::{Answer as Came, Signature, Source, Trigger};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{Answer, Refused, blocking};
use super::asking::{Named, Whole, read_json};
use crate::token::Holder;
use crate::{Console, Role};

pub(super) async fn list(State(console): State<Arc<Console>>) -> Answer<Vec<Value>> {
    blocking(move || {
        let line = |trigger: &Arc<Trigger>| {
            let last = console.records.history(Some(&trigger.name), 1)?.pop();
            Ok(json!({ "trigger": &*trigger.name, "on": trigger.source.word(), "target": &*trigger.target, "last": last }))
        };
        console.project.triggers().iter().map(line).collect::<Result<_, Refused>>().map(Json)
    })
    .await
}

/// Takes what a sender says; each event of it has its record when the answer goes out.
pub(super) async fn receive(
    State(console): State<Arc<Console>>,
    Named(name): Named,
    Extension(holder): Extension<Option<Holder>>,
    headers: HeaderMap,
    Whole(body): Whole,
) -> Result<(StatusCode, Json<Value>), Refused> {
    // Who may not know the triggers learns nothing about which there are.
    let strange = || {
        Refused::unauthorized(
            CallError::new(codes::UNAUTHENTICATED, "this is not signed, and has no token that may do it")
                .hint("send a token of the role `trigger`, or sign it with the secret of the trigger"),
        )
    };
    let may = || holder.as_ref().is_some_and(|holder| holder.role.may(Role::Trigger));
    let unknown = || if may() { no_trigger(&console, &name) } else { strange() };
    let trigger = console.project.trigger(&name).ok_or_else(unknown)?;
    let parts = match &trigger.source {
        Source::Webhook { signature, variable } => signed(&console, *signature, variable, &headers, &body)?,
        Source::Alertmanager { status } => {
            may().then_some(()).ok_or_else(strange)?;
            let hint = "it takes what Alertmanager sends, version 4";
            alerts(&read_json(&body)?, *status).map_err(|why| Refused::wrong(why, hint))?
        }
        source @ (Source::Kubernetes { .. } | Source::S3 { .. }) => {
            may().then_some(()).ok_or_else(strange)?;
            let message = format!("`{name}` is on {}: it is not told of events", source.word());
            return Err(Refused::wrong(message, "aegis looks for them itself"));
        }
    };
    blocking(move || {
        let events: Vec<_> = parts.iter().filter_map(|part| trigger.event(part)).collect();
        let ignored = parts.len() - events.len();
        let mut records = Vec::with_capacity(events.len());
        for event in events {
            let came = console.intake.take(&trigger, event)?;
            console.metrics.event(&trigger.name, &came);
            records.push(json!({ "known": matches!(came, Came::Known(_)), "record": came.record() }));
        }
        Ok((StatusCode::ACCEPTED, Json(json!({ "events": records, "ignored": ignored }))))
    })
    .await
}

fn no_trigger(console: &Console, name: &str) -> Refused {
    let known = console.project.triggers();
    let hint = did_you_mean(name, known.iter().map(|trigger| &*trigger.name));
    CallError::new(codes::NOT_FOUND, format!("there is no trigger `{name}`"))
        .hint(hint.unwrap_or_else(|| "`aegis trigger ls` lists them".to_owned()))
        .into()
}

fn signed(
    console: &Console,
    signature: Signature,
    variable: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Vec<Part>, Refused> {
    let key = console.environment.get(variable).filter(|key| !key.is_empty()).ok_or_else(|| {
        CallError::new(
            codes::NOT_READY,
            format!("the key of this trigger is missing: `{variable}` is not set"),
        )
    })?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let verified = signature.verify(header, body, key, console.clock.now());
    let verified = verified.map_err(|why| {
        Refused::unauthorized(CallError::new(
            codes::UNAUTHENTICATED,
            format!("the webhook is not believed: {why}"),
        ))
    })?;
    Ok(vec![Part { value: read_json(body)?, key: verified.id, instant: verified.instant }])
}
