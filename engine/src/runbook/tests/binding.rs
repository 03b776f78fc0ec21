//! Values in, parameters or all that is wrong with them out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::runbook::{Header, Runbook, Sources};

fn header() -> Header {
    let text = r#"runbook(#{ title: "x", params: #{
        pool: #{ help: "node pool", pattern: "^[a-z]+$" },
        count: #{ type: "int", default: 1, min: 0, max: 10 },
        ratio: #{ type: "float", default: 1 },
        wait: #{ type: "duration", default: 90, max: "1h" },
        zones: #{ type: "list", default: ["a"], max: 2 },
        labels: #{ type: "map", required: false },
        size: #{ choices: ["small", "large"], default: "small" },
        force: #{ type: "bool", default: false },
        token: #{ secret: true, pattern: "^t-" },
    } });"#;
    Runbook::from_sources(Sources::new("x.rhai", text))
        .unwrap_or_else(|e| panic!("{}", e.render(false)))
        .header
}

fn bind(given: &Value, environment: &[(&str, &str)]) -> Result<crate::runbook::Params, Vec<String>> {
    let given: BTreeMap<String, Value> = serde_json::from_value(given.clone()).unwrap();
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    header().bind(&given, &environment).map_err(|problems| {
        let told = |p: crate::diagnostic::Diagnostic| {
            [Some(p.message), p.hint].into_iter().flatten().collect::<Vec<_>>().join(" | ")
        };
        problems.into_iter().map(told).collect()
    })
}

#[test]
fn texts_of_the_command_line_become_typed_values() {
    let given = json!({
        "pool": "blue", "count": "3", "ratio": "0.5", "wait": "5m", "zones": "a, b",
        "labels": "{\"a\": 1}", "size": "large", "force": "true",
    });
    let params = bind(&given, &[("AEGIS_PARAM_TOKEN", "t-123456789")]).unwrap();
    let expected = json!({
        "pool": "blue", "count": 3, "ratio": 0.5, "wait": "5m", "zones": ["a", "b"],
        "labels": { "a": 1 }, "size": "large", "force": true,
    });
    assert_eq!(serde_json::to_value(&params.plain).unwrap(), expected);
    assert_eq!(params.secret["token"].open(), "t-123456789");
}

#[test]
fn what_is_not_given_has_its_default() {
    let params = bind(&json!({ "pool": "blue", "token": "env:MINE" }), &[("MINE", "t-1")]).unwrap();
    let expected = json!({
        "pool": "blue", "count": 1, "ratio": 1.0, "wait": "1m 30s", "zones": ["a"],
        "labels": null, "size": "small", "force": false,
    });
    assert_eq!(serde_json::to_value(&params.plain).unwrap(), expected);
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let given = json!({
        "pol": "x", "count": "11", "ratio": "half", "wait": "2h", "zones": "a,b,c",
        "labels": [1], "size": "huge", "force": 1, "token": "t-open",
    });
    let problems = bind(&given, &[]).unwrap_err();
    assert_eq!(
        problems,
        [
            "the runbook has no parameter `pol` | did you mean `pool`?",
            "parameter `count` must be at most 10, not 11",
            "parameter `force` must be bool, not int",
            "parameter `labels` must be map, not array",
            "parameter `pool` is missing | add `--param pool=...` (node pool)",
            "parameter `ratio` must be float, and `half` is not",
            "parameter `size` must be `small` or `large`, not `huge`",
            "parameter `token` is secret and cannot be given in the open | set `AEGIS_PARAM_TOKEN`, or name a variable: `--param token=env:VARIABLE`",
            "parameter `wait` must be at most 3600 seconds, not 7200",
            "parameter `zones` must be at most 2 items, not 3",
        ]
    );
}

#[test]
fn a_secret_that_does_not_fit_is_not_told() {
    let problems = bind(&json!({ "pool": "blue" }), &[("AEGIS_PARAM_TOKEN", "hunter2")]).unwrap_err();
    assert_eq!(problems, ["parameter `token` must match `^t-`, and its value does not"]);
    let missing = bind(&json!({ "pool": "blue" }), &[]).unwrap_err();
    assert_eq!(
        missing,
        ["secret parameter `token` is missing: `AEGIS_PARAM_TOKEN` is not set | set `AEGIS_PARAM_TOKEN`"]
    );
}
