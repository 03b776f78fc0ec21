//! Every function of `text`, by a table of calls and answers, and their mistakes as a script author meets them.

use aegis_engine::function::Services;
use aegis_engine::testing::Bench;
use serde_json::{Value, json};

fn bench() -> Bench {
    Bench::new(vec![super::module()], Services::default())
}

async fn told(bench: &Bench, name: &str, arguments: Value) -> String {
    let error = bench.call(name, arguments).await.unwrap_err();
    assert_eq!(error.code, "A0101");
    error.hint.map_or(error.message.clone(), |hint| format!("{}\nhint: {hint}", error.message))
}

#[tokio::test]
async fn calls_answer_as_their_pages_say() {
    let bench = bench();
    let table = [
        ("parse_json", json!({ "text": "{\"a\": [1, 2.5, null]}" }), json!({ "a": [1, 2.5, null] })),
        ("render_json", json!({ "value": { "b": 1, "a": [] } }), json!("{\"a\":[],\"b\":1}")),
        ("render_json", json!({ "value": { "a": 1 }, "pretty": true }), json!("{\n  \"a\": 1\n}")),
        (
            "parse_yaml",
            json!({ "text": "a: yes\nb: [1, true, ~]\n" }),
            json!({ "a": true, "b": [1, true, null] }),
        ),
        ("parse_yaml", json!({ "text": "a: 1\n---\nb: 2\n", "all": true }), json!([{ "a": 1 }, { "b": 2 }])),
        ("parse_yaml", json!({ "text": "" }), Value::Null),
        (
            "render_yaml",
            json!({ "value": { "on": "yes", "n": [1, { "k": "v" }] } }),
            json!("\"n\":\n- 1\n- k: v\n\"on\": \"yes\"\n"),
        ),
        (
            "parse_toml",
            json!({ "text": "at = 2026-03-01\n[a]\nb = 1.5" }),
            json!({ "at": "2026-03-01", "a": { "b": 1.5 } }),
        ),
        (
            "render_toml",
            json!({ "value": { "a": { "b": [1, 2] }, "c": "d" } }),
            json!("c = \"d\"\n\n[a]\nb = [1, 2]\n"),
        ),
        ("base64_encode", json!({ "text": "hello?>" }), json!("aGVsbG8/Pg==")),
        ("base64_encode", json!({ "text": "hello?>", "url": true }), json!("aGVsbG8_Pg")),
        ("base64_decode", json!({ "text": "aGVs\nbG8/Pg==" }), json!("hello?>")),
        ("base64_decode", json!({ "text": "aGVsbG8_Pg", "url": true }), json!("hello?>")),
        // FIPS 180-4, the one-block message "abc".
        (
            "sha256",
            json!({ "text": "abc" }),
            json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ),
        ("semver_compare", json!({ "a": "v1.31", "b": "1.31.0" }), json!(0)),
        ("semver_compare", json!({ "a": "1.2.0-rc.1", "b": "1.2.0" }), json!(-1)),
        ("semver_compare", json!({ "a": "1.10.0", "b": "1.9.9+build" }), json!(1)),
        ("semver_satisfies", json!({ "version": "v1.31.4", "range": ">=1.28, <1.34" }), json!(true)),
        ("semver_satisfies", json!({ "version": "2.0", "range": "^1.2" }), json!(false)),
        ("matches", json!({ "text": "web-7f", "pattern": "^web-[0-9a-f]+$" }), json!(true)),
        ("matches", json!({ "text": "web", "pattern": "^eb" }), json!(false)),
        (
            "find",
            json!({ "text": "image web:1.27", "pattern": r"(?<name>\w+):(\S+)" }),
            json!({ "text": "web:1.27", "groups": ["web", "1.27"], "names": { "name": "web" } }),
        ),
        ("find", json!({ "text": "none", "pattern": "x" }), Value::Null),
        ("replace", json!({ "text": "a1b2", "pattern": r"(\d)", "replacement": "<$1>" }), json!("a<1>b<2>")),
        ("replace", json!({ "text": "aaa", "pattern": "a", "replacement": "b", "limit": 2 }), json!("bba")),
        ("trim", json!({ "text": "\n web \t" }), json!("web")),
        ("lines", json!({ "text": "a\r\n\n b\n" }), json!(["a", " b"])),
        ("lines", json!({ "text": "a\n\nb", "blank": true }), json!(["a", "", "b"])),
        ("indent", json!({ "text": "a\n\n  b\n", "spaces": 2 }), json!("  a\n\n    b\n")),
        ("join", json!({ "items": ["a", 2, { "b": true }], "separator": ", " }), json!("a, 2, {\"b\":true}")),
        ("slug", json!({ "text": "Checkout: EU (blue)" }), json!("checkout-eu-blue")),
        ("slug", json!({ "text": "abc def", "max": 4 }), json!("abc")),
    ];
    for (name, arguments, answer) in table {
        let shown = format!("text::{name}({arguments})");
        let answered = bench.call(&format!("text::{name}"), arguments).await;
        assert_eq!(answered.as_ref(), Ok(&answer), "{shown}");
    }
    let found =
        bench.call("text::find_all", json!({ "text": "a=1 b=2", "pattern": r"(\w)=(\d)" })).await.unwrap();
    assert_eq!((&found[1]["groups"], found.as_array().unwrap().len()), (&json!(["b", "2"]), 2));
}

#[tokio::test]
async fn a_uuid_is_version_four_and_comes_from_the_dice() {
    let bench = bench();
    let first = bench.call("text::uuid", json!({})).await.unwrap();
    let parsed: uuid::Uuid = first.as_str().unwrap().parse().unwrap();
    assert_eq!(parsed.get_version_num(), 4);
    assert_ne!(first, bench.call("text::uuid", json!({})).await.unwrap());
}

#[tokio::test]
async fn mistakes_are_told_with_a_way_out() {
    let bench = bench();
    let json = told(&bench, "text::parse_json", json!({ "text": "{\"a\": }" })).await;
    assert_eq!(json, "the text is not JSON: expected value at line 1 column 7");
    let yaml = told(&bench, "text::parse_yaml", json!({ "text": "a: 1\n---\nb: 2" })).await;
    assert_eq!(
        yaml,
        "the text holds 2 YAML documents, not one\nhint: pass `#{ all: true }` to get an array of them"
    );
    let toml = told(&bench, "text::render_toml", json!({ "value": { "a": null } })).await;
    assert!(toml.contains("remove keys that are `()`"), "{toml}");
    let bytes = told(&bench, "text::base64_decode", json!({ "text": "/+8=" })).await;
    assert!(bytes.starts_with("the decoded bytes are not text"), "{bytes}");
    let version = told(&bench, "text::semver_compare", json!({ "a": "one", "b": "1" })).await;
    assert!(version.starts_with("`one` is not a version"), "{version}");
    let pattern = told(&bench, "text::matches", json!({ "text": "", "pattern": "(?=x)" })).await;
    assert!(pattern.contains("look-around"), "{pattern}");
}

#[tokio::test]
async fn what_would_fill_the_memory_is_refused_before_it_does() {
    let (bench, text) = (bench(), "x".repeat(1 << 20));
    let (dollars, lines, breaks) = ("$0".repeat(1 << 10), "x\n".repeat(1 << 20), "\n".repeat(1 << 20));
    let table = [
        ("join", json!({ "items": vec!["a"; 1 << 10], "separator": &text })),
        ("replace", json!({ "text": &text, "pattern": "x", "replacement": &text })),
        ("replace", json!({ "text": &text, "pattern": "x+", "replacement": dollars })),
        ("indent", json!({ "text": lines, "spaces": 200 })),
        ("find_all", json!({ "text": &text, "pattern": "x" })),
        ("lines", json!({ "text": breaks, "blank": true })),
    ];
    for (name, arguments) in table {
        let refused = bench.call(&format!("text::{name}"), arguments).await.unwrap_err();
        assert_eq!(refused.code, "A0009", "{name}: {}", refused.message);
    }
}

#[test]
fn every_function_but_uuid_keeps_secrets_secret() {
    let open: Vec<&str> =
        super::module().functions.iter().map(|f| f.description).filter(|d| !d.pure).map(|d| d.name).collect();
    assert_eq!(open, ["uuid"]);
}
