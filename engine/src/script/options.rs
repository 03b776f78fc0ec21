//! Options of the script builtins (`step`, `parallel`): the trailing map becomes the struct that describes them,
//! with the same words for mistakes as host functions have. Functions of the script stay in the map.

use rhai::{Dynamic, FnPtr, Map};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::convert::to_json;
use crate::error::CallError;
use crate::function::{Parameter, stand_in};
use crate::runbook::Builtin;
use crate::secret::Vault;

/// The options of the builtin `name`.
pub(crate) fn read<T: DeserializeOwned>(name: &str, map: &Map, vault: &Vault) -> Result<T, CallError> {
    let signature = Builtin::options_of(name);
    let given = described(map, &signature.parameters, vault)?;
    let options = signature
        .assemble(Vec::new(), Some(given))
        .map_err(|error| CallError { hint: error.hint.clone(), ..CallError::argument(error.to_string()) })?;
    serde_json::from_value(options).map_err(|error| CallError::argument(error.to_string()))
}

/// The function that the map has under these keys.
pub(crate) fn function(map: &Map, keys: &[&str]) -> Option<FnPtr> {
    let (key, rest) = keys.split_first()?;
    let value = map.get(*key)?;
    match rest {
        [] => value.read_lock::<FnPtr>().map(|function| function.clone()),
        rest => function(&*value.read_lock::<Map>()?, rest),
    }
}

/// JSON of a map whose keys are described; stand-ins for its functions.
fn described(
    map: &Map,
    known: &[Parameter],
    vault: &Vault,
) -> Result<serde_json::Map<String, Value>, CallError> {
    let one = |key: &str, value: &Dynamic| {
        if value.is_fnptr() {
            return Ok(stand_in("function"));
        }
        let fields = known.iter().find(|field| field.name == key).map(|field| &field.shape.fields);
        match (value.read_lock::<Map>(), fields) {
            (Some(inner), Some(fields)) if !fields.is_empty() => {
                described(&inner, fields, vault).map(Value::Object)
            }
            _ => to_json(value, vault),
        }
    };
    map.iter().map(|(key, value)| Ok((key.to_string(), one(key, value)?))).collect()
}
