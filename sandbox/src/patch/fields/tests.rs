//! Facts recorded from a real server: who owns what after which write.

use super::*;
use crate::patch::PatchError;
use crate::schema::{Schema, builtin};
use proptest::prelude::*;
use serde_json::{Value, json};

const TIME: &str = "2026-01-01T00:00:00Z";

fn config_map() -> Schema {
    builtin("", "v1", "ConfigMap").unwrap()
}

fn deployment() -> Schema {
    builtin("apps", "v1", "Deployment").unwrap()
}

fn manager(name: &str, api_version: &str) -> Manager {
    Manager { name: name.to_owned(), api_version: api_version.to_owned(), subresource: String::new() }
}

struct Try<'a> {
    schema: &'a Schema,
    live: Option<&'a Value>,
    force: bool,
}

impl Try<'_> {
    fn apply(&self, name: &str, config: &Value) -> Result<Value, PatchError> {
        let manager = manager(name, config["apiVersion"].as_str().unwrap());
        apply(&Apply {
            schema: self.schema,
            live: self.live,
            config,
            manager: &manager,
            force: self.force,
            time: TIME,
            untouched: &untouched_fields("", true, &[]),
        })
    }
}

fn ssa(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ssa"}, "data": data})
}

fn owners(object: &Value) -> Vec<(String, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries.into_iter().map(|e| (e["manager"].as_str().unwrap().to_owned(), e["fieldsV1"].clone())).collect()
}

fn web(container: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "sd", "labels": {"app": "sd"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "sd"}},
            "template": {"metadata": {"labels": {"app": "sd"}}, "spec": {"containers": [container]}}},
    })
}

#[test]
fn a_scale_takes_the_size_from_its_owners_and_leaves_one_without_any() {
    let schema = deployment();
    let scaler = Manager { subresource: "scale".to_owned(), ..manager("scaler", "apps/v1") };
    let scaled = |live: &Value| {
        let mut new = live.clone();
        new["spec"]["replicas"] = json!(5);
        track_update(&schema, Some(live), &mut new, &scaler, TIME, &FieldSet::default());
        owners(&new)
    };
    let mut owned = web(json!({"name": "c"}));
    track_update(&schema, None, &mut owned, &manager("one", "apps/v1"), TIME, &FieldSet::default());
    let after = scaled(&owned);
    assert!(after.contains(&("scaler".to_owned(), json!({"f:spec": {"f:replicas": {}}}))));
    let mut free = owned.clone();
    free["metadata"]["managedFields"] = json!([{"manager": "one", "operation": "Update", "apiVersion": "apps/v1", "time": TIME,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:labels": {"f:app": {}}}}}]);
    assert_eq!(scaled(&free).len(), 1);
}

#[test]
fn fields_given_up_are_removed_unless_another_manager_owns_them() {
    let schema = config_map();
    let step = |live: Option<&Value>, force, name: &str, data: Value| {
        Try { schema: &schema, live, force }.apply(name, &ssa(data)).unwrap()
    };
    let first = step(None, false, "one", json!({"a": "1", "b": "2"}));
    let second = step(Some(&first), false, "one", json!({"a": "1"}));
    assert_eq!(second["data"], json!({"a": "1"}));
    let third = step(Some(&second), true, "two", json!({"a": "X", "c": "3"}));
    assert_eq!(owners(&third), [("two".to_owned(), json!({"f:data": {"f:a": {}, "f:c": {}}}))]);
    let fourth = step(Some(&third), false, "one", json!({"a": "X"}));
    let fifth = step(Some(&fourth), false, "two", json!({"c": "3"}));
    assert_eq!(fifth["data"], json!({"a": "X", "c": "3"}), "`a` is still owned by `one`");
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ssa"}});
    let sixth = Try { schema: &schema, live: Some(&fifth), force: false }.apply("two", &config).unwrap();
    assert_eq!(sixth["data"], json!({"a": "X"}));
    assert_eq!(owners(&sixth), [("one".to_owned(), json!({"f:data": {"f:a": {}}}))]);
}

#[test]
fn conflicts_name_owner_and_path() {
    let schema = config_map();
    let live =
        Try { schema: &schema, live: None, force: false }.apply("one", &ssa(json!({"a": "1"}))).unwrap();
    let refused = Try { schema: &schema, live: Some(&live), force: false }
        .apply("two", &ssa(json!({"a": "X"})))
        .unwrap_err();
    assert_eq!(refused.to_string(), "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    assert_eq!(
        refused.status()["details"]["causes"],
        json!([{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.a"}])
    );
}

#[test]
fn an_update_takes_fields_and_its_conflict_names_the_version() {
    let schema = config_map();
    let live =
        Try { schema: &schema, live: None, force: false }.apply("one", &ssa(json!({"a": "1"}))).unwrap();
    let mut updated = live.clone();
    updated["data"]["a"] = json!("updated");
    track_update(&schema, Some(&live), &mut updated, &manager("curl", "v1"), TIME, &FieldSet::default());
    assert_eq!(owners(&updated), [("curl".to_owned(), json!({"f:data": {"f:a": {}}}))]);
    let refused =
        Try { schema: &schema, live: Some(&updated), force: false }.apply("one", &ssa(json!({"a": "back"})));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "Apply failed with 1 conflict: conflict with \"curl\" using v1: .data.a"
    );
}

#[test]
fn a_create_owns_parents_too() {
    let mut created = ssa(json!({"a": "1"}));
    created["metadata"]["labels"] = json!({"l": "1"});
    track_update(&config_map(), None, &mut created, &manager("curl", "v1"), TIME, &FieldSet::default());
    let expected = json!({"f:data": {".": {}, "f:a": {}}, "f:metadata": {"f:labels": {".": {}, "f:l": {}}}});
    assert_eq!(owners(&created), [("curl".to_owned(), expected)]);
}

#[test]
fn list_elements_are_owned_by_key() {
    let schema = deployment();
    let container = json!({"name": "sd", "image": "nginx:1.25", "ports": [{"containerPort": 80}],
        "env": [{"name": "A", "value": "1"}]});
    let live = Try { schema: &schema, live: None, force: false }.apply("dev", &web(container)).unwrap();
    let expected = json!({
        "f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {
            "f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"sd\"}": {".": {}, "f:name": {}, "f:image": {},
                "f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
            }}},
        }},
    });
    assert_eq!(owners(&live), [("dev".to_owned(), expected)]);

    let other = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "sd"},
        "spec": {"template": {"spec": {"containers": [{"name": "inj", "image": "side:1"}]}}}});
    let both = Try { schema: &schema, live: Some(&live), force: false }.apply("injector", &other).unwrap();
    let names = |o: &Value| {
        let list = o.pointer("/spec/template/spec/containers").and_then(Value::as_array).unwrap().clone();
        list.iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&both), ["sd", "inj"]);
    let nothing = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "sd"},
        "spec": {"template": {"spec": {}}}});
    let gone = Try { schema: &schema, live: Some(&both), force: false }.apply("injector", &nothing).unwrap();
    assert_eq!(names(&gone), ["sd"]);
}

#[test]
fn configurations_that_do_not_fit_are_refused_in_the_servers_words() {
    let schema = config_map();
    let refuse = |data: Value| {
        Try { schema: &schema, live: None, force: false }.apply("one", &ssa(data)).unwrap_err().to_string()
    };
    assert_eq!(
        refuse(json!({"a": 1})),
        "failed to create typed patch object (/ssa; /v1, Kind=ConfigMap): .data.a: expected string, got &value.valueUnstructured{Value:1}"
    );
    let mut twice = web(json!({"name": "sd", "image": "a"}));
    twice["spec"]["template"]["spec"]["containers"] = json!([{"name": "sd"}, {"name": "sd"}]);
    let refused = Try { schema: &deployment(), live: None, force: false }.apply("dev", &twice).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "failed to create typed patch object (/sd; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name=\"sd\"]"
    );
    let unknown = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ssa"}, "dat": {}});
    let refused = Try { schema: &schema, live: None, force: false }.apply("one", &unknown).unwrap_err();
    assert!(refused.to_string().ends_with(".dat: field not declared in schema"), "{refused}");
}

#[test]
fn kubectl_may_take_what_its_client_side_apply_wrote() {
    let schema = config_map();
    let mut live = ssa(json!({"a": "4"}));
    live["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration":
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"ssa\"},\"data\":{\"a\":\"4\"}}"});
    let client_side = manager("kubectl-client-side-apply", "v1");
    track_update(&schema, None, &mut live, &client_side, TIME, &FieldSet::default());
    let taken =
        Try { schema: &schema, live: Some(&live), force: false }.apply("kubectl", &ssa(json!({"a": "5"})));
    let taken = taken.unwrap();
    assert_eq!(taken["data"]["a"], "5");
    let last = taken["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
        .as_str()
        .unwrap();
    assert_eq!(serde_json::from_str::<Value>(last).unwrap(), ssa(json!({"a": "5"})));
    let other =
        Try { schema: &schema, live: Some(&live), force: false }.apply("other", &ssa(json!({"a": "5"})));
    assert_eq!(other.unwrap_err().code(), 409);
}

#[test]
fn one_empty_entry_resets_the_managers() {
    let schema = config_map();
    let live =
        Try { schema: &schema, live: None, force: false }.apply("one", &ssa(json!({"a": "1"}))).unwrap();
    let mut reset = live.clone();
    reset["metadata"]["managedFields"] = json!([{}]);
    track_update(&schema, Some(&live), &mut reset, &manager("curl", "v1"), TIME, &FieldSet::default());
    assert_eq!(reset.pointer("/metadata/managedFields"), None);
}

fn data() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[a-e]", "[0-3]", 0..5).prop_map(|map| json!(map))
}

fn containers() -> impl Strategy<Value = Value> {
    let env = proptest::collection::btree_map("[A-D]", "[0-2]", 1..4).prop_map(|env| {
        env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>()
    });
    proptest::collection::btree_map("[a-c]", ("[x-z]", env), 1..3).prop_map(|all| {
        let list: Vec<Value> = all
            .into_iter()
            .map(|(name, (image, env))| json!({"name": name, "image": image, "env": env}))
            .collect();
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "sd"},
            "spec": {"template": {"spec": {"containers": list}}}})
    })
}

proptest! {
    #[test]
    fn applying_twice_changes_nothing(first in data(), second in data()) {
        let schema = config_map();
        let live = Try { schema: &schema, live: None, force: false }.apply("one", &ssa(first)).unwrap();
        let once = Try { schema: &schema, live: Some(&live), force: true }.apply("two", &ssa(second.clone())).unwrap();
        let again = Try { schema: &schema, live: Some(&once), force: false }.apply("two", &ssa(second)).unwrap();
        prop_assert_eq!(once, again);
    }

    #[test]
    fn what_was_applied_is_there_and_what_was_given_up_is_not(
        first in containers(), second in containers(), other in containers()
    ) {
        let schema = deployment();
        let live = Try { schema: &schema, live: None, force: false }.apply("dev", &first).unwrap();
        let mixed = Try { schema: &schema, live: Some(&live), force: true }.apply("other", &other).unwrap();
        let moved = Try { schema: &schema, live: Some(&mixed), force: true }.apply("dev", &second).unwrap();
        let again = Try { schema: &schema, live: Some(&moved), force: false }.apply("dev", &second).unwrap();
        prop_assert_eq!(&moved, &again);
        let names = |o: &Value| -> std::collections::BTreeSet<String> {
            let list = o.pointer("/spec/template/spec/containers").and_then(Value::as_array);
            list.into_iter().flatten().map(|c| c["name"].as_str().unwrap().to_owned()).collect()
        };
        let wanted: std::collections::BTreeSet<_> = names(&second).union(&names(&other)).cloned().collect();
        prop_assert_eq!(names(&moved), wanted);
    }
}
