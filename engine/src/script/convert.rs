//! Script values and JSON, both ways. What does not survive the journal is refused here, with the place in
//! the value: NaN, closures, time stamps and opaque values would come back as something else.

use std::sync::Arc;

use rhai::{Array, Dynamic, Map};
use serde_json::{Number, Value};

use super::view::View;
use crate::codes;
use crate::error::CallError;
use crate::secret::{Secret, Vault};

/// JSON of a script value; secrets become placeholders of the vault.
///
/// # Errors
/// When a part of it cannot be journaled; the message names the part.
pub(crate) fn to_json(value: &Dynamic, vault: &Vault) -> Result<Value, CallError> {
    json_at(value, vault, &mut Vec::new())
}

/// Levels of arrays and maps in each other that a value may have: what reads a journal ends at 128, and an entry has some
/// of its own.
const DEEPEST: usize = 100;

/// True for a value that a journal could not be read with.
pub(crate) fn is_too_deep(value: &Value) -> bool {
    is_deeper(value, DEEPEST)
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper(item, levels - 1)),
        Value::Object(items) => levels == 0 || items.values().any(|item| is_deeper(item, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// What is wrong with it.
pub(crate) fn too_deep() -> CallError {
    CallError::new(codes::RESULT, format!("a value of more than {DEEPEST} levels cannot be journaled"))
        .hint("hand over the part of it that is needed")
}

fn json_at(value: &Dynamic, vault: &Vault, path: &mut Vec<String>) -> Result<Value, CallError> {
    if path.len() > DEEPEST {
        return Err(too_deep());
    }
    let value = value.flatten_clone();
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(truth) = value.as_bool() {
        return Ok(Value::Bool(truth));
    }
    if let Ok(number) = value.as_int() {
        return Ok(Value::Number(number.into()));
    }
    if let Ok(number) = value.as_float() {
        return Number::from_f64(number).map(Value::Number).ok_or_else(|| refused(&number.to_string(), path));
    }
    if let Ok(letter) = value.as_char() {
        return Ok(Value::String(letter.to_string()));
    }
    if value.is_string() {
        let text = value.into_string().unwrap_or_default();
        return Ok(vault.composed(&text).unwrap_or(Value::String(text)));
    }
    if let Some(items) = value.read_lock::<Array>() {
        return items
            .iter()
            .enumerate()
            .map(|(i, item)| inside(item, vault, path, format!("[{i}]")))
            .collect();
    }
    if let Some(map) = value.read_lock::<Map>() {
        return map
            .iter()
            .map(|(key, item)| Ok((key.to_string(), inside(item, vault, path, format!(".{key}"))?)))
            .collect();
    }
    if let Some(view) = value.read_lock::<View>() {
        let fits = !is_deeper(view.json(), DEEPEST.saturating_sub(path.len()));
        return if fits { Ok(view.json().clone()) } else { Err(too_deep()) };
    }
    if let Some(secret) = value.read_lock::<Secret>() {
        return Ok(vault.seal(&secret));
    }
    Err(refused(&format!("a value of type `{}`", plain_type(value.type_name())), path))
}

fn inside(item: &Dynamic, vault: &Vault, path: &mut Vec<String>, part: String) -> Result<Value, CallError> {
    path.push(part);
    let json = json_at(item, vault, path)?;
    path.pop();
    Ok(json)
}

fn refused(what: &str, path: &[String]) -> CallError {
    let place = if path.is_empty() { String::new() } else { format!(" (at `{}`)", path.concat()) };
    CallError::new(codes::RESULT, format!("{what} cannot be journaled{place}"))
        .hint("hand over numbers, strings, booleans, arrays, maps or ()")
}

fn plain_type(name: &str) -> &str {
    match name.rsplit("::").next().unwrap_or(name) {
        "FnPtr" => "Fn",
        other => other,
    }
}

/// The script value of JSON; placeholders become the vault's secrets.
pub(crate) fn from_json(value: &Value, vault: &Vault) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => number
            .as_i64()
            .map(Dynamic::from_int)
            .or_else(|| number.as_f64().map(Dynamic::from_float))
            .unwrap_or(Dynamic::UNIT),
        Value::String(text) => text.into(),
        Value::Array(items) => items.iter().map(|item| from_json(item, vault)).collect::<Array>().into(),
        Value::Object(map) => vault.secret(value).map_or_else(
            || map.iter().map(|(k, v)| (k.into(), from_json(v, vault))).collect::<Map>().into(),
            Dynamic::from,
        ),
    }
}

/// As [`from_json`] for an array of many objects: each becomes a view over the received JSON, not a tree of maps.
pub(crate) fn lazily_from_json(value: Value, vault: &Vault) -> Dynamic {
    /// More objects than this are handed over as views.
    const MANY: usize = 64;
    match value {
        Value::Array(items) if items.len() > MANY && items.iter().all(Value::is_object) => {
            items.into_iter().map(|item| Dynamic::from(View::new(Arc::new(item)))).collect::<Array>().into()
        }
        other => from_json(&other, vault),
    }
}
