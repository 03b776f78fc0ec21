//! Steps, parallel blocks, options and values.

use aegis_engine::function::Registry;
use aegis_engine::journal::{Body, Outcome, Verdict};
use aegis_engine::runbook::{BUILTINS, Runbook, Sources, check};
use serde_json::json;

use crate::world::{Bench, HEADER};

fn ok(script: &str) -> (Bench, serde_json::Value) {
    let bench = Bench::new();
    let ended = bench.run(script);
    assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{:?}", ended.failure);
    (bench, ended.value)
}

#[test]
fn a_step_hands_out_its_value_and_calls_pass_the_gate() {
    let (bench, value) = ok(r#"
        let made = step("make", || { world::change("a", #{ n: 1, deep: [1, 2.5, "x", true, ()] }) });
        let seen = step("look", || world::read("a"));
        [made == seen, made.n, step("nested", || step("inner", || 7))]
    "#);
    assert_eq!(value, json!([true, 1, 7]));
    assert_eq!(bench.world.lines(), ["change a", "read a"]);
}

#[test]
fn a_body_sees_copies_of_outer_variables() {
    let (_, value) = ok(r#"let x = 1; step("s", || { x += 1; x }); x"#);
    assert_eq!(value, json!(1));
}

#[test]
fn parallel_keeps_the_order_of_items_and_bounds_its_threads() {
    let (bench, value) = ok(r#"
        parallel([3, 1, 2], #{ max: 2 }, |n| { world::change(`p${n}`, n); n * 10 })
    "#);
    assert_eq!(value, json!([30, 10, 20]));
    assert_eq!(bench.world.performed("change p"), 3);
}

#[test]
fn parallel_collects_or_stops_at_the_first_error() {
    let bench = Bench::new();
    bench.world.fail("b", 1);
    let ended = bench.run(
        r#"
        let r = parallel(["a", "b", "c"], #{ collect: true }, |n| world::change(n, 1));
        [r[0].ok, r[1].ok, r[1].error.message, r[2].ok]
    "#,
    );
    assert_eq!(ended.value, json!([true, false, "`b` is out of order", true]));

    bench.world.fail("b", 1);
    let ended = bench.run(r#"parallel(["a", "b", "c"], #{ max: 1 }, |n| world::change(n, 2))"#);
    assert_eq!(ended.verdict, Some(Verdict::Failed));
    assert_eq!(bench.world.performed("change c"), 1, "no branch begins after the first error");
}

#[test]
fn retry_tries_again_and_only_if_decides() {
    let bench = Bench::new();
    bench.world.fail("flaky", 2);
    let ended = bench.run(
        r#"
        step("s", #{ retry: #{ max: 3, backoff: "0s" } }, || world::change("flaky", 1))
    "#,
    );
    assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{:?}", ended.failure);
    let attempts: Vec<u32> = bench
        .entries(&ended.run)
        .iter()
        .filter_map(|entry| if let Body::Entered { attempt, .. } = entry.body { Some(attempt) } else { None })
        .collect();
    assert_eq!(attempts, [1, 2, 3]);

    bench.world.fail("broken", 9);
    let ended = bench.run(r#"
        step("s", #{ retry: #{ max: 3, backoff: "0s", only_if: |e| e.code == "A0000" } }, || world::change("broken", 1))
    "#);
    assert_eq!(ended.verdict, Some(Verdict::Failed));
    assert_eq!(bench.world.faults.lock().unwrap()["broken"].0, 8, "one attempt only");
}

#[test]
fn when_and_on_failure_continue_leave_a_unit() {
    let bench = Bench::new();
    bench.world.fail("x", 1);
    let ended = bench.run(
        r#"
        let a = step("not now", #{ when: false }, || world::change("never", 1));
        let b = step("try", #{ on_failure: "continue" }, || world::change("x", 1));
        [type_of(a), type_of(b)]
    "#,
    );
    assert_eq!(ended.value, json!(["()", "()"]));
    assert_eq!(bench.world.performed("change never"), 0);
    let skipped = bench.entries(&ended.run).iter().any(
        |e| matches!(&e.body, Body::Left { outcome: Outcome::Skipped(why), .. } if why.contains("when")),
    );
    assert!(skipped);
}

#[test]
fn the_examples_of_the_engines_own_functions_run() {
    for builtin in BUILTINS.iter().filter(|builtin| builtin.name != "runbook") {
        ok(builtin.example);
    }
}

#[test]
fn options_are_refused_in_a_run_as_they_are_by_a_check() {
    let cases = [
        ("step", "#{ retry: #{ maxx: 3 } }", "argument `retry` has no key `maxx`", "did you mean `max`?"),
        (
            "step",
            "#{ on_failure: \"undo\" + \"o\" }",
            "argument `on_failure` cannot be `undoo`",
            "did you mean `undo`?",
        ),
        ("step", "#{ retrry: 1 }", "unknown option `retrry`", "did you mean `retry`?"),
        (
            "step",
            "#{ retry: #{ only_if: 1 } }",
            "argument `retry.only_if` must be function, not int",
            "`only_if`: Asked",
        ),
        (
            "step",
            "#{ undo: #{ function: \"f\", arguments: [|| 1] } }",
            "a value of type `Fn` cannot be journaled",
            "hand",
        ),
        (
            "parallel",
            "#{ collect: \"all\" }",
            "argument `collect` must be bool, not string",
            "`collect`: What",
        ),
    ];
    for (function, options, message, hint) in cases {
        let first = if function == "step" { "\"s\"" } else { "[1]" };
        let body = if function == "step" { "|| 1" } else { "|item| item" };
        let ended = Bench::new().run(&format!("{function}({first}, {options}, {body})"));
        let failure = ended.failure.unwrap();
        assert_eq!(failure.code, if hint == "hand" { "A0010" } else { "A0101" }, "{failure:?}");
        assert!(failure.message.starts_with(message), "{failure:?}");
        assert!(failure.hint.clone().unwrap_or_default().contains(hint), "{failure:?}");
    }
}

#[test]
fn a_check_finds_what_a_run_refuses_and_nothing_that_it_takes() {
    let values = [
        "1",
        "-1",
        "0",
        "1.5",
        "true",
        "\"5m\"",
        "\"5 minuts\"",
        "\"undo\"",
        "\"pass\"",
        "[]",
        "[\"a\"]",
        "[1]",
        "#{}",
        "#{ max: 1 }",
        "#{ max: \"1\" }",
        "#{ backoff: \"1s\", only_if: |e| true }",
        "#{ only_if: 1 }",
        "#{ function: \"f\" }",
        "#{ function: 1 }",
        "#{ question: \"go?\" }",
        "|| 1",
        "()",
    ];
    let calls = [
        (
            "step(\"s\", #{ KEY: VALUE }, || 1)",
            &["retry", "timeout", "when", "on_failure", "undo", "approval", "x"][..],
        ),
        ("parallel([1], #{ KEY: VALUE }, |item| item)", &["max", "collect", "x"]),
        ("lock::hold(\"a\", #{ KEY: VALUE })", &["wait", "time_to_live"]),
        ("report::check(\"a\", #{ status: \"pass\", KEY: VALUE })", &["requirements", "from", "read", "x"]),
        ("report::check(\"a\", #{ KEY: VALUE })", &["status"]),
        ("report::table(\"a\", KEY, VALUE)", &["[]"]),
    ];
    let bench = Bench::new();
    let modules = aegis_engine::builtin::modules();
    let registry = Registry::new(modules).unwrap();
    let (mut taken, mut refused) = (0, 0);
    for (call, keys) in calls {
        for (key, value) in keys.iter().flat_map(|key| values.map(|value| (key, value))) {
            let text = format!("{HEADER}\n{};\n", call.replace("KEY", key).replace("VALUE", value));
            let runbook = Runbook::from_sources(Sources::new("test.rhai", text.as_str())).unwrap();
            let found = check(&runbook, &registry, &BUILTINS);
            let codes: Vec<&str> = found.iter().map(|problem| problem.code.as_str()).collect();
            let failure = bench.run(&text).failure;
            let is_refused = failure.as_ref().is_some_and(|failure| failure.code == "A0101");
            // A function where data is wanted is refused before anybody looks at what it stands for.
            let is_data = failure.as_ref().is_some_and(|failure| failure.code == "A0010");
            let is_found = codes.contains(&"A0101");
            assert!(is_found || !is_refused, "only the run refuses {text}{failure:?}");
            assert!(!is_found || is_refused || is_data, "a false alarm about {text}{found:?}");
            if is_refused { refused += 1 } else { taken += 1 }
        }
    }
    println!("{taken} values were taken, {refused} refused");
    assert!(taken > 50 && refused > 100, "{taken} {refused}");
}

#[test]
fn an_option_that_is_nothing_is_not_given_and_a_retry_has_defaults() {
    let bench = Bench::new();
    bench.world.fail("flaky", 1);
    let ended = bench.run(
        r#"
        step("a", #{ retry: #{ max: (), backoff: 0 }, timeout: (), when: (), on_failure: () }, || world::change("flaky", 1));
        parallel([1, 2], #{ max: 0, collect: () }, |item| item)
    "#,
    );
    assert_eq!(
        (ended.verdict, ended.value),
        (Some(Verdict::Succeeded), json!([1, 2])),
        "{:?}",
        ended.failure
    );
}

#[test]
fn a_script_catches_errors_as_maps() {
    let (_, value) = ok(r#"
        let told = ();
        try { world::change("a", 1, #{ vlaue: 2 }); } catch (error) { told = [error.code, error.message, error.hint, error.function]; }
        told
    "#);
    assert_eq!(
        value,
        json!(["A0101", "`world::change`: unknown option `vlaue`", "did you mean `value`?", "change"])
    );
}

#[test]
fn a_step_timeout_reaches_a_blocked_call_and_a_loop() {
    let bench = Bench::new();
    let ended = bench.run(r#"step("s", #{ timeout: "1s" }, || { let n = 0; loop { n += 1; } })"#);
    assert_eq!(ended.failure.unwrap().code, "A0106");
    let ended = bench.run(r#"step("s", #{ timeout: 0 }, || world::change("late", 1))"#);
    assert_eq!(ended.failure.unwrap().code, "A0106");
    assert_eq!(bench.world.performed("change late"), 0);
}
