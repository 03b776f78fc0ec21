//! Options of the script builtins (`step`, `parallel`): taken out of the trailing map one by one, with the
//! same words for mistakes as host functions have.

use std::time::Duration;

use rhai::{Dynamic, Map};
use serde_json::Value;

use crate::error::CallError;
use crate::text::{did_you_mean, list};
use crate::units::Period;

pub(crate) fn refuse_unknown(map: &Map, known: &[&str]) -> Result<(), CallError> {
    let Some(unknown) = map.keys().find(|key| !known.contains(&key.as_str())) else {
        return Ok(());
    };
    let hint = did_you_mean(unknown, known.iter().copied())
        .unwrap_or_else(|| format!("options are {}", list(known)));
    Err(CallError::argument(format!("unknown option `{unknown}`")).hint(hint))
}

pub(crate) fn text(map: &mut Map, key: &str) -> Result<Option<String>, CallError> {
    let taken = map.remove(key).map(|value| value.into_string().map_err(|kind| wrong(key, "a string", kind)));
    taken.transpose()
}

pub(crate) fn integer(map: &mut Map, key: &str) -> Result<Option<i64>, CallError> {
    map.remove(key).map(|value| value.as_int().map_err(|kind| wrong(key, "an int", kind))).transpose()
}

pub(crate) fn boolean(map: &mut Map, key: &str, default: bool) -> Result<bool, CallError> {
    map.remove(key).map_or(Ok(default), |value| value.as_bool().map_err(|kind| wrong(key, "a bool", kind)))
}

pub(crate) fn map(map: &mut Map, key: &str) -> Result<Option<Map>, CallError> {
    let taken = map.remove(key).map(|value| {
        let kind = value.type_name();
        value.try_cast::<Map>().ok_or_else(|| wrong(key, "a map", kind))
    });
    taken.transpose()
}

/// Arguments of a host function: a map with all of them, or only the first as a text.
pub(crate) fn arguments(map: &mut Map, key: &str, first: &str) -> Result<Option<Value>, CallError> {
    let Some(value) = map.remove(key) else { return Ok(None) };
    match super::convert::to_json(&value, &crate::secret::Vault::default())? {
        Value::String(text) => Ok(Some(serde_json::json!({ first: text }))),
        given @ Value::Object(_) => Ok(Some(given)),
        other => Err(wrong(key, "a string or a map", crate::function::kind_of(&other))),
    }
}

pub(crate) fn period(map: &mut Map, key: &str) -> Result<Option<Duration>, CallError> {
    let Some(value) = map.remove(key) else { return Ok(None) };
    read_period(key, &value).map(Some)
}

fn read_period(key: &str, value: &Dynamic) -> Result<Duration, CallError> {
    if let Ok(seconds) = value.as_int() {
        return u64::try_from(seconds).map(Duration::from_secs).map_err(|_| wrong(key, "a duration", "int"));
    }
    let text = value.clone().into_string().map_err(|kind| wrong(key, "a duration like `5m`", kind))?;
    let period: Period =
        text.parse().map_err(|why: String| CallError::argument(format!("`{key}`: {why}")))?;
    Ok(period.0)
}

fn wrong(key: &str, wanted: &str, actual: &str) -> CallError {
    CallError::argument(format!("`{key}` must be {wanted}, not {actual}"))
}
