//! Finding what does not fit a structural schema, in the server's words.

use super::{flag, formats, preserves_unknown};
use crate::schema::cause::Cause;
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Everything in `object` that breaks the schema, by field in alphabetical order.
pub(super) fn problems(schema: &Value, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    check(schema, object, "", &mut causes);
    lists(schema, object, "", &mut causes);
    causes
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn check(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && flag(schema, "nullable") {
        return;
    }
    if let Some(wanted) = wrong_type(schema, value) {
        let found = Value::from(type_name(value));
        causes.push(Cause::type_invalid(
            path,
            &found,
            format!("{path} in body must be of type {wanted}: {found}"),
        ));
        return;
    }
    match value {
        Value::Object(map) => object(schema, map, path, causes),
        Value::Array(items) => array(schema, items, path, causes),
        Value::String(text) => string(schema, text, path, causes),
        Value::Number(_) => number(schema, value, path, causes),
        _ => {}
    }
    enumeration(schema, value, path, causes);
    combined(schema, value, path, causes);
}

fn wrong_type<'a>(schema: &'a Value, value: &Value) -> Option<&'a str> {
    if flag(schema, "x-kubernetes-int-or-string") {
        let whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
        return (!value.is_string() && !whole).then_some("integer,string");
    }
    let wanted = schema["type"].as_str()?;
    let fits = match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        _ => true,
    };
    (!fits).then_some(wanted)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn object(schema: &Value, map: &Map<String, Value>, path: &str, causes: &mut Vec<Cause>) {
    let names = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in names.filter(|name| !map.contains_key(*name)) {
        causes.push(Cause::required(below(path, name), ""));
    }
    let limit = |name: &str| schema[name].as_u64();
    if let Some(most) = limit("maxProperties").filter(|most| map.len() as u64 > *most) {
        causes.push(Cause::too_many(path, map.len(), most));
    }
    if let Some(least) = limit("minProperties").filter(|least| (map.len() as u64) < *least) {
        let detail = format!("{path} in body should have at least {least} properties");
        causes.push(Cause::invalid(path, &Value::Object(map.clone()), detail));
    }
    let values = schema.get("additionalProperties").filter(|values| values.is_object());
    for (key, value) in map {
        if let Some(schema) = schema["properties"].get(key).or(values) {
            let step = below(path, key);
            check(schema, value, &step, causes);
        }
    }
}

fn array(schema: &Value, items: &[Value], path: &str, causes: &mut Vec<Cause>) {
    if let Some(most) = schema["maxItems"].as_u64().filter(|most| items.len() as u64 > *most) {
        causes.push(Cause::too_many(path, items.len(), most));
    }
    if let Some(least) = schema["minItems"].as_u64().filter(|least| (items.len() as u64) < *least) {
        let detail = format!("{path} in body should have at least {least} items");
        causes.push(Cause::invalid(path, &Value::from(items.len()), detail));
    }
    for (at, item) in items.iter().enumerate() {
        check(&schema["items"], item, &format!("{path}[{at}]"), causes);
    }
}

fn string(schema: &Value, text: &str, path: &str, causes: &mut Vec<Cause>) {
    let value = Value::from(text);
    let length = text.chars().count() as u64;
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
        causes.push(Cause::too_long(path, usize::try_from(most).unwrap_or(usize::MAX)));
    }
    if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
        let detail = format!("{path} in body should be at least {least} chars long");
        causes.push(Cause::invalid(path, &value, detail));
    }
    if let Some(pattern) = schema["pattern"].as_str().filter(|pattern| !matches(pattern, text)) {
        causes.push(Cause::invalid(path, &value, format!("{path} in body should match '{pattern}'")));
    }
    if let Some(format) = schema["format"].as_str().filter(|format| !formats::fits(format, text)) {
        let detail = format!("{path} in body must be of type {format}: {value}");
        causes.push(Cause::invalid(path, &value, detail));
    }
}

static PATTERNS: LazyLock<Mutex<HashMap<String, Option<Regex>>>> = LazyLock::new(Mutex::default);

/// Whether `text` matches; a pattern this engine cannot read refuses nothing.
fn matches(pattern: &str, text: &str) -> bool {
    let mut known = PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
    let compiled = known.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
    compiled.as_ref().is_none_or(|regex| regex.is_match(text))
}

fn number(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(number) = value.as_f64() else { return };
    let mut refuse =
        |detail: String| causes.push(Cause::invalid(path, value, format!("{path} in body {detail}")));
    if let Some(most) = schema["maximum"].as_f64() {
        match flag(schema, "exclusiveMaximum") {
            true if number >= most => refuse(format!("should be less than {}", schema["maximum"])),
            false if number > most => {
                refuse(format!("should be less than or equal to {}", schema["maximum"]))
            }
            _ => {}
        }
    }
    if let Some(least) = schema["minimum"].as_f64() {
        match flag(schema, "exclusiveMinimum") {
            true if number <= least => refuse(format!("should be greater than {}", schema["minimum"])),
            false if number < least => {
                refuse(format!("should be greater than or equal to {}", schema["minimum"]))
            }
            _ => {}
        }
    }
    if let Some(step) = schema["multipleOf"].as_f64().filter(|step| *step != 0.0)
        && (number / step).fract().abs() > f64::EPSILON
    {
        refuse(format!("should be a multiple of {}", schema["multipleOf"]));
    }
    let range = match schema["format"].as_str() {
        Some("int32") => Some((f64::from(i32::MIN), f64::from(i32::MAX))),
        _ => None,
    };
    if range.is_some_and(|(least, most)| number < least || number > most) {
        refuse("must be of type int32".to_owned());
    }
}

fn enumeration(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(values) = schema["enum"].as_array() else { return };
    if !values.contains(value) {
        let names: Vec<String> =
            values.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        causes.push(Cause::unsupported(path, value, &names));
    }
}

/// `allOf`, `anyOf`, `oneOf` and `not`.
fn combined(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let options = |name: &str| schema[name].as_array().cloned().unwrap_or_default();
    let fits = |schema: &&Value| {
        let mut found = Vec::new();
        check(schema, value, path, &mut found);
        found.is_empty()
    };
    for schema in &options("allOf") {
        check(schema, value, path, causes);
    }
    let shown = if path.is_empty() { "\"\"" } else { path };
    let mut refuse =
        |detail: String| causes.push(Cause::invalid(path, value, format!("{shown} in body {detail}")));
    let (any, one) = (options("anyOf"), options("oneOf"));
    if !any.is_empty() && !any.iter().any(|schema| fits(&schema)) {
        refuse("must validate at least one schema (anyOf)".to_owned());
    }
    let valid = one.iter().filter(fits).count();
    match valid {
        0 if !one.is_empty() => {
            refuse("must validate one and only one schema (oneOf). Found none valid".to_owned())
        }
        2.. => {
            refuse(format!("must validate one and only one schema (oneOf). Found {valid} valid alternatives"))
        }
        _ => {}
    }
    if schema.get("not").is_some_and(|not| fits(&not)) {
        refuse("must not validate the schema (not)".to_owned());
    }
}

/// Elements that a set or a map list has twice.
fn lists(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::Object(map) => {
            let values = schema.get("additionalProperties").filter(|values| values.is_object());
            for (key, value) in map {
                if let Some(schema) = schema["properties"].get(key).or(values) {
                    lists(schema, value, &below(path, key), causes);
                }
            }
        }
        Value::Array(items) if !preserves_unknown(schema) => {
            duplicates(schema, items, path, causes);
            for (at, item) in items.iter().enumerate() {
                lists(&schema["items"], item, &format!("{path}[{at}]"), causes);
            }
        }
        _ => {}
    }
}

fn duplicates(schema: &Value, items: &[Value], path: &str, causes: &mut Vec<Cause>) {
    let keys: Vec<&str> = match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Vec::new(),
        Some("map") => schema["x-kubernetes-list-map-keys"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect(),
        _ => return,
    };
    let identity = |item: &Value| match keys.as_slice() {
        [] => item.clone(),
        keys => {
            let present =
                keys.iter().filter_map(|key| item.get(key).map(|value| ((*key).to_owned(), value.clone())));
            Value::Object(present.collect())
        }
    };
    for (at, item) in items.iter().enumerate() {
        let id = identity(item);
        if items[..at].iter().any(|earlier| identity(earlier) == id) {
            causes.push(Cause::duplicate(format!("{path}[{at}]"), &id));
        }
    }
}
