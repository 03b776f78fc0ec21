//! What the script is given for an answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use super::client::Response;

/// The shape that `page.md` promises.
pub(super) const RETURNS: &str = "map: `status`, `headers`, `url`, `body` (text or `()`), `base64` (when the body is not text), `json` (parsed, when the answer says it is JSON)";

pub(super) fn value(response: &Response) -> Value {
    let mut headers = Map::new();
    for (name, value) in &response.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let joined =
            headers.get(name.as_str()).and_then(Value::as_str).map(|before| format!("{before}, {value}"));
        headers.insert(name.to_string(), Value::String(joined.unwrap_or_else(|| value.into_owned())));
    }
    let mut answer = json!({ "status": response.status, "headers": headers, "url": response.url.as_str() });
    match std::str::from_utf8(&response.body) {
        Ok(text) => answer["body"] = Value::from(text),
        Err(_) => {
            answer["body"] = Value::Null;
            answer["base64"] = Value::String(STANDARD.encode(&response.body));
        }
    }
    answer["json"] = if says_json(response) { parsed(response) } else { Value::Null };
    answer
}

/// `application/json` and its kin (`application/problem+json`), whatever the charset.
fn says_json(response: &Response) -> bool {
    let kind = response.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

fn parsed(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or(Value::Null)
}
