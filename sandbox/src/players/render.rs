//! Filling in `${...}`.
//!
//! | expression | value |
//! |---|---|
//! | `name`, `namespace`, `uid`, `generation` | the object's |
//! | `spec.a.b.0`, `metadata.labels[x.io/y]` | the value at that path of the object |
//! | `item`, `item.a` | the item of `each` |
//! | `index`, `ordinal` | which one of `each`, from 1 or from 0 |
//! | `ready` | how many pods of what was made are ready |
//! | `now`, `later 2160h` | a moment, kept once written |
//! | `random` | thirty-two letters in base64, kept once written |
//! | `certificate.crt`, `.key`, `.ca` | a certificate for the object's `dnsNames`, in base64 |
//! | `a or b` | the first that is there; the last may be a plain word or number |
//!
//! Text that is one expression alone takes its value with its type; a value that is not there takes its
//! field along.

use std::cell::OnceCell;
use std::time::Duration;

use serde_json::{Map, Value};

use super::certificates::{self, Pair};
use crate::controllers::controller::World;
use crate::controllers::fields::Fields;

/// What expressions can refer to.
pub(super) struct Scope<'a> {
    pub(super) object: &'a Value,
    pub(super) world: &'a World<'a>,
    pub(super) item: Value,
    pub(super) ordinal: i64,
    pub(super) ready: i64,
    certificate: OnceCell<Pair>,
}

impl<'a> Scope<'a> {
    pub(super) fn of(object: &'a Value, world: &'a World<'a>) -> Self {
        Self { object, world, item: Value::Null, ordinal: 0, ready: 0, certificate: OnceCell::new() }
    }

    pub(super) fn for_item(&self, item: Value, ordinal: i64) -> Self {
        Self { item, ordinal, ready: self.ready, ..Self::of(self.object, self.world) }
    }

    /// Fills in a value; `held` is what stands in its place now.
    pub(super) fn fill(&self, template: &Value, held: &Value) -> Value {
        match template {
            Value::String(text) => self.fill_text(text, held),
            Value::Array(items) => {
                let filled = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.fill(item, held.get(index).unwrap_or(&Value::Null)));
                Value::Array(filled.filter(|item| !item.is_null()).collect())
            }
            Value::Object(fields) => {
                let filled = fields.iter().map(|(key, field)| {
                    let held = held.get(key).unwrap_or(&Value::Null);
                    (self.fill_key(key), self.fill(field, held))
                });
                Value::Object(filled.filter(|(_, field)| !field.is_null()).collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }

    fn fill_key(&self, key: &str) -> String {
        match self.fill_text(key, &Value::Null) {
            Value::String(key) => key,
            other => other.to_string(),
        }
    }

    fn fill_text(&self, text: &str, held: &Value) -> Value {
        let whole = text
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
            .filter(|inner| !inner.contains("${"));
        if let Some(expression) = whole {
            return self.evaluate(expression, held);
        }
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (expression, behind) = after.split_once('}').unwrap_or((after, ""));
            filled.push_str(before);
            filled.push_str(&plain(&self.evaluate(expression, &Value::Null)));
            rest = behind;
        }
        filled.push_str(rest);
        Value::String(filled)
    }

    /// The value of an expression; alternatives stand on both sides of `or`.
    pub(super) fn evaluate(&self, expression: &str, held: &Value) -> Value {
        let mut alternatives = expression.split(" or ").map(str::trim).peekable();
        while let Some(alternative) = alternatives.next() {
            let value = self.look_up(alternative, held);
            if !value.is_null() {
                return value;
            }
            if alternatives.peek().is_none() && expression.contains(" or ") {
                return literal(alternative);
            }
        }
        Value::Null
    }

    fn look_up(&self, name: &str, held: &Value) -> Value {
        let (head, rest) = name.split_once(['.', ' ']).unwrap_or((name, ""));
        match head {
            "name" => self.object.name().into(),
            "namespace" => self.object.namespace().into(),
            "uid" => self.object.uid().into(),
            "generation" => self.object.at("/metadata/generation").clone(),
            "index" => (self.ordinal + 1).into(),
            "ordinal" => self.ordinal.into(),
            "ready" => self.ready.into(),
            "item" => at(&self.item, rest),
            "now" | "later" | "random" | "certificate" if !held.is_null() => held.clone(),
            "now" => self.world.timestamp().into(),
            "later" => self.later(rest),
            "random" => certificates::base64(&self.world.ambient.suffix(self.object.uid(), 32)).into(),
            "certificate" => self.certificate(rest),
            _ => at(self.object, name),
        }
    }

    /// A moment ahead by a span, which may itself be an expression.
    fn later(&self, span: &str) -> Value {
        let said = at(self.object, span);
        let span: Option<jiff::SignedDuration> = said.as_str().unwrap_or(span).parse().ok();
        let ahead = span
            .and_then(|span| Duration::try_from(span).ok())
            .unwrap_or(Duration::from_secs(90 * 24 * 3600));
        self.world.timestamp_in(ahead).into()
    }

    fn certificate(&self, part: &str) -> Value {
        let pair = self
            .certificate
            .get_or_init(|| certificates::issue(&certificates::names_of(self.object), self.world));
        match part {
            "crt" => certificates::base64(&pair.certificate).into(),
            "key" => certificates::base64(&pair.key).into(),
            "ca" => certificates::base64(&pair.authority).into(),
            _ => Value::Null,
        }
    }
}

/// The value at a dotted path; null when it is not there. A key with dots stands in brackets:
/// `metadata.labels[strimzi.io/cluster]`.
pub(super) fn at(value: &Value, path: &str) -> Value {
    let (plain, keyed) = path.split_once('[').unwrap_or((path, ""));
    let pointer =
        plain.split('.').filter(|part| !part.is_empty()).map(|part| format!("/{part}")).collect::<String>();
    let found = value.at(&pointer);
    match keyed.split_once(']') {
        Some((key, _)) => found.get(key).cloned().unwrap_or(Value::Null),
        None => found.clone(),
    }
}

fn literal(text: &str) -> Value {
    match text {
        "null" | "" => Value::Null,
        _ => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
