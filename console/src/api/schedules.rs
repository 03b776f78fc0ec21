//! Schedules: when each runs, what became of its instants, and what people decide about it.

use std::collections::HashMap;
use std::sync::Arc;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::journal::Person;
use aegis_engine::text::did_you_mean;
use aegis_scheduler::store::Pause;
use aegis_scheduler::trigger::Event;
use aegis_scheduler::{Keeper, Record, Schedule, explain as explained};
use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Refused, blocking};
use super::asking::{Asked, Body, Named, NoBody};
use crate::Console;
use crate::token::Holder;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Most {
    limit: Option<usize>,
}

pub(super) async fn list(State(console): State<Arc<Console>>) -> Answer<Vec<Value>> {
    blocking(move || {
        let (mut pauses, now) = (HashMap::new(), console.clock.now());
        console.records.progress(None, &mut |progress| {
            pauses.extend(progress.pause.map(|pause| (progress.schedule.to_owned(), pause)));
        })?;
        let line = |schedule: &Arc<Schedule>| {
            let mut value = about(schedule);
            value["next"] = json!(schedule.next_after(now).map(|due| due.instant));
            value["pause"] = json!(pauses.get(&*schedule.name));
            value["last"] = json!(console.records.history(Some(&schedule.name), 1)?.pop());
            Ok(value)
        };
        console.project.schedules().iter().map(line).collect::<Result<_, Refused>>().map(Json)
    })
    .await
}

fn about(schedule: &Schedule) -> Value {
    json!({
        "schedule": &*schedule.name,
        "runbook": &*schedule.runbook,
        "target": &*schedule.target,
        "when": schedule.when.text(),
        "zone": schedule.zone.iana_name().unwrap_or("UTC"),
        "paused": schedule.paused.as_deref(),
    })
}

pub(super) async fn explain(
    State(console): State<Arc<Console>>,
    Named(name): Named,
    Asked(most): Asked<Most>,
) -> Answer<Value> {
    blocking(move || {
        let schedule = find(&console, &name)?;
        let (gates, now) = (console.project.gates(), console.clock.now());
        let next = explained::next(&schedule, &gates, now, most.limit.unwrap_or(5).min(1000));
        let mut value = about(&schedule);
        value["rules"] = json!(schedule.when.rules());
        value["next"] = json!(next);
        value["changes"] = json!(explained::changes(&schedule, &gates, now));
        Ok(Json(value))
    })
    .await
}

pub(super) async fn history(
    State(console): State<Arc<Console>>,
    Named(name): Named,
    Asked(most): Asked<Most>,
) -> Answer<Vec<Record>> {
    blocking(move || {
        let records = console.records.history(Some(&name), most.limit.unwrap_or(20))?;
        if records.is_empty() {
            find(&console, &name)?;
        }
        Ok(Json(records))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    reason: String,
}

pub(super) async fn pause(
    State(console): State<Arc<Console>>,
    Named(name): Named,
    Extension(holder): Extension<Option<Holder>>,
    Body(Reason { reason }): Body<Reason>,
) -> Answer<Pause> {
    if reason.trim().is_empty() {
        return Err(Refused::wrong("a pause needs a reason", "say why: who finds it paused wants to know"));
    }
    blocking(move || {
        let schedule = find(&console, &name)?;
        let person = person(holder);
        let pause = Pause { person, reason, at: console.clock.now() };
        console.records.set_pause(&schedule.name, Some(&pause))?;
        Ok(Json(pause))
    })
    .await
}

/// What it kept back gets its records by whoever serves it, so nothing is caught up.
pub(super) async fn resume(
    State(console): State<Arc<Console>>,
    Named(name): Named,
    _: NoBody,
) -> Answer<Value> {
    blocking(move || {
        let schedule = find(&console, &name)?;
        if let Some(why) = &schedule.paused {
            let hint = "take `paused` out of where the schedule is written";
            return Err(Refused::wrong(format!("`{name}` says itself that it is paused: {why}"), hint));
        }
        Keeper::settle_paused(&*console.records, &schedule, console.clock.now())?;
        console.records.set_pause(&schedule.name, None)?;
        Ok(Json(json!({ "schedule": name, "pause": null })))
    })
    .await
}

/// Decided by the same rules as its own instants, and recorded with them.
pub(super) async fn run_now(
    State(console): State<Arc<Console>>,
    Named(name): Named,
    Extension(holder): Extension<Option<Holder>>,
    _: NoBody,
) -> Answer<Record> {
    blocking(move || {
        let schedule = find(&console, &name)?;
        if schedule.when.is_event() {
            let hint = format!("`POST /v1/triggers/{name}`");
            return Err(Refused::wrong(format!("`{name}` is a trigger: hand an event to it"), hint));
        }
        let by = person(holder).0;
        let event = Event {
            trigger: Arc::clone(&schedule.name),
            key: by.clone(),
            instant: Some(console.clock.now()),
            by: Some(by),
            given: std::collections::BTreeMap::new(),
            rate: None,
            hindered: None,
        };
        Ok(Json(console.intake.fire(event)?))
    })
    .await
}

fn person(holder: Option<Holder>) -> Person {
    Person(holder.map(|holder| holder.name).unwrap_or_default())
}

fn find(console: &Console, name: &str) -> Result<Arc<Schedule>, Refused> {
    console.project.schedule(name).ok_or_else(|| {
        let known = console.project.schedules();
        let hint = did_you_mean(name, known.iter().map(|schedule| &*schedule.name));
        CallError::new(codes::NOT_FOUND, format!("there is no schedule `{name}`"))
            .hint(hint.unwrap_or_else(|| "`GET /v1/schedules` lists them".to_owned()))
            .into()
    })
}
