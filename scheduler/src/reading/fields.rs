//! Single values of schedules, windows and freezes, and what is said when one is wrong. A file writes `catch-up`, a
//! header `catch_up`.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use aegis_engine::Period;
use aegis_engine::codes;
use aegis_engine::diagnostic::{Diagnostic, Place};
use aegis_engine::runbook::{Notify, Shape, Written};
use aegis_engine::text::{did_you_mean, list};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::expression::Wrong;

/// Where values come from: how keys of two words are written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    File,
    Header,
}

/// Reads values and collects what is wrong with them.
pub(super) struct Fields {
    pub(super) style: Style,
    pub(super) problems: Vec<Diagnostic>,
}

/// A key and its value.
pub(super) type Entry = (String, Option<Place>, Written);

impl Fields {
    pub(super) const fn new(style: Style) -> Self {
        Self { style, problems: Vec::new() }
    }

    /// The entries of a table whose keys are known; others are refused.
    pub(super) fn table<'w>(
        &mut self,
        written: &'w Written,
        what: &str,
        known: &[&'static str],
    ) -> Vec<(&'static str, &'w Entry)> {
        let Shape::Map(entries) = &written.shape else {
            self.refuse(&written.place, format!("{what} is a table"), None);
            return Vec::new();
        };
        let mut read = Vec::new();
        for entry in entries {
            let wanted =
                if self.style == Style::Header { entry.0.replace('_', "-") } else { entry.0.clone() };
            match known.iter().find(|key| **key == wanted) {
                Some(key) => read.push((*key, entry)),
                None => self.unknown(entry, what, known),
            }
        }
        read
    }

    fn unknown(&mut self, (key, place, _): &Entry, what: &str, known: &[&str]) {
        let spelled: Vec<String> = known.iter().map(|key| self.spelled(key)).collect();
        let known: Vec<&str> = spelled.iter().map(String::as_str).collect();
        let hint =
            did_you_mean(key, known.iter().copied()).unwrap_or_else(|| format!("keys are {}", list(&known)));
        self.refuse(place, format!("{what} has no key `{key}`"), Some(hint));
    }

    /// A key as this place writes it.
    pub(super) fn spelled(&self, key: &str) -> String {
        if self.style == Style::Header { key.replace('-', "_") } else { key.to_owned() }
    }

    pub(super) fn refuse(&mut self, place: &Option<Place>, message: impl Into<String>, hint: Option<String>) {
        let problem = Diagnostic::new(codes::SCHEDULE, message).at(place.clone()).hint(hint);
        self.problems.push(problem);
    }

    pub(super) fn wrong(&mut self, place: &Option<Place>, wrong: Wrong) {
        self.refuse(place, wrong.message, wrong.hint);
    }

    pub(super) fn text(&mut self, written: &Written) -> Option<String> {
        match written.value() {
            Value::String(text) => Some(text),
            other => {
                self.refuse(&written.place, format!("expected a text, not {}", kind(&other)), None);
                None
            }
        }
    }

    pub(super) fn texts(&mut self, written: &Written) -> Vec<String> {
        let Shape::List(items) = &written.shape else {
            self.refuse(&written.place, "expected a list of texts `[\"...\"]`", None);
            return Vec::new();
        };
        items.iter().filter_map(|item| self.text(item)).collect()
    }

    pub(super) fn length(&mut self, written: &Written) -> Option<Duration> {
        let read = serde_json::from_value::<Period>(written.value());
        if read.is_err() {
            self.refuse(&written.place, "expected a duration like `30s`, `5m` or `1h 30m`", None);
        }
        read.ok().map(|period| period.0)
    }

    /// A duration that is not over at once.
    pub(super) fn some_length(&mut self, written: &Written) -> Option<Duration> {
        let length = self.length(written)?;
        if length.is_zero() {
            let hint = "write how long, like `2h`".to_owned();
            self.refuse(&written.place, "expected some time, not none", Some(hint));
        }
        Some(length).filter(|length| !length.is_zero())
    }

    /// A text that says something.
    pub(super) fn reason(&mut self, written: &Written) -> Option<String> {
        let text = self.text(written)?;
        if text.trim().is_empty() {
            let hint = "say why: who finds it paused wants to know".to_owned();
            self.refuse(&written.place, "a reason is missing", Some(hint));
        }
        Some(text).filter(|text| !text.trim().is_empty())
    }

    pub(super) fn number<N>(&mut self, written: &Written, range: RangeInclusive<N>) -> Option<N>
    where
        N: TryFrom<i64> + PartialOrd + Display,
    {
        let read = written.value().as_i64().and_then(|number| N::try_from(number).ok());
        let read = read.filter(|number| range.contains(number));
        if read.is_none() {
            let (least, most) = (range.start(), range.end());
            self.refuse(&written.place, format!("expected a whole number from {least} to {most}"), None);
        }
        read
    }

    pub(super) fn word<T: DeserializeOwned>(&mut self, written: &Written, words: &[&str]) -> Option<T> {
        let read = serde_json::from_value(written.value()).ok();
        if read.is_none() {
            let given = written.value();
            let hint = given.as_str().and_then(|word| did_you_mean(word, words.iter().copied()));
            let words = list(words);
            let either = words
                .rfind(" and ")
                .map_or_else(|| words.clone(), |at| format!("{} or {}", &words[..at], &words[at + 5..]));
            self.refuse(&written.place, format!("expected {either}"), hint);
        }
        read
    }

    pub(super) fn notify(&mut self, written: &Written) -> Option<Notify> {
        let read = Notify::read(written);
        read.map_err(|(place, message, hint)| self.refuse(&place, message, hint)).ok()
    }

    pub(super) fn zone(&mut self, written: &Written) -> Option<TimeZone> {
        let name = self.text(written)?;
        let found = crate::zone::find(&name);
        found.map_err(|wrong| self.wrong(&written.place, wrong)).ok()
    }

    /// A date or a time by the clocks of a zone, or an instant.
    pub(super) fn instant(&mut self, written: &Written, zone: &TimeZone) -> Option<Timestamp> {
        let text = self.text(written)?;
        let civil = || {
            let at = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(Into::into)).ok()?;
            zone.to_timestamp(at).ok()
        };
        let read = text.parse::<Timestamp>().ok().or_else(civil);
        if read.is_none() {
            let hint = "write `2026-12-24`, `2026-12-24T18:00`, or an instant `2026-12-24T09:00:00Z`";
            self.refuse(&written.place, format!("`{text}` is no time"), Some(hint.to_owned()));
        }
        read
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}
