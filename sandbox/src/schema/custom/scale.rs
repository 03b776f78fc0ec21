//! What the fields that a custom kind's `scale` stands on must hold, whatever its schema says.

use serde_json::{Value, json};

use crate::schema::Cause;

/// What is wrong with them; `scale` is `subresources.scale` of the version, or null.
pub(super) fn problems(scale: &Value, object: &Value) -> Vec<Cause> {
    let counts = ["specReplicasPath", "statusReplicasPath"].into_iter().filter_map(|field| {
        let path = scale[field].as_str()?;
        count_problem(path, held(object, path)?)
    });
    let selector = scale["labelSelectorPath"].as_str().and_then(|path| {
        let value = held(object, path)?;
        (!value.is_string()).then(|| Cause::invalid(path, &json!(""), type_problem(path, value, "string")))
    });
    counts.chain(selector).collect()
}

fn count_problem(path: &str, value: &Value) -> Option<Cause> {
    match value.as_i64() {
        None => Some(Cause::invalid(path, &json!(0), type_problem(path, value, "int64"))),
        Some(count) if count < 0 => Some(Cause::invalid(path, value, "should be a non-negative integer")),
        Some(count) if count > i64::from(i32::MAX) => {
            Some(Cause::invalid(path, value, format!("should be less than or equal to {}", i32::MAX)))
        }
        Some(_) => None,
    }
}

fn held<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').skip(1).try_fold(object, |value, part| value.get(part))
}

fn type_problem(path: &str, value: &Value, wanted: &str) -> String {
    let (shown, found) = match value {
        Value::String(text) => (text.clone(), "string"),
        Value::Bool(_) => (value.to_string(), "bool"),
        Value::Number(number) if number.is_i64() => (value.to_string(), "int64"),
        Value::Number(_) => (value.to_string(), "float64"),
        Value::Array(_) => (value.to_string(), "[]interface {}"),
        _ => (value.to_string(), "map[string]interface {}"),
    };
    format!("{path} accessor error: {shown} is of the type {found}, expected {wanted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_from_zero_up() {
        let scale = json!({"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"});
        let told = |replicas: Value| -> Vec<String> {
            let causes = problems(&scale, &json!({"spec": {"replicas": replicas}}));
            causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
        };
        assert_eq!(told(json!(3)), [""; 0]);
        assert_eq!(told(json!(-1)), [".spec.replicas: Invalid value: -1: should be a non-negative integer"]);
        assert_eq!(
            told(json!("three")),
            [
                ".spec.replicas: Invalid value: 0: .spec.replicas accessor error: three is of the type string, expected int64"
            ]
        );
    }
}
