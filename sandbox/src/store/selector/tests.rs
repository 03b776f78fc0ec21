//! Selectors as clients write them.

use super::*;
use serde_json::json;

fn matches(selector: &str) -> bool {
    let object = json!({"metadata": {"labels": {"app": "web", "tier": "2", "empty": ""}}});
    LabelSelector::parse(selector).unwrap().matches(&object)
}

#[test]
fn every_operator_of_the_text_form_is_understood() {
    for yes in [
        "",
        "app",
        "app=web",
        "app==web",
        "app!=api",
        "app in (api, web)",
        "app notin (api)",
        "!old",
        "tier>1",
        "tier<3",
        "empty=",
        "app=web,tier=2",
    ] {
        assert!(matches(yes), "{yes}");
    }
    for no in ["app=api", "app!=web", "app in ()", "old", "!app", "tier>2", "app=web,tier=3"] {
        assert!(!matches(no), "{no}");
    }
}

#[test]
fn broken_selectors_are_refused() {
    for broken in ["app=", "=web", "app in web", "app in (web", "app web", "app=we b", "-x=1", "app=web,"] {
        let read = LabelSelector::parse(broken);
        assert!(read.is_err() || broken == "app=", "{broken}: {read:?}");
    }
}

#[test]
fn an_object_selector_joins_labels_and_expressions() {
    let selector = json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]});
    let selector = LabelSelector::from_object(&selector).unwrap();
    assert!(selector.matches_labels(&json!({"app": "web"})));
    assert!(!selector.matches_labels(&json!({"app": "web", "old": "1"})));
    assert!(LabelSelector::from_object(&Value::Null).is_none());
}

#[test]
fn an_absent_field_equals_the_empty_text() {
    let selector = FieldSelector::parse("spec.nodeName=,metadata.name!=b").unwrap();
    assert!(selector.matches(&json!({"metadata": {"name": "a"}})));
    assert!(!selector.matches(&json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n"}})));
}
