//! A CronTab resource, and what a real server said about its objects.

use super::*;
use serde_json::json;

fn cron_tab() -> CustomType {
    CustomType::new(&json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "required": ["cronSpec"], "properties": {
            "cronSpec": {"type": "string", "pattern": "^\\S+( \\S+){4}$"},
            "image": {"type": "string", "default": "cron:latest"},
            "replicas": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 10, "default": 1},
            "mode": {"type": "string", "enum": ["Fast", "Slow"]},
            "port": {"x-kubernetes-int-or-string": true},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "items": {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "value": {"type": "integer"}}}},
            "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "opt": {"type": "string", "nullable": true}},
            "x-kubernetes-validations": [{"rule": "!has(self.mode) || self.mode != 'Fast' || self.replicas <= 5", "message": "Fast allows at most 5 replicas"},
                {"rule": "self.image == oldSelf.image", "message": "image stays"}]},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}))
}

fn read(spec: Value) -> (Value, Vec<String>, Vec<String>) {
    let mut object = json!({"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": "a"}, "spec": spec});
    let kind = cron_tab();
    let unknown = kind.read(&mut object).unwrap();
    kind.fill_defaults(&mut object);
    let problems = kind
        .problems(None, &object)
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    (object["spec"].clone(), unknown, problems)
}

const CRON: &str = "* * * * */5";

#[test]
fn unknown_fields_go_and_defaults_come() {
    let (spec, unknown, problems) = read(
        json!({"cronSpec": CRON, "unknown": 1, "free": {"x": {"y": 1}}, "port": "http", "opt": null, "image": null}),
    );
    assert_eq!(unknown, ["spec.unknown"]);
    assert_eq!(
        spec,
        json!({"cronSpec": CRON, "free": {"x": {"y": 1}}, "port": "http", "opt": null, "image": "cron:latest", "replicas": 1})
    );
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn problems_read_like_the_servers() {
    let unchecked = "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
    let (_, _, problems) = read(
        json!({"cronSpec": "bad", "replicas": 99, "mode": "Medium", "tags": ["x", "x"], "items": [{"value": 1}]}),
    );
    assert_eq!(
        problems,
        [
            "spec.cronSpec: Invalid value: \"bad\": spec.cronSpec in body should match '^\\S+( \\S+){4}$'",
            "spec.items[0].name: Required value",
            "spec.mode: Unsupported value: \"Medium\": supported values: \"Fast\", \"Slow\"",
            "spec.replicas: Invalid value: 99: spec.replicas in body should be less than or equal to 10",
            "spec.tags[1]: Duplicate value: \"x\"",
            unchecked,
        ]
    );
    let (_, _, problems) = read(json!({"cronSpec": CRON, "replicas": "three"}));
    assert_eq!(
        problems[0],
        "spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\""
    );
    let (_, _, problems) = read(json!({"cronSpec": CRON, "replicas": 20}));
    assert_eq!(problems.len(), 1, "a value out of range does not stop the rules");
    let (_, _, problems) = read(json!({"cronSpec": CRON, "items": [{"name": "x"}, {"name": "x"}]}));
    assert_eq!(problems, ["spec.items[1]: Duplicate value: {\"name\":\"x\"}"]);
    let (_, _, problems) = read(
        json!({"cronSpec": CRON, "items": [{"name": "0"}, {"name": "1"}, {"name": "2"}, {"name": "3"}]}),
    );
    assert_eq!(problems, ["spec.items: Too many: 4: must have at most 3 items", unchecked]);
}

#[test]
fn null_is_a_wrong_type_unless_nullable() {
    let (_, _, problems) = read(json!({"cronSpec": null}));
    assert!(problems[0].ends_with("spec.cronSpec in body must be of type string: \"null\""), "{problems:?}");
}

#[test]
fn definitions_are_checked() {
    let definition = |name: &str, group: &str, schema: Value| {
        json!({"metadata": {"name": name}, "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
    };
    let problems = |definition: &Value| {
        let causes = definition_problems(None, definition);
        causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect::<Vec<_>>()
    };
    let good = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"x": {}}}}});
    assert_eq!(
        problems(&definition("foos.example.com", "example.com", good)),
        [
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[x].type: Required value: must not be empty for specified object fields"
        ]
    );
    assert_eq!(
        problems(&definition("wrong.example.com", "example.com", json!({"type": "object"}))),
        ["metadata.name: Invalid value: \"wrong.example.com\": must be spec.names.plural+\".\"+spec.group"]
    );
    assert_eq!(problems(&definition("foos.k8s.io", "k8s.io", json!({"type": "object"}))).len(), 1);
    assert_eq!(
        problems(&definition("foos.example.com", "example.com", Value::Null)),
        ["spec.versions[0].schema.openAPIV3Schema: Required value"]
    );
}

#[test]
fn rules_are_run_on_what_fits() {
    let (_, _, problems) = read(json!({"cronSpec": CRON, "mode": "Fast", "replicas": 9}));
    assert_eq!(problems, ["spec: Invalid value: Fast allows at most 5 replicas"]);
    let object = |image: &str| json!({"spec": {"cronSpec": CRON, "image": image, "replicas": 1}});
    assert!(cron_tab().problems(Some(&object("a")), &object("a")).is_empty());
    let causes = cron_tab().problems(Some(&object("a")), &object("b"));
    assert_eq!(causes[0].message, "Invalid value: image stays");
}
