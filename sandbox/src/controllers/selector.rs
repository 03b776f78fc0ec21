//! Label selectors and node selector terms, as objects hold them.

use serde_json::Value;

use super::fields::Fields;

/// Whether a LabelSelector (`matchLabels`, `matchExpressions`) matches an object's labels. An empty
/// selector matches everything, an absent one nothing.
pub fn matches(selector: &Value, object: &Value) -> bool {
    matches_labels(selector, object.at("/metadata/labels"))
}

/// Whether a LabelSelector matches a map of labels.
pub fn matches_labels(selector: &Value, labels: &Value) -> bool {
    selector.is_object()
        && contains(labels, selector.at("/matchLabels"))
        && selector.list("/matchExpressions").iter().all(|wanted| expression(wanted, labels))
}

/// Whether `labels` holds every pair of `wanted`, as a Service's selector and `nodeSelector` ask.
pub fn contains(labels: &Value, wanted: &Value) -> bool {
    wanted.entries("").all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether one requirement (`key`, `operator`, `values`) holds. `Gt` and `Lt` compare whole numbers.
pub fn expression(wanted: &Value, labels: &Value) -> bool {
    let held = labels.get(wanted.text("/key")).and_then(Value::as_str);
    let values = wanted.list("/values");
    let listed = held.is_some_and(|held| values.iter().any(|value| value == held));
    let number = |value: Option<&str>| value.and_then(|text| text.parse::<i64>().ok());
    let limit = number(values.first().and_then(Value::as_str));
    match wanted.text("/operator") {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => held.is_some(),
        "DoesNotExist" => held.is_none(),
        "Gt" => number(held).zip(limit).is_some_and(|(held, limit)| held > limit),
        "Lt" => number(held).zip(limit).is_some_and(|(held, limit)| held < limit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_operator_says_what_it_says() {
        let labels = json!({"app": "web", "size": "5"});
        let cases = [
            (json!({"key": "app", "operator": "In", "values": ["web", "api"]}), true),
            (json!({"key": "app", "operator": "NotIn", "values": ["web"]}), false),
            (json!({"key": "none", "operator": "NotIn", "values": ["web"]}), true),
            (json!({"key": "app", "operator": "Exists"}), true),
            (json!({"key": "none", "operator": "DoesNotExist"}), true),
            (json!({"key": "size", "operator": "Gt", "values": ["4"]}), true),
            (json!({"key": "size", "operator": "Lt", "values": ["4"]}), false),
        ];
        for (wanted, holds) in cases {
            assert_eq!(expression(&wanted, &labels), holds, "{wanted}");
        }
    }

    #[test]
    fn an_empty_selector_matches_everything_and_an_absent_one_nothing() {
        assert!(matches_labels(&json!({}), &json!({})));
        assert!(!matches_labels(&Value::Null, &json!({})));
    }
}
