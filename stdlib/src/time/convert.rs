//! Computing with instants and lengths of time: pure, whatever the clock says.

use aegis_engine::function::{Context, Description, Effect, HostFunction};
use aegis_engine::{CallError, Period};
use async_trait::async_trait;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::{Span, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::instant::{Instant, shown, zone};

const fn pure(name: &'static str) -> Description {
    Description { pure: true, undo: "none: nothing changes", ..Description::of(name, Effect::Ambient) }
}

/// Arguments of `parse`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ParseArguments {
    /// The text.
    text: String,
    /// How the text is written, in `strptime` letters: `%d.%m.%Y %H:%M`. Default: RFC 3339.
    #[serde(default)]
    format: Option<String>,
    /// Zone of a text that names none. Default UTC.
    #[serde(default)]
    zone: Option<String>,
}

pub(super) struct Parse;

#[async_trait]
impl HostFunction for Parse {
    type Arguments = ParseArguments;

    fn describe() -> Description {
        Description {
            summary: "Reads an instant from a text in any format.",
            positional: &["text"],
            returns: "string: the instant in UTC",
            fails_when: "The text is not written in the format, or the zone is not known.",
            example: "time::parse(\"01.03.2026 13:00\", #{ format: \"%d.%m.%Y %H:%M\", zone: \"Europe/Berlin\" })",
            ..pure("parse")
        }
    }

    async fn perform(_: &Context, arguments: ParseArguments) -> Result<Value, CallError> {
        let format = arguments.format.as_deref().unwrap_or("%Y-%m-%dT%H:%M:%S%.f%:z");
        let wrong = || CallError::argument(format!("`{}` is not written as `{format}`", arguments.text));
        let read = strtime::parse(format, &arguments.text).map_err(|error| wrong().because(error))?;
        let instant = instant_of(&read, arguments.zone.as_deref())?.ok_or_else(wrong)?;
        Ok(Value::String(instant.to_string()))
    }
}

/// A text with an offset says the instant itself; one without is a wall clock in a zone, a date its midnight.
fn instant_of(read: &BrokenDownTime, named: Option<&str>) -> Result<Option<Timestamp>, CallError> {
    if let Ok(instant) = read.to_timestamp() {
        return Ok(Some(instant));
    }
    let Ok(date) = read.to_date() else { return Ok(None) };
    let wall = read
        .to_time()
        .map_or_else(|_| date.to_datetime(jiff::civil::Time::midnight()), |time| date.to_datetime(time));
    Ok(zone(named)?.to_timestamp(wall).ok())
}

/// Arguments of `format`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FormatArguments {
    /// The instant.
    instant: Instant,
    /// How to write it, in `strftime` letters: `%Y-%m-%d %H:%M %Z`.
    pattern: String,
    /// Zone to write it in. Default UTC.
    #[serde(default)]
    zone: Option<String>,
}

pub(super) struct Format;

#[async_trait]
impl HostFunction for Format {
    type Arguments = FormatArguments;

    fn describe() -> Description {
        Description {
            summary: "Writes an instant in any format.",
            positional: &["instant", "pattern"],
            returns: "string",
            fails_when: "The pattern has a letter that means nothing, or the zone is not known.",
            example: "time::format(\"2026-03-01T12:00:00Z\", \"%Y%m%d-%H%M\")",
            ..pure("format")
        }
    }

    async fn perform(_: &Context, arguments: FormatArguments) -> Result<Value, CallError> {
        let zoned = arguments.instant.0.to_zoned(zone(arguments.zone.as_deref())?);
        strtime::format(&arguments.pattern, &zoned).map(Value::String).map_err(|error| {
            CallError::argument(format!("`{}` is not a time format", arguments.pattern)).because(error)
        })
    }
}

/// Arguments of `add`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddArguments {
    /// The instant.
    instant: Instant,
    /// What to add: `90s`, `-2h`, `3d`, `1mo`, several together.
    duration: String,
    /// Zone in which days and months are counted: a day is 23 or 25 hours where clocks change. Default UTC.
    #[serde(default)]
    zone: Option<String>,
}

pub(super) struct Add;

#[async_trait]
impl HostFunction for Add {
    type Arguments = AddArguments;

    fn describe() -> Description {
        Description {
            summary: "Adds a length of time to an instant; a leading `-` takes it away.",
            positional: &["instant", "duration"],
            returns: "string: the instant in UTC",
            fails_when: "The length does not parse, or the result lies outside the years -9999 to 9999.",
            example: "time::add(\"2026-03-01T12:00:00Z\", \"-90m\")",
            ..pure("add")
        }
    }

    async fn perform(_: &Context, arguments: AddArguments) -> Result<Value, CallError> {
        let wrong = |cause: &dyn std::fmt::Display| {
            CallError::argument(format!("`{}` cannot be added", arguments.duration))
                .because(cause)
                .hint("write `90s`, `5m`, `1h 30m`, `3d`, `1mo` or `-2h`")
        };
        let span: Span = arguments.duration.parse().map_err(|error| wrong(&error))?;
        let zoned = arguments.instant.0.to_zoned(zone(arguments.zone.as_deref())?);
        let sum = zoned.checked_add(span).map_err(|error| wrong(&error))?;
        Ok(Value::String(sum.timestamp().to_string()))
    }
}

/// Arguments of `in_zone`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InZoneArguments {
    /// The instant.
    instant: Instant,
    /// IANA name of the zone: `America/New_York`.
    zone: String,
}

pub(super) struct InZone;

#[async_trait]
impl HostFunction for InZone {
    type Arguments = InZoneArguments;

    fn describe() -> Description {
        Description {
            summary: "Writes an instant as the clock on a wall in that zone shows it.",
            positional: &["instant", "zone"],
            returns: "string: the instant with the zone's offset",
            fails_when: "The zone is not known.",
            example: "time::in_zone(\"2026-07-01T12:00:00Z\", \"Europe/Berlin\")",
            ..pure("in_zone")
        }
    }

    async fn perform(_: &Context, arguments: InZoneArguments) -> Result<Value, CallError> {
        Ok(Value::String(shown(arguments.instant.0, &zone(Some(&arguments.zone))?)))
    }
}

/// Arguments of `seconds`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecondsArguments {
    /// The length of time: `1h 30m`.
    duration: Period,
}

pub(super) struct Seconds;

#[async_trait]
impl HostFunction for Seconds {
    type Arguments = SecondsArguments;

    fn describe() -> Description {
        Description {
            summary: "Turns a length of time into seconds.",
            positional: &["duration"],
            returns: "number: seconds, an int when they are whole",
            fails_when: "The text is not a length of time.",
            example: "time::seconds(\"1h 30m\")",
            ..pure("seconds")
        }
    }

    async fn perform(_: &Context, arguments: SecondsArguments) -> Result<Value, CallError> {
        let length = arguments.duration.0;
        let whole = length.subsec_nanos() == 0;
        Ok(if whole { Value::from(length.as_secs()) } else { Value::from(length.as_secs_f64()) })
    }
}

/// Arguments of `human`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HumanArguments {
    /// Seconds, not negative.
    seconds: f64,
}

pub(super) struct Human;

#[async_trait]
impl HostFunction for Human {
    type Arguments = HumanArguments;

    fn describe() -> Description {
        Description {
            summary: "Writes seconds as people read them.",
            positional: &["seconds"],
            returns: "string: `1h 30m`",
            fails_when: "The number is negative.",
            example: "time::human(5400)",
            ..pure("human")
        }
    }

    async fn perform(_: &Context, arguments: HumanArguments) -> Result<Value, CallError> {
        let length = std::time::Duration::try_from_secs_f64(arguments.seconds).map_err(|_| {
            CallError::argument(format!("`{}` seconds are not a length of time", arguments.seconds))
        })?;
        Ok(Value::String(Period(length).to_string()))
    }
}
