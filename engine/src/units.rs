//! Durations and sizes as people write them: `5m`, `1h 30m`, `2 GiB`. Used in headers, options and configuration.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time: a string like `90s`, `5m`, `1h 30m`, `2d`, or a whole number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(pub Duration);

impl Period {
    /// From whole seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// From whole minutes.
    #[must_use]
    pub const fn minutes(minutes: u64) -> Self {
        Self(Duration::from_secs(minutes * 60))
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Self {
        period.0
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a duration; write `30s`, `5m`, `1h 30m` or `2d`");
        let (days, rest) = split_days(text).ok_or_else(wrong)?;
        if rest.is_empty() {
            return Ok(Self(days));
        }
        let signed: jiff::SignedDuration = rest.parse().map_err(|_| wrong())?;
        Duration::try_from(signed).map(|rest| Self(days + rest)).map_err(|_| wrong())
    }
}

/// Takes a leading `2d` off: a day is 24 hours here, as in every timeout.
fn split_days(text: &str) -> Option<(Duration, &str)> {
    let text = text.trim();
    match text.split_once('d') {
        Some((number, rest)) if number.trim().chars().all(|c| c.is_ascii_digit()) && !number.is_empty() => {
            let days: u64 = number.trim().parse().ok()?;
            Some((Duration::from_secs(days.checked_mul(86_400)?), rest.trim()))
        }
        _ if text.is_empty() => None,
        _ => Some((Duration::ZERO, text)),
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let total = self.0.as_secs();
        if self.0.subsec_millis() > 0 && total < 60 {
            return write!(f, "{:.1}s", self.0.as_secs_f64());
        }
        let parts =
            [(total / 86_400, "d"), (total / 3_600 % 24, "h"), (total / 60 % 60, "m"), (total % 60, "s")];
        let shown: Vec<String> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
        f.write_str(if shown.is_empty() { "0s".to_owned() } else { shown.join(" ") }.as_str())
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Seconds(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Seconds(seconds) => Ok(Self::seconds(seconds)),
            Form::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "format": "duration", "minimum": 0 })
    }
}
