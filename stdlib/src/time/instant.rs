//! Instants and zones as arguments.

use std::borrow::Cow;

use aegis_engine::CallError;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// A point in time: RFC 3339 or RFC 9557 text, or whole seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instant(pub(super) Timestamp);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Seconds(i64),
            Text(String),
        }
        let wrong = |text: &str| {
            serde::de::Error::custom(format!("`{text}` is not an instant; write `2026-03-01T12:00:00Z`"))
        };
        match Form::deserialize(deserializer)? {
            Form::Seconds(seconds) => {
                Timestamp::from_second(seconds).map(Self).map_err(|_| wrong(&seconds.to_string()))
            }
            Form::Text(text) => instant(&text).map(Self).ok_or_else(|| wrong(&text)),
        }
    }
}

impl JsonSchema for Instant {
    fn schema_name() -> Cow<'static, str> {
        "Instant".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"] })
    }
}

fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<Zoned>().ok().map(|zoned| zoned.timestamp()))
}

/// The zone by its IANA name; none means UTC.
pub(super) fn zone(name: Option<&str>) -> Result<TimeZone, CallError> {
    let name = name.unwrap_or("UTC");
    TimeZone::get(name).map_err(|_| {
        CallError::argument(format!("`{name}` is not a time zone this machine knows"))
            .hint("use an IANA name like `Europe/Berlin`; the names come from the machine's `tzdata`")
    })
}

/// UTC as `2026-03-01T12:00:00Z`; any other zone with its offset.
pub(super) fn shown(instant: Timestamp, zone: &TimeZone) -> String {
    if *zone == TimeZone::UTC {
        return instant.to_string();
    }
    let offset = zone.to_offset(instant);
    instant.display_with_offset(offset).to_string()
}
