//! The bytes of a request's body.
//!
//! The recorder kept parsed JSON, so four things are made again from what it noted beside it: the second
//! of two equal keys (the answer names the field), the rest of a long list (its length is noted), a long protobuf
//! body (as the JSON of what was answered), and
//! YAML, whose keys are written plain because a quoted key is another key to a YAML 1.1 parser.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::protobuf;
use crate::learnt::Learnt;
use crate::recording::{Line, is_lost};

pub(super) fn body(line: &Line, learnt: &Learnt) -> Vec<u8> {
    let Some(recorded) = &line.req_body else {
        return without_body(line);
    };
    if let Some(text) = recorded["@text"].as_str() {
        return learnt.text_here(text).into_bytes();
    }
    if let Some(text) = recorded["@base64"].as_str() {
        let bytes = STANDARD.decode(text).unwrap_or_default();
        return match is_lost(&bytes) {
            true => from_answer(line, learnt),
            false => protobuf::here(&bytes, learnt),
        };
    }
    let value = with_all_items(learnt.value_here(recorded), &line.req_note);
    if line.req_note.contains("YAML") {
        return yaml(&value).into_bytes();
    }
    match duplicate(line) {
        Some(field) => with_duplicate(&value, &field.split('.').collect::<Vec<_>>()).into_bytes(),
        None => value.to_string().into_bytes(),
    }
}

/// A body that was not kept is none, or `null`, which a server takes for an empty object.
fn without_body(line: &Line) -> Vec<u8> {
    let writes = matches!(&*line.method, "POST" | "PUT") && line.req_headers.contains_key("Content-Type");
    if writes && line.status != 400 { b"null".to_vec() } else { Vec::new() }
}

/// An object whose bytes were not kept is what the server answered, without what the server added.
fn from_answer(line: &Line, learnt: &Learnt) -> Vec<u8> {
    let mut object = line.body.clone().unwrap_or_default();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"] {
            metadata.remove(field);
        }
    }
    learnt.value_here(&object).to_string().into_bytes()
}

/// Whether a line's body was not kept.
pub(super) fn is_made_again(line: &Line) -> bool {
    let text = line.req_body.as_ref().and_then(|body| body["@base64"].as_str());
    text.is_some_and(|text| is_lost(&STANDARD.decode(text).unwrap_or_default()))
}

/// `request list of 10001 operations, first 3 kept`: the numbers in the kept ones go on.
fn with_all_items(value: Value, note: &str) -> Value {
    let count =
        note.strip_prefix("request list of ").and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
    match (value, count) {
        (Value::Array(items), Some(count)) if !items.is_empty() => {
            let first = items[0].to_string();
            let nth = |index: usize| {
                let text = first.replacen('0', &index.to_string(), 1);
                serde_json::from_str(&text).unwrap_or_else(|_| items[0].clone())
            };
            (0..count).map(nth).collect()
        }
        (value, _) => value,
    }
}

/// Flow style with plain keys.
fn yaml(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("{key}: {}", yaml(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(yaml).collect::<Vec<_>>().join(", ")),
        scalar => scalar.to_string(),
    }
}

/// The field that the server saw twice, by its own words.
fn duplicate(line: &Line) -> Option<String> {
    let warnings = line.resp_headers.get("Warning").map(|texts| texts.all().join(" ")).unwrap_or_default();
    let message = line.body.as_ref().and_then(|body| body["message"].as_str()).unwrap_or_default();
    [message.to_owned(), warnings.replace('\\', "")]
        .iter()
        .find_map(|text| Some(text.split("duplicate field \"").nth(1)?.split('"').next()?.to_owned()))
}

/// An object as JSON with one field written twice.
fn with_duplicate(value: &Value, field: &[&str]) -> String {
    let (Value::Object(members), [first, rest @ ..]) = (value, field) else {
        return value.to_string();
    };
    let mut parts = Vec::new();
    for (key, value) in members {
        let name = Value::from(key.as_str());
        match (key == first, rest.is_empty()) {
            (true, true) => parts.extend([format!("{name}:{value}"), format!("{name}:{value}")]),
            (true, false) => parts.push(format!("{name}:{}", with_duplicate(value, rest))),
            (false, _) => parts.push(format!("{name}:{value}")),
        }
    }
    format!("{{{}}}", parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_named_twice_is_written_twice() {
        let text = with_duplicate(&json!({"data": {"a": "1"}}), &["data", "a"]);
        assert_eq!(text, r#"{"data":{"a":"1","a":"1"}}"#);
    }

    #[test]
    fn a_long_list_is_counted_on() {
        let list =
            with_all_items(json!([{"path": "/data/k0"}]), "request list of 3 operations, first 1 kept");
        assert_eq!(list[2], json!({"path": "/data/k2"}));
    }
}
