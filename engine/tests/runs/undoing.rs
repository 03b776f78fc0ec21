//! The undo ledger: newest first, by step, by run, by a person, after a crash, and what stays behind.

use std::sync::Arc;

use aegis_engine::clock::SystemClock;
use aegis_engine::journal::{Store, Verdict};
use aegis_engine::run::operate::Desk;
use serde_json::json;

use crate::world::Bench;

#[test]
fn a_step_undoes_its_own_effects_newest_first() {
    let bench = Bench::new();
    bench.world.fail("broken", 1);
    let ended = bench.run(
        r#"
        world::change("kept", 1);
        step("s", #{ on_failure: "undo" }, || {
            world::change("x", 1);
            step("inner", || world::change("y", 2));
            world::change("broken", 3);
        })
    "#,
    );
    assert_eq!(ended.verdict, Some(Verdict::Failed));
    assert_eq!(bench.world.lines(), ["change kept", "change x", "change y", "change y", "change x"]);
    let left: Vec<&str> = ended.leftovers.iter().map(|debt| debt.undo.summary.as_str()).collect();
    assert_eq!(left, ["change kept back"]);
}

#[test]
fn the_header_undoes_the_whole_run() {
    let bench = Bench::new();
    bench.world.fail("broken", 1);
    let ended = bench.run(
        r#"
        runbook(#{ title: "t", owner: "o", needs: ["world:change"], on_failure: "undo" });
        world::change("x", 1);
        world::change("broken", 3);
    "#,
    );
    assert_eq!(ended.verdict, Some(Verdict::Failed));
    assert_eq!(bench.world.lines(), ["change x", "change x"]);
    assert!(ended.leftovers.is_empty());
}

#[test]
fn a_failing_undo_does_not_stop_the_rest_and_stays_in_the_ledger() {
    let bench = Bench::new();
    let ended = bench.run(r#"world::change("x", 1); world::change("y", 2); throw "enough";"#);
    assert_eq!(ended.verdict, Some(Verdict::Failed));
    bench.world.fail("y", 1);
    let engine = bench.engine(bench.store.clone());
    let undone = engine.undo(&ended.run, bench.execution(), "clean up").unwrap();
    assert_eq!(bench.world.lines(), ["change x", "change y", "change x"]);
    assert_eq!(undone.leftovers.len(), 1);
    let undone = engine.undo(&ended.run, bench.execution(), "again").unwrap();
    assert_eq!(bench.world.lines(), ["change x", "change y", "change x", "change y"]);
    assert!(undone.leftovers.is_empty());
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    assert!(desk.leftovers(None).unwrap().is_empty());
}

#[test]
fn a_function_of_the_runbook_can_be_the_inverse() {
    let bench = Bench::new();
    bench.world.fail("broken", 1);
    let ended = bench.run(
        r#"
        runbook(#{ title: "t", owner: "o", needs: ["world:change"], on_failure: "undo" });
        fn put_back(name, value) { world::change(name, value); }
        undo::with("put_back", ["weight", 100]);
        world::change("broken", 3);
    "#,
    );
    assert_eq!(ended.verdict, Some(Verdict::Failed), "{:?}", ended.failure);
    assert_eq!(bench.world.things.lock().unwrap()["weight"], json!(100));

    let ended = bench.run(r#"undo::with("no_such", [1]);"#);
    let told = ended.failure.unwrap();
    assert_eq!(
        (told.code.as_str(), told.message.as_str()),
        ("A0005", "the runbook has no function `no_such` with 1 parameter")
    );
}

#[test]
fn a_step_names_its_inverse_and_asks_before_it_begins() {
    let bench = Bench::new();
    bench.world.fail("broken", 1);
    let ended = bench.run(
        r#"
        fn put_back(name, value) { world::change(name, value); }
        step("s", #{ undo: #{ function: "put_back", arguments: ["weight", 100] }, on_failure: "undo" }, || {
            world::once("shift");
            world::change("broken", 1);
        });
    "#,
    );
    assert_eq!(ended.verdict, Some(Verdict::Failed), "{:?}", ended.failure);
    assert_eq!(bench.world.lines(), ["once shift", "change weight"]);

    let ended = bench.run(r#"step("s", #{ approval: "go?" }, || world::once("never"))"#);
    assert_eq!((ended.verdict, bench.world.performed("once never")), (None, 0));
}

#[test]
fn a_run_that_was_cut_can_be_cancelled_and_undone() {
    let script = r#"world::change("x", 1); world::change("y", 2); world::change("z", 3);"#;
    let whole = Bench::new();
    let records = whole.entries(&whole.run(script).run).len();
    for cut in 1..records {
        let bench = Bench::new();
        let run = bench.run_cut(script, cut).unwrap();
        let engine = bench.engine(bench.store.clone());
        let ended = engine.undo(&run, bench.execution(), "not today").unwrap();
        assert_eq!(ended.verdict, Some(Verdict::Cancelled), "cut after {cut}");
        assert!(ended.leftovers.is_empty(), "cut after {cut}");
        let things = bench.world.things.lock().unwrap();
        assert!(things.values().all(serde_json::Value::is_null), "cut after {cut}: {things:?}");
        drop(things);
        assert!(bench.resume(&run).is_err(), "a cancelled run stays cancelled");
    }
}

#[test]
fn a_drill_that_leaves_something_is_red() {
    let bench = Bench::new();
    let ended = bench.run(
        r#"
        runbook(#{ title: "t", owner: "o", needs: ["world:change"], drill: true });
        world::change("x", 1);
    "#,
    );
    assert_eq!(ended.verdict, Some(Verdict::Failed));
    assert_eq!(ended.failure.unwrap().message, "the drill left 1 effect behind");
    assert_eq!(ended.leftovers.len(), 1);
}

#[test]
fn a_retry_after_an_undo_makes_the_effects_again() {
    let bench = Bench::new();
    bench.world.fail("broken", 1);
    let ended = bench.run(
        r#"
        runbook(#{ title: "t", owner: "o", needs: ["world:change"], on_failure: "undo" });
        world::change("x", 1);
        world::change("broken", 3);
    "#,
    );
    let store: Arc<dyn Store> = bench.store.clone();
    let desk = Desk { store: &*store, clock: &SystemClock };
    let person = aegis_engine::journal::Person("grace".into());
    let by = aegis_engine::run::operate::Decider { person: &person, note: "", evidence: "" };
    desk.retry(&ended.run, &by).unwrap();
    let again = bench.resume(&ended.run).unwrap();
    assert_eq!(again.verdict, Some(Verdict::Succeeded), "{:?}", again.failure);
    assert_eq!(bench.world.things.lock().unwrap()["x"], json!(1));
}
