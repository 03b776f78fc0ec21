//! What depends on the clock: the present, the time passed, and waits.

use std::time::Duration;

use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan};
use aegis_engine::{CallError, Period};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::instant::{Instant, shown, zone};

const NOTHING_CHANGES: &str = "none: nothing changes";

/// Arguments of `now`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NowArguments {
    /// Zone whose offset the text has. Default UTC.
    #[serde(default)]
    zone: Option<String>,
}

pub(super) struct Now;

#[async_trait]
impl HostFunction for Now {
    type Arguments = NowArguments;

    fn describe() -> Description {
        Description {
            summary: "Tells the time.",
            returns: "string: the instant, to the millisecond",
            undo: NOTHING_CHANGES,
            fails_when: "The zone is not known.",
            example: "time::now()",
            ..Description::of("now", Effect::Ambient)
        }
    }

    async fn perform(context: &Context, arguments: NowArguments) -> Result<Value, CallError> {
        let now = context.now();
        let rounded = now.round(jiff::Unit::Millisecond).unwrap_or(now);
        Ok(Value::String(shown(rounded, &zone(arguments.zone.as_deref())?)))
    }
}

/// Arguments of `sleep`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SleepArguments {
    /// How long to wait.
    duration: Period,
}

pub(super) struct Sleep;

#[async_trait]
impl HostFunction for Sleep {
    type Arguments = SleepArguments;

    fn describe() -> Description {
        Description {
            summary: "Waits for a length of time; cancelling the run ends the wait.",
            positional: &["duration"],
            returns: "()",
            undo: NOTHING_CHANGES,
            fails_when: "Never; a timeout of the step may end it.",
            example: "time::sleep(\"10ms\")",
            waits: true,
            ..Description::of("sleep", Effect::Ambient)
        }
    }

    async fn plan(_: &Context, arguments: &SleepArguments) -> Result<Plan, CallError> {
        Ok(Plan::new(format!("wait {}", arguments.duration)))
    }

    async fn perform(context: &Context, arguments: SleepArguments) -> Result<Value, CallError> {
        wait(context, arguments.duration.0).await;
        Ok(Value::Null)
    }
}

/// Arguments of `sleep_until`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SleepUntilArguments {
    /// When to go on; an instant that has passed does not wait.
    instant: Instant,
}

pub(super) struct SleepUntil;

#[async_trait]
impl HostFunction for SleepUntil {
    type Arguments = SleepUntilArguments;

    fn describe() -> Description {
        Description {
            summary: "Waits until an instant; a resumed run waits for the rest only.",
            positional: &["instant"],
            returns: "()",
            undo: NOTHING_CHANGES,
            fails_when: "Never; a timeout of the step may end it.",
            example: "time::sleep_until(time::now())",
            waits: true,
            ..Description::of("sleep_until", Effect::Ambient)
        }
    }

    async fn plan(_: &Context, arguments: &SleepUntilArguments) -> Result<Plan, CallError> {
        Ok(Plan::new(format!("wait until {}", arguments.instant.0)))
    }

    async fn perform(context: &Context, arguments: SleepUntilArguments) -> Result<Value, CallError> {
        let left = arguments.instant.0.duration_since(context.now());
        wait(context, Duration::try_from(left).unwrap_or_default()).await;
        Ok(Value::Null)
    }
}

/// A wait long enough to make a person wonder says until when it lasts.
async fn wait(context: &Context, length: Duration) {
    if context.planning() || length.is_zero() {
        return;
    }
    if length >= Duration::from_secs(2)
        && let Ok(end) = context.now().checked_add(length)
    {
        context.progress(format!("waiting until {end:.0}"));
    }
    context.pause(length).await;
}

/// Arguments of `since`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SinceArguments {
    /// The earlier instant.
    instant: Instant,
    /// The later instant. Default: now.
    #[serde(default)]
    until: Option<Instant>,
}

pub(super) struct Since;

#[async_trait]
impl HostFunction for Since {
    type Arguments = SinceArguments;

    fn describe() -> Description {
        Description {
            summary: "Tells how much time passed since an instant.",
            positional: &["instant", "until"],
            returns: "number: seconds, negative when the instant lies ahead",
            undo: NOTHING_CHANGES,
            fails_when: "A text is not an instant.",
            example: "time::since(\"2026-03-01T12:00:00Z\", \"2026-03-01T12:05:00Z\")",
            ..Description::of("since", Effect::Ambient)
        }
    }

    async fn perform(context: &Context, arguments: SinceArguments) -> Result<Value, CallError> {
        let until = arguments.until.map_or_else(|| context.now(), |until| until.0);
        Ok(Value::from(until.duration_since(arguments.instant.0).as_secs_f64()))
    }
}
