//! JSON patch (RFC 6902) with the server's departures from it.
//!
//! `replace` of an absent map key adds it, `test` finds null where a key is absent, negative array positions count from the end, and a refused
//! operation is a bare 422 that does not say which one it was.

use super::{PatchError, golang};
use json_patch::{PatchOperation, patch};
use serde_json::{Value, json};

/// Operations a patch may hold; the server's limit.
const MAX_OPERATIONS: usize = 10_000;

/// Applies a JSON patch to `target` and returns the patched value.
///
/// # Errors
/// 400 when `body` is not a list of operations, 413 for more than 10,000 of them, 422 when one fails.
pub fn json_patch(target: &Value, body: &[u8]) -> Result<Value, PatchError> {
    let operations = parse(body)?;
    let mut result = target.clone();
    for operation in operations {
        carry_out(&mut result, operation)?;
    }
    Ok(result)
}

fn parse(body: &[u8]) -> Result<Vec<Value>, PatchError> {
    let refuse = |why: String| PatchError::BadRequest(format!("error decoding patch: {why}"));
    let document: Value = serde_json::from_slice(body).map_err(|e| refuse(golang::json_error(body, &e)))?;
    let Value::Array(operations) = document else {
        let found = golang::json_type(&document);
        return Err(refuse(format!(
            "json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp"
        )));
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        )));
    }
    if let Some(other) = operations.iter().find(|operation| !operation.is_object()) {
        let found = golang::json_type(other);
        return Err(refuse(format!(
            "json: cannot unmarshal {found} into Go value of type handlers.jsonPatchOp"
        )));
    }
    Ok(operations)
}

fn carry_out(target: &mut Value, mut operation: Value) -> Result<(), PatchError> {
    for pointer in ["path", "from"] {
        count_from_end(target, &mut operation, pointer);
    }
    if names_absent_key(target, &operation) {
        match (operation["op"].as_str(), operation.get("value")) {
            (Some("replace"), _) => operation["op"] = json!("add"),
            (Some("test"), Some(Value::Null)) => return Ok(()),
            _ => {}
        }
    }
    let operation: PatchOperation = serde_json::from_value(operation).map_err(|_| PatchError::Rejected)?;
    patch(target, &[operation]).map_err(|_| PatchError::Rejected)
}

fn names_absent_key(target: &Value, operation: &Value) -> bool {
    let Some((parent, _)) = operation["path"].as_str().and_then(|path| path.rsplit_once('/')) else {
        return false;
    };
    let path = operation["path"].as_str().unwrap_or_default();
    target.pointer(parent).is_some_and(Value::is_object) && target.pointer(path).is_none()
}

/// Rewrites `/list/-1` to the position it means.
fn count_from_end(target: &Value, operation: &mut Value, member: &str) {
    let Some(path) = operation[member].as_str() else { return };
    let Some((parent, last)) = path.rsplit_once('/') else { return };
    let Some(back) = last.strip_prefix('-').and_then(|digits| digits.parse::<usize>().ok()) else { return };
    let Some(items) = target.pointer(parent).and_then(Value::as_array) else { return };
    if back >= 1 && back <= items.len() {
        operation[member] = json!(format!("{parent}/{}", items.len() - back));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(patch: Value) -> Result<Value, PatchError> {
        json_patch(&json!({"data": {"a": "1"}, "list": [1, 2]}), patch.to_string().as_bytes())
    }

    #[test]
    fn replacing_an_absent_key_adds_it() {
        let result = patched(json!([{"op": "replace", "path": "/data/b", "value": "2"}])).unwrap();
        assert_eq!(result["data"], json!({"a": "1", "b": "2"}));
    }

    #[test]
    fn an_absent_key_tests_as_null() {
        let guarded = json!([
            {"op": "test", "path": "/data/finalizers", "value": null},
            {"op": "add", "path": "/data/finalizers", "value": ["x"]},
        ]);
        assert_eq!(patched(guarded.clone()).unwrap()["data"]["finalizers"], json!(["x"]));
        let again = json!([guarded[1], guarded[0]]);
        assert_eq!(patched(again), Err(PatchError::Rejected));
        let nowhere = json!([{"op": "test", "path": "/nosuch/deep", "value": null}]);
        assert_eq!(patched(nowhere), Err(PatchError::Rejected));
    }

    #[test]
    fn failing_operations_are_rejected_without_a_cause() {
        for operation in [
            json!({"op": "remove", "path": "/data/absent"}),
            json!({"op": "test", "path": "/data/a", "value": "x"}),
            json!({"op": "bogus", "path": "/data/a"}),
            json!({"op": "add", "path": "/nosuch/deep", "value": "x"}),
            json!({"op": "remove", "path": "/list/5"}),
        ] {
            assert_eq!(patched(json!([operation])), Err(PatchError::Rejected), "{operation}");
        }
    }

    #[test]
    fn other_bodies_are_bad_requests() {
        let refused = patched(json!({"op": "add"})).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        );
        let cut = json_patch(&json!({}), b"[{").unwrap_err();
        assert_eq!(cut.to_string(), "error decoding patch: unexpected end of JSON input");
    }

    #[test]
    fn too_many_operations_are_refused() {
        let many = vec![json!({"op": "add", "path": "/data/k", "value": "v"}); 10_001];
        assert_eq!(patched(json!(many)).unwrap_err().code(), 413);
    }

    #[test]
    fn negative_positions_count_from_the_end() {
        let result = patched(json!([{"op": "remove", "path": "/list/-1"}])).unwrap();
        assert_eq!(result["list"], json!([1]));
    }
}
