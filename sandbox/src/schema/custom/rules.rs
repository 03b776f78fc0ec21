//! `x-kubernetes-validations`: the CEL rules of a structural schema.
//!
//! A rule that speaks of `oldSelf` is about a change and needs the old value at the same place; elements of
//! lists are matched by their keys.

use super::flag;
use crate::schema::cause::Cause;
use crate::schema::cel::{Variable, evaluate, holds};
use serde_json::Value;

/// The rules an object breaks.
pub(super) fn broken(schema: &Value, old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(schema, old, new, "", &mut causes);
    causes
}

fn walk(schema: &Value, old: Option<&Value>, new: &Value, path: &str, causes: &mut Vec<Cause>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        causes.extend(check(rule, old, new, path));
    }
    match new {
        Value::Object(map) => {
            let values = schema.get("additionalProperties").filter(|values| values.is_object());
            for (key, below) in map.iter().filter(|(_, value)| !value.is_null()) {
                let Some(schema) = schema["properties"].get(key).or(values) else { continue };
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(schema, old.and_then(|old| old.get(key)), below, &path, causes);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                walk(
                    &schema["items"],
                    counterpart(schema, old, item),
                    item,
                    &format!("{path}[{at}]"),
                    causes,
                );
            }
        }
        _ => {}
    }
}

/// The element of the old list with the same keys.
fn counterpart<'a>(schema: &Value, old: Option<&'a Value>, item: &Value) -> Option<&'a Value> {
    let keys = schema["x-kubernetes-list-map-keys"].as_array()?;
    let same =
        |other: &&Value| keys.iter().filter_map(Value::as_str).all(|key| other.get(key) == item.get(key));
    old?.as_array()?.iter().find(same)
}

fn check(rule: &Value, old: Option<&Value>, new: &Value, path: &str) -> Option<Cause> {
    let expression = rule["rule"].as_str()?;
    let is_transition = expression.contains("oldSelf");
    // Optional values are not among what the evaluator knows.
    if is_transition && (old.is_none() || flag(rule, "optionalOldSelf")) {
        return None;
    }
    let mut variables: Vec<Variable<'_>> = vec![("self", new)];
    variables.extend(old.map(|old| ("oldSelf", old)));
    if holds(expression, &variables)? {
        return None;
    }
    let written = rule["messageExpression"].as_str().and_then(|text| evaluate(text, &variables));
    let written = written.and_then(|text| text.as_str().map(str::to_owned));
    let given = rule["message"].as_str().map(|text| text.trim().to_owned());
    let message = written.or(given).unwrap_or_else(|| format!("failed rule: {expression}"));
    let field = format!("{path}{}", rule["fieldPath"].as_str().unwrap_or_default());
    Some(Cause::rule(rule["reason"].as_str().unwrap_or_default(), field, &message))
}
