//! ConfigMaps and Secrets: keys, sizes, immutability, and the types of secrets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::api::status::Cause;
use crate::patch::golang;

/// All values of a ConfigMap or a Secret together.
const SIZE_LIMIT: usize = 1 << 20;
const KEY_RULE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// The keys each type of secret must have.
const SECRET_KEYS: &[(&str, &[&str])] = &[
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
];

/// `stringData` is written into `data` and is gone.
pub(super) fn merge_string_data(object: &mut Value) {
    if object["type"].as_str().unwrap_or_default().is_empty() {
        object["type"] = "Opaque".into();
    }
    let Some(Value::Object(strings)) = object.as_object_mut().and_then(|fields| fields.remove("stringData"))
    else {
        return;
    };
    for (key, value) in strings {
        let encoded = STANDARD.encode(value.as_str().unwrap_or_default());
        object["data"][key] = encoded.into();
    }
}

pub(super) fn config_map_problems(old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = immutability_problems(old, new, &["data", "binaryData"]);
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (key, value) in new[field].as_object().into_iter().flatten() {
            causes.extend(key_problem(field, key));
            if field == "data" && new["binaryData"].get(key).is_some() {
                let detail = "duplicate of key present in binaryData";
                causes.push(Cause::invalid(format!("data[{key}]"), &json!(key), detail));
            }
            let length = value.as_str().map_or(0, str::len);
            size += if field == "data" { length } else { length / 4 * 3 };
        }
    }
    if size > SIZE_LIMIT {
        causes.push(Cause::too_long("[]", SIZE_LIMIT));
    }
    causes
}

pub(super) fn secret_problems(old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = immutability_problems(old, new, &["data"]);
    if let Some(old) = old
        && old["type"] != new["type"]
    {
        causes.push(Cause::invalid("type", &new["type"], "field is immutable"));
    }
    let mut size = 0;
    for (key, value) in new["data"].as_object().into_iter().flatten() {
        causes.extend(key_problem("data", key));
        size += value.as_str().map_or(0, str::len) / 4 * 3;
    }
    if size > SIZE_LIMIT {
        causes.push(Cause::too_long("data", SIZE_LIMIT));
    }
    causes.extend(type_problems(new));
    causes
}

fn type_problems(secret: &Value) -> Vec<Cause> {
    let kind = secret["type"].as_str().unwrap_or_default();
    let account = "kubernetes.io/service-account.name";
    if kind == "kubernetes.io/service-account-token" && secret["metadata"]["annotations"][account].is_null() {
        return vec![Cause::required(format!("metadata.annotations[{account}]"), "")];
    }
    let keys = SECRET_KEYS.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, keys)| keys);
    if kind == "kubernetes.io/dockerconfigjson"
        && let Some(problem) = docker_config_problem(&secret["data"][".dockerconfigjson"])
    {
        return vec![problem];
    }
    let missing = keys.iter().filter(|key| secret["data"].get(**key).is_none());
    missing.map(|key| Cause::required(format!("data[{key}]"), "")).collect()
}

/// Registry credentials are JSON inside of base64.
fn docker_config_problem(data: &Value) -> Option<Cause> {
    let text = STANDARD.decode(data.as_str()?).ok()?;
    let error = serde_json::from_slice::<Value>(&text).err()?;
    let shown = json!("<secret contents redacted>");
    Some(Cause::invalid("data[.dockerconfigjson]", &shown, golang::json_error(&text, &error)))
}

fn key_problem(field: &str, key: &str) -> Option<Cause> {
    let is_valid = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    (!is_valid).then(|| Cause::invalid(format!("{field}[{key}]"), &json!(key), KEY_RULE))
}

fn immutability_problems(old: Option<&Value>, new: &Value, fields: &[&str]) -> Vec<Cause> {
    let Some(old) = old.filter(|old| old["immutable"] == true) else { return Vec::new() };
    let mut causes = Vec::new();
    if new["immutable"] != true {
        causes.push(Cause::forbidden("immutable", IMMUTABLE));
    }
    let changed = fields.iter().filter(|field| old.get(**field) != new.get(**field));
    causes.extend(changed.map(|field| Cause::forbidden(*field, IMMUTABLE)));
    causes
}
