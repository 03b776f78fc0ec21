//! JSON merge patch (RFC 7386).

use super::{PatchError, golang};
use serde_json::Value;

/// Applies a JSON merge patch to `target` and returns the patched value.
///
/// # Errors
/// 400 when `body` is not a JSON object.
pub fn merge_patch(target: &Value, body: &[u8]) -> Result<Value, PatchError> {
    let patch = object(body, "error decoding patch: ")?;
    let mut result = target.clone();
    json_patch::merge(&mut result, &patch);
    Ok(result)
}

/// Reads a patch body that has to be an object; `prefix` opens the refusal.
pub(super) fn object(body: &[u8], prefix: &str) -> Result<Value, PatchError> {
    let patch: Value = serde_json::from_slice(body)
        .map_err(|error| PatchError::BadRequest(format!("{prefix}{}", golang::json_error(body, &error))))?;
    match patch {
        Value::Object(_) => Ok(patch),
        Value::Null => Err(PatchError::BadRequest(format!("{prefix}unexpected end of JSON input"))),
        other => Err(PatchError::BadRequest(format!(
            "{prefix}json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            golang::json_type(&other)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn null_removes_and_objects_merge() {
        let target = json!({"data": {"a": "1", "b": "2"}, "kind": "ConfigMap"});
        let result = merge_patch(&target, br#"{"data":{"a":null,"c":"3"}}"#).unwrap();
        assert_eq!(result, json!({"data": {"b": "2", "c": "3"}, "kind": "ConfigMap"}));
    }

    #[test]
    fn refusals_read_like_the_servers() {
        let texts: [(&[u8], &str); 2] = [
            (
                b"[1]",
                "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
            ),
            (b"x", "error decoding patch: invalid character 'x' looking for beginning of value"),
        ];
        for (body, expected) in texts {
            assert_eq!(merge_patch(&json!({}), body).unwrap_err().to_string(), expected);
        }
    }
}
