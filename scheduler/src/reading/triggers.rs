//! The triggers of `schedules.toml`: what a schedule says besides its time, and where its events come from.
//!
//! ```toml
//! [triggers.disk-full]
//! on = "alertmanager"
//! runbook = "runbooks/grow-volume.rhai"
//! match = { "/labels/alertname" = "DiskFull" }
//! fill = { volume = "/labels/volume" }
//! ```

use std::sync::Arc;
use std::time::Duration;

use aegis_engine::diagnostic::Place;
use aegis_engine::runbook::{Shape, Written};
use aegis_engine::text::did_you_mean;
use serde_json::Value;

use super::fields::{Entry, Fields, Style};
use super::file::File;
use super::gates::WHOLE;
use super::schedules::Reader;
use crate::expression::Expression;
use crate::schedule::Schedule;
use crate::trigger::{Rate, Signature, Source, Trigger};

/// For how long the same event starts nothing more, when a trigger does not say.
const WINDOW: Duration = Duration::from_secs(3600);

/// What a trigger starts at most, when it does not say.
const RATE: Rate = Rate { most: 60, per: Duration::from_secs(3600) };

/// How often new objects are looked for, when a trigger does not say.
const EVERY: Duration = Duration::from_secs(60);

/// The sources, and the keys that are theirs alone.
const SOURCES: [(&str, &[&str]); 4] = [
    ("alertmanager", &["status"]),
    ("webhook", &["secret", "signature"]),
    ("kubernetes", &["namespace"]),
    ("s3", &["url", "every"]),
];

/// The keys of every trigger besides those of schedules.
const OWN: &[&str] = &["on", "match", "fill", "key", "window", "rate"];

/// The keys that triggers share with schedules.
const SHARED: &[&str] =
    &["runbook", "target", "params", "overlap", "catch-up", "paused", "pause-after-failures", "notify"];

impl Reader<'_, '_> {
    /// The triggers of the file, with the schedules that carry their policies.
    pub(super) fn triggers(&mut self, file: &File, fields: &mut Fields) -> Vec<(Schedule, Trigger)> {
        let Ok(table) = &file.table else { return Vec::new() };
        let entries = Fields::new(Style::File).table(table, "the file", WHOLE);
        let mut found = Vec::new();
        for (_, (_, place, value)) in entries.iter().filter(|(key, _)| *key == "triggers") {
            let Shape::Map(named) = &value.shape else {
                fields.refuse(place, "`triggers` holds tables by name", None);
                continue;
            };
            for entry in named {
                found.extend(self.trigger(entry, fields));
            }
        }
        found
    }

    fn trigger(&mut self, entry: &Entry, fields: &mut Fields) -> Option<(Schedule, Trigger)> {
        let before = fields.problems.len();
        let (name, place, written) = entry;
        let what = format!("trigger `{name}`");
        let own = source_keys(&what, place, written, fields);
        let read = own.and_then(|(word, own)| {
            let known = [SHARED, OWN, own].concat();
            let mut draft = self.drafted(&what, written, &known, fields);
            let others = std::mem::take(&mut draft.others);
            let mut read = Read::default();
            for (key, value) in &others {
                read.take(key, value, fields);
            }
            draft.says_when = true;
            draft.when = Some(Arc::new(Expression::event(word)));
            draft.filled = read.fill.iter().map(|(name, _, place)| (name.clone(), place.clone())).collect();
            self.taken(name, place, fields);
            let (schedule, runbook) = self.complete(name, place, draft, fields)?;
            let source = read.source(word, &what, place, fields)?;
            let trigger = Trigger {
                name: Arc::clone(&schedule.name),
                source,
                target: Arc::clone(&schedule.target),
                matches: read.matches,
                fill: read.fill.into_iter().map(|(name, pointer, _)| (name, pointer)).collect(),
                key: read.key,
                window: read.window.unwrap_or(WINDOW),
                rate: read.rate.unwrap_or(RATE),
                header: Arc::new(runbook.header.clone()),
                params: Arc::clone(&schedule.params),
            };
            Some((schedule, trigger))
        });
        let read = (fields.problems.len() == before).then_some(read).flatten();
        if read.is_none() {
            self.refuse(name);
        }
        read
    }
}

/// The source, and the keys that are its own.
fn source_keys(
    what: &str,
    place: &Option<Place>,
    written: &Written,
    fields: &mut Fields,
) -> Option<(&'static str, &'static [&'static str])> {
    let words = SOURCES.map(|(word, _)| word);
    let Shape::Map(entries) = &written.shape else {
        fields.refuse(place, format!("{what} is a table"), None);
        return None;
    };
    let Some((_, _, value)) = entries.iter().find(|(key, _, _)| key == "on") else {
        let hint = format!("add `on = \"{}\"`", words.join("\"`, `on = \""));
        fields.refuse(place, format!("{what} does not say what it is on"), Some(hint));
        return None;
    };
    let text = fields.text(value)?;
    let found = SOURCES.into_iter().find(|(word, _)| *word == text);
    if found.is_none() {
        let hint = did_you_mean(&text, words)
            .unwrap_or_else(|| format!("sources are {}", aegis_engine::text::list(&words)));
        fields.refuse(&value.place, format!("there is no source `{text}`"), Some(hint));
    }
    found
}

/// What a trigger says about its events.
#[derive(Default)]
struct Read {
    matches: Vec<(String, Vec<Value>)>,
    fill: Vec<(String, String, Option<Place>)>,
    key: Vec<String>,
    window: Option<Duration>,
    rate: Option<Rate>,
    status: Option<String>,
    secret: Option<String>,
    signature: Signature,
    namespace: Option<String>,
    url: Option<String>,
    every: Option<Duration>,
}

impl Read {
    fn take(&mut self, key: &str, value: &Written, fields: &mut Fields) {
        match key {
            "match" => self.matches = matches(value, fields),
            "fill" => self.fill = fill(value, fields),
            "key" => self.key = keys(value, fields),
            "window" => self.window = fields.length(value),
            "rate" => self.rate = rate(value, fields),
            "status" => self.status = fields.word(value, &["firing", "resolved", "any"]),
            "secret" => self.secret = variable(value, fields),
            "signature" => {
                let word: Option<String> = fields.word(value, Signature::WORDS);
                self.signature =
                    word.and_then(|word| known_signature(&word, value, fields)).unwrap_or_default();
            }
            "namespace" => self.namespace = fields.text(value),
            "url" => self.url = fields.text(value).filter(|url| bucket(url, value, fields)),
            "every" => self.every = fields.some_length(value),
            _ => {}
        }
    }

    fn source(&self, word: &str, what: &str, place: &Option<Place>, fields: &mut Fields) -> Option<Source> {
        let mut missing = |key: &str, line: &str| {
            fields.refuse(place, format!("{what} has no `{key}`"), Some(format!("add `{line}`")));
        };
        Some(match word {
            "alertmanager" => Source::Alertmanager {
                status: match self.status.as_deref() {
                    Some("resolved") => Some("resolved"),
                    Some("any") => None,
                    _ => Some("firing"),
                },
            },
            "webhook" => {
                let Some(variable) = self.secret.clone() else {
                    missing("secret", "secret = \"env:WEBHOOK_SECRET\"");
                    return None;
                };
                Source::Webhook { signature: self.signature, variable }
            }
            "kubernetes" => Source::Kubernetes { namespace: self.namespace.clone() },
            _ => {
                let Some(url) = self.url.clone() else {
                    missing("url", "url = \"s3://BUCKET/PREFIX\"");
                    return None;
                };
                Source::S3 { url, every: self.every.unwrap_or(EVERY).max(Duration::from_secs(1)) }
            }
        })
    }
}

fn known_signature(word: &str, value: &Written, fields: &mut Fields) -> Option<Signature> {
    let found = Signature::of(word);
    if found.is_none() {
        let hint = did_you_mean(word, Signature::WORDS.iter().copied());
        fields.refuse(&value.place, format!("expected {}", Signature::WORDS.join(" or ")), hint);
    }
    found
}

fn matches(value: &Written, fields: &mut Fields) -> Vec<(String, Vec<Value>)> {
    let entries = map(value, "`match` is a table of values by their path in the event", fields);
    let read = |(pointer, place, value): &(String, Option<Place>, Written)| {
        is_pointer(pointer, place, fields).then(|| {
            let allowed = match value.value() {
                Value::Array(values) => values,
                one => vec![one],
            };
            (pointer.clone(), allowed)
        })
    };
    entries.iter().filter_map(read).collect()
}

fn fill(value: &Written, fields: &mut Fields) -> Vec<(String, String, Option<Place>)> {
    let entries = map(value, "`fill` is a table of paths in the event by parameter", fields);
    let read = |(name, place, value): &(String, Option<Place>, Written)| {
        let pointer = fields.text(value)?;
        is_pointer(&pointer, &value.place, fields).then(|| (name.clone(), pointer, place.clone()))
    };
    entries.iter().filter_map(read).collect()
}

fn keys(value: &Written, fields: &mut Fields) -> Vec<String> {
    let pointers = if matches!(value.shape, Shape::List(_)) {
        fields.texts(value)
    } else {
        fields.text(value).into_iter().collect()
    };
    pointers.into_iter().filter(|pointer| is_pointer(pointer, &value.place, fields)).collect()
}

fn map(value: &Written, what: &str, fields: &mut Fields) -> Vec<(String, Option<Place>, Written)> {
    match &value.shape {
        Shape::Map(entries) => entries.clone(),
        _ => {
            fields.refuse(&value.place, what, None);
            Vec::new()
        }
    }
}

/// JSON Pointer, RFC 6901.
fn is_pointer(text: &str, place: &Option<Place>, fields: &mut Fields) -> bool {
    if text.starts_with('/') {
        return true;
    }
    let hint = format!("write `/{}`: every step down begins with a slash", text.replace('.', "/"));
    fields.refuse(place, format!("`{text}` is no path into an event"), Some(hint));
    false
}

/// `6/1h`.
fn rate(value: &Written, fields: &mut Fields) -> Option<Rate> {
    let text = fields.text(value)?;
    let read = text.split_once('/').and_then(|(most, per)| {
        let most = most.trim().parse().ok().filter(|most| *most > 0)?;
        let per = per.trim().parse::<aegis_engine::Period>().ok()?.0;
        (!per.is_zero()).then_some(Rate { most, per })
    });
    if read.is_none() {
        let hint = "write `6/1h`: six runs in any hour".to_owned();
        fields.refuse(&value.place, format!("`{text}` is no rate"), Some(hint));
    }
    read
}

/// Keys stand in the environment, not in files.
fn variable(value: &Written, fields: &mut Fields) -> Option<String> {
    let text = fields.text(value)?;
    let name = text.strip_prefix("env:").filter(|name| !name.is_empty());
    if name.is_none() {
        let hint =
            "write `secret = \"env:WEBHOOK_SECRET\"`, and set that variable for `aegis serve`".to_owned();
        fields.refuse(&value.place, "a key does not stand in a file", Some(hint));
    }
    name.map(str::to_owned)
}

fn bucket(url: &str, value: &Written, fields: &mut Fields) -> bool {
    let good = url.starts_with("s3://") && url.len() > 5 || url.starts_with("file:///");
    if !good {
        let hint = "write `s3://BUCKET/` or `s3://BUCKET/what/urls/begin/with`".to_owned();
        fields.refuse(&value.place, format!("`{url}` is no bucket"), Some(hint));
    }
    good
}
