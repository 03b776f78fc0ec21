//! Status conditions: setting one keeps the moment of its last change.
//!
//! Controllers differ in which times they keep, so the caller names them: a Deployment has
//! `lastUpdateTime`, a Job and a Pod have `lastProbeTime`.

use serde_json::{Map, Value, json};

use super::fields::Fields;

/// What a condition shall say; times are filled in when it is set.
#[derive(Debug, Clone)]
pub struct Condition<'a> {
    /// The type, such as `Ready`.
    pub kind: &'a str,
    /// `True`, `False` or `Unknown`.
    pub status: &'a str,
    /// One CamelCase word; left out when empty.
    pub reason: &'a str,
    /// A sentence for people; left out when empty.
    pub message: String,
}

impl<'a> Condition<'a> {
    /// A condition with a reason and a message.
    pub fn new(kind: &'a str, status: &'a str, reason: &'a str, message: impl Into<String>) -> Self {
        Self { kind, status, reason, message: message.into() }
    }

    /// A condition of `True` or `False`.
    pub fn holds(kind: &'a str, holds: bool, reason: &'a str, message: impl Into<String>) -> Self {
        Self::new(kind, if holds { "True" } else { "False" }, reason, message)
    }

    /// Whether `held` says the same, times aside.
    pub fn is_said_by(&self, held: &Value) -> bool {
        held.text("/type") == self.kind
            && held.text("/status") == self.status
            && held.text("/reason") == self.reason
            && held.text("/message") == self.message
    }
}

/// Puts `condition` in its place in `conditions` (last when new). `extra` adds fields that the kind
/// keeps besides the common ones. The transition time moves only when the status changes.
pub fn set_condition(conditions: &mut Vec<Value>, condition: &Condition<'_>, now: &str, extra: Value) {
    let place = conditions.iter().position(|held| held.text("/type") == condition.kind);
    let since = place
        .map(|index| &conditions[index])
        .filter(|held| held.text("/status") == condition.status)
        .map_or(now, |held| held.text("/lastTransitionTime"))
        .to_owned();
    let mut fields = Map::new();
    fields.insert("type".into(), condition.kind.into());
    fields.insert("status".into(), condition.status.into());
    if let Value::Object(extra) = extra {
        fields.extend(extra);
    }
    fields.insert("lastTransitionTime".into(), since.into());
    if !condition.reason.is_empty() {
        fields.insert("reason".into(), condition.reason.into());
    }
    if !condition.message.is_empty() {
        fields.insert("message".into(), condition.message.clone().into());
    }
    match place {
        Some(index) => conditions[index] = fields.into(),
        None => conditions.push(fields.into()),
    }
}

/// A status with conditions in the shape custom resources use, times and generation filled in.
pub fn custom_conditions(object: &Value, wanted: &[Condition<'_>], now: &str) -> Value {
    let mut conditions = object.list("/status/conditions").to_vec();
    for condition in wanted {
        let extra = json!({ "observedGeneration": object.generation() });
        set_condition(&mut conditions, condition, now, extra);
    }
    conditions.into()
}
