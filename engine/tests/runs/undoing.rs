//! The undo ledger: newest first, by step, by run, by a person, after a crash, and what stays behind.

use std::sync::Arc;

use aegis_engine::clock::Clock;
use aegis_engine::clock::SystemClock;
use aegis_engine::journal::{Halt, Person, Store, Verdict};
use aegis_engine::run::operate::{Decider, Desk};
use aegis_engine::run::{Conclusion, Mode, Resume, Stop, Undo};
use serde_json::json;

use crate::world::{Bench, HEADER, cut_after};

/// Somebody who decides, and why.
fn decider(note: &str) -> Decider<'_> {
    static GRACE: std::sync::LazyLock<Person> = std::sync::LazyLock::new(|| Person("grace".into()));
    Decider { person: &GRACE, note, evidence: "" }
}

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
    let undone = engine.undo(Undo::of(&ended.run, "clean up"), bench.execution()).unwrap();
    assert_eq!(bench.world.lines(), ["change x", "change y", "change x"]);
    assert_eq!(undone.leftovers.len(), 1);
    let undone = engine.undo(Undo::of(&ended.run, "again"), bench.execution()).unwrap();
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
        let ended = engine.undo(Undo::of(&run, "not today"), bench.execution()).unwrap();
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

#[test]
fn a_retry_makes_again_what_a_function_of_the_runbook_took_back() {
    let step = r#"step("s", #{ undo: #{ function: "back", arguments: ["x"] }, on_failure: "undo" }, || {
        step("inner", || world::once("shift"));
        world::change("broken", 1);
    });"#;
    let within = r#"world::once("before"); undo::with("back", ["x"]); world::once("shift"); undo::with("back", ["y"]);
        world::change("broken", 1);"#;
    for (script, kept) in [(step, 0), (within, 1)] {
        let bench = Bench::new();
        bench.world.fail("broken", 1);
        let ended = bench.run(&format!(
            r#"
            runbook(#{{ title: "t", owner: "o", needs: ["world:change", "world:send"], on_failure: "undo" }});
            fn back(name) {{ world::change(name, "back"); }}
            {script}"#
        ));
        assert_eq!(
            (ended.verdict, bench.world.performed("once shift")),
            (Some(Verdict::Failed), 1),
            "{script}"
        );
        let (store, person): (Arc<dyn Store>, Person) = (bench.store.clone(), Person("grace".into()));
        let desk = Desk { store: &*store, clock: &SystemClock };
        desk.retry(&ended.run, &Decider { person: &person, note: "", evidence: "" }).unwrap();
        let again = bench.resume(&ended.run).unwrap();
        assert_eq!(again.verdict, Some(Verdict::Succeeded), "{:?}", again.failure);
        // What nothing promised to take back is not made again.
        let made = (bench.world.performed("once shift"), bench.world.performed("once before"));
        assert_eq!(made, (2, kept), "{script}");
    }
}

/// Waits until a run does something, then lets go of it in the way a test says.
fn when_it_hangs(bench: &Bench, script: &str, act: impl FnOnce(&aegis_engine::run::Handle)) -> Conclusion {
    let store: Arc<dyn Store> = bench.store.clone();
    let handle = bench.begin(script, Mode::Run, store).unwrap();
    await_hanging(bench, 1);
    act(&handle);
    handle.wait()
}

fn await_hanging(bench: &Bench, times: usize) {
    while bench.world.performed("hang") < times {
        std::thread::yield_now();
    }
}

const SLOW_TO_UNDO: &str = r#"
    fn slowly(name) { world::hang("undo"); world::change(name, "back"); }
    world::change("first", 1);
    undo::with("slowly", ["x"]);
    step("s", || world::change("x", 1));
    step("work", || world::hang("work"));
"#;

#[test]
fn a_run_that_is_left_while_it_is_cancelled_goes_on_where_it_was() {
    let bench = Bench::new();
    let left = when_it_hangs(&bench, SLOW_TO_UNDO, |handle| {
        handle.cancel(&Person("ada".into()), "Ctrl-C").unwrap();
        await_hanging(&bench, 2);
        handle.abandon();
    });
    assert_eq!((left.verdict, left.stop), (None, Some(Stop::Abandoned)));
    assert_eq!(bench.world.things.lock().unwrap()["x"], json!(null), "the newest effect was taken back");
    let without_waiting = SLOW_TO_UNDO.replace("|| world::hang(\"work\")", "|| 7");
    let script = format!("{HEADER}\n{without_waiting}");
    // `slowly` did something, and nobody knows what it left.
    let told = bench.resume_with(&left.run, Some(&script)).unwrap_err().to_string();
    assert!(told.ends_with("is taken back in part"), "{told}");
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    desk.skip(&left.run, "undo::with#0~undo", &decider("it had not begun")).unwrap();
    let ended = bench.resume_with(&left.run, Some(&script)).unwrap();
    assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{:?}", ended.failure);
    let things = bench.world.things.lock().unwrap();
    assert_eq!((&things["first"], &things["x"]), (&json!(1), &json!(1)), "what was undone is done again");
}

#[test]
fn a_run_that_is_left_at_once_has_nothing_undone() {
    let bench = Bench::new();
    let left = when_it_hangs(&bench, r#"world::change("x", 1); world::hang("work");"#, |handle| {
        handle.abandon();
        let _ = handle.cancel(&Person("ada".into()), "too late");
    });
    assert_eq!(left.verdict, None);
    assert_eq!(bench.world.things.lock().unwrap()["x"], json!(1));
}

#[test]
fn a_decision_to_cancel_outlives_the_process_that_heard_it() {
    let bench = Bench::new();
    let script = r#"world::change("x", 1); world::change("y", 1);"#;
    let run = bench.run_cut(script, 4).unwrap();
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let person = Person("grace".into());
    desk.cancel(&run, &Decider { person: &person, note: "not today", evidence: "" }).unwrap();
    let ended = bench.resume(&run).unwrap();
    assert_eq!(ended.verdict, Some(Verdict::Cancelled), "{:?}", ended.failure);
    assert!(bench.world.things.lock().unwrap().values().all(serde_json::Value::is_null));
}

#[test]
fn an_inverse_that_is_a_function_is_tried_again_and_owes_nothing_itself() {
    let bench = Bench::new();
    let ended = bench.run(
        r#"
        fn back(name) { world::change("helper", 1); world::once(name); }
        undo::with("back", ["fragile"]);
        throw "enough";
    "#,
    );
    bench.world.fail("fragile", 1);
    let engine = bench.engine(bench.store.clone());
    let undone = engine.undo(Undo::of(&ended.run, ""), bench.execution()).unwrap();
    assert_eq!(undone.leftovers.len(), 1, "{:?}", undone.leftovers);
    let undone = engine.undo(Undo::of(&ended.run, ""), bench.execution()).unwrap();
    assert!(undone.leftovers.is_empty(), "{:?}", undone.leftovers);
    // What worked the first time is not done again.
    assert_eq!(bench.world.lines(), ["change helper", "once fragile"]);
}

/// A run of which a function of the script takes two effects back, each once.
const TAKEN_BACK_ONCE: &str = r#"
    fn back(name) {
        log("taking it back");
        let kept = step("switch", || { world::once("off"); world::read("weight") });
        world::once("tell");
        world::change(name, "back");
    }
    runbook(#{ title: "t", owner: "o", needs: ["world:change", "world:send", "world:read"] });
    world::change("first", 1);
    undo::with("back", ["x"]);
    world::change("x", 1);
"#;

#[test]
fn an_undo_that_is_killed_goes_on_where_it_was_and_repeats_no_effect() {
    let whole = Bench::new();
    let run = whole.run(TAKEN_BACK_ONCE).run;
    let before = whole.entries(&run).len();
    whole.undo(&run);
    let records = whole.entries(&run).len() - before;
    let mut asked = 0;
    for cut in 0..records {
        let bench = Bench::new();
        let run = bench.run(TAKEN_BACK_ONCE).run;
        let store = Arc::new(cut_after(cut, bench.store.clone()));
        let _ = bench.engine(store).undo(Undo::of(&run, "killed"), bench.execution());
        let mut undone = bench.undo(&run);
        let desk = Desk { store: &*bench.store, clock: &SystemClock };
        for _ in 0..2 {
            let Some(debt) = undone.leftovers.first() else { break };
            let told = debt.failure.as_ref().unwrap();
            assert!(told.message.starts_with("nobody can say whether"), "cut after {cut}: {told:?}");
            assert!(told.hint.as_ref().unwrap().contains("aegis undo"), "{told:?}");
            let call = told.message.split('`').nth(1).unwrap();
            desk.mark_done(&run, call, json!(null), &decider("looked")).unwrap();
            (undone, asked) = (bench.undo(&run), asked + 1);
        }
        assert!(undone.leftovers.is_empty(), "cut after {cut}: {:?}", undone.leftovers);
        for effect in ["once off", "once tell"] {
            assert_eq!(
                bench.world.performed(effect),
                1,
                "{effect}, cut after {cut}: {:?}",
                bench.world.lines()
            );
        }
        assert_eq!(bench.world.things.lock().unwrap()["x"], json!("back"), "newest first");
    }
    assert_eq!(asked, 2, "each effect that counts was under way once");
}

#[test]
fn what_nobody_can_say_of_an_undo_is_asked_and_performed_again_only_on_demand() {
    let script = r#"
        fn back() { world::change("helper", 1); world::once("fragile"); }
        runbook(#{ title: "t", owner: "o", needs: ["world:change", "world:send"], on_failure: "undo" });
        step("s", #{ on_failure: "undo" }, || { undo::with("back"); throw "enough"; });
    "#;
    let bench = Bench::new();
    bench.world.faults.lock().unwrap().insert("fragile".into(), (1, true));
    // The step takes it back, and so does the run a moment later.
    let ended = bench.run(script);
    assert_eq!(ended.verdict, Some(Verdict::Failed));
    assert_eq!(bench.undo(&ended.run).leftovers.len(), 1, "an undo alone does not perform it again");
    assert_eq!(bench.world.lines(), ["change helper"]);
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let left = desk.leftovers(None).unwrap().remove(0).debts.unwrap().remove(0).failure;
    assert!(left.as_ref().unwrap().hint.as_ref().unwrap().contains("--again"), "{left:?}");
    let again = Undo { again: true, ..Undo::of(&ended.run, "it did not happen") };
    let undone = bench.engine(bench.store.clone()).undo(again, bench.execution()).unwrap();
    assert!(undone.leftovers.is_empty(), "{:?}", undone.leftovers);
    assert_eq!(bench.world.lines(), ["change helper", "once fragile"]);
}

#[test]
fn what_an_undo_that_was_killed_may_have_taken_back_is_made_again_by_a_retry() {
    let script =
        r#"world::change("x", 1); world::change("y", 2); if world::read("go") == () { throw "enough"; }"#;
    let whole = Bench::new();
    let run = whole.run(script).run;
    let before = whole.entries(&run).len();
    whole.undo(&run);
    for cut in 0..whole.entries(&run).len() - before {
        let bench = Bench::new();
        let run = bench.run(script).run;
        let store = Arc::new(cut_after(cut, bench.store.clone()));
        let _ = bench.engine(store).undo(Undo::of(&run, "killed"), bench.execution());
        bench.world.things.lock().unwrap().insert("go".into(), json!(1));
        let ended = bench.retry_with(&run, None).unwrap();
        assert_eq!(ended.verdict, Some(Verdict::Succeeded), "cut after {cut}: {:?}", ended.failure);
        let things = bench.world.things.lock().unwrap();
        assert_eq!((&things["x"], &things["y"]), (&json!(1), &json!(2)), "cut after {cut}");
    }
}

#[test]
fn a_step_that_failed_and_was_survived_is_made_again_when_all_was_taken_back() {
    let script = r#"
        step("a", || world::change("x", 1));
        try { step("b", OPTIONS, || { world::change("y", 2); world::change("broken", 1); }); } catch {}
        world::change("z", 3);
        if world::read("go") == () { throw "enough"; }
    "#;
    for (options, y) in [("#{}", json!(2)), (r#"#{ on_failure: "undo" }"#, json!(null))] {
        let bench = Bench::new();
        bench.world.fail("broken", 1);
        let ended = bench.run(&script.replace("OPTIONS", options));
        bench.undo(&ended.run);
        bench.world.things.lock().unwrap().insert("go".into(), json!(1));
        let ended = bench.retry_with(&ended.run, None).unwrap();
        assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{:?}", ended.failure);
        let things = bench.world.things.lock().unwrap();
        assert_eq!((&things["x"], &things["y"], &things["z"]), (&json!(1), &y, &json!(3)), "{options}");
        drop(things);
        assert_eq!(bench.replay(&ended.run).verdict, Some(Verdict::Succeeded), "{options}");
    }
}

#[test]
fn nothing_goes_forward_from_what_is_half_taken_back() {
    let bench = Bench::new();
    bench.world.fail("fragile", 1);
    let ended = bench.run(
        r#"
        fn back() { world::once("off"); world::once("fragile"); }
        runbook(#{ title: "t", owner: "o", needs: ["world:change", "world:send"], on_failure: "undo" });
        undo::with("back");
        world::once("on");
        if world::read("x") == () { throw "enough"; }
    "#,
    );
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let told = desk.retry(&ended.run, &decider("")).unwrap_err();
    assert_eq!(told.message, format!("`/undo::with#0` of `{}` is taken back in part", ended.run));
    assert!(bench.undo(&ended.run).leftovers.is_empty());
    bench.world.things.lock().unwrap().insert("x".into(), json!(1));
    desk.retry(&ended.run, &decider("")).unwrap();
    let again = bench.resume(&ended.run).unwrap();
    assert_eq!(again.verdict, Some(Verdict::Succeeded), "{:?}", again.failure);
    assert_eq!(bench.world.performed("once on"), 2, "{:?}", bench.world.lines());
}

#[test]
fn another_process_takes_back_with_the_secrets_that_the_run_had() {
    let script = r#"
        runbook(#{ title: "t", owner: "o", needs: ["world:change", "world:send"], params: #{ key: #{ secret: true } } });
        fn back(folder, key) { world::once(folder); world::once(key); }
        world::once(`/srv/shop/${params.key}`);
        undo::with("back", ["/srv/shop", params.key]);
        world::change(params.key, 1);
        UNDO
    "#;
    let composed = script.replace("UNDO", r#"undo::with("back", ["/srv/shop", `key ${params.key}`]);"#);
    for (script, left) in [(script.replace("UNDO", ""), 0), (composed, 1)] {
        let mut bench = Bench::new();
        bench.environment.insert("AEGIS_PARAM_KEY".into(), "open-sesame-4711".into());
        let run = bench.run(&script).run;
        bench.world.log.lock().unwrap().clear();
        let undone = bench.undo(&run);
        // What was put together while the run ran cannot be put together again, and is never replaced by a mask.
        assert_eq!(undone.leftovers.len(), left, "{:?}", undone.leftovers);
        let performed = ["change open-sesame-4711", "once /srv/shop", "once open-sesame-4711"];
        assert_eq!(bench.world.lines(), performed);
        let journal: Vec<String> =
            bench.entries(&run).iter().map(|entry| format!("{:?}", entry.body)).collect();
        assert!(!journal.concat().contains("open-sesame"), "{journal:?}");
        assert!(
            journal.concat().contains("/srv/shop"),
            "what stands beside a secret is not masked elsewhere"
        );
    }
}

#[test]
fn a_secret_that_was_given_is_masked_before_the_script_uses_it() {
    let mut bench = Bench::new();
    bench.environment.insert("AEGIS_PARAM_KEY".into(), "open-sesame-4711".into());
    bench.world.things.lock().unwrap().insert("x".into(), json!("it was open-sesame-4711"));
    let script = r#"
        runbook(#{ title: "t", owner: "o", needs: ["world:change"], params: #{ key: #{ secret: true } } });
        world::change("x", 1);
    "#;
    let run = bench.run(script).run;
    assert!(!format!("{:?}", bench.entries(&run)).contains("sesame"));
    // What was there is not stored: nothing is put back in its place.
    let left = bench.undo(&run).leftovers;
    assert!(left[0].failure.as_ref().unwrap().message.contains("secret"), "{left:?}");
    assert_eq!(bench.world.things.lock().unwrap()["x"], json!(1));
}

#[test]
fn a_person_takes_back_by_hand_or_leaves_it_as_it_is() {
    for (undone_by_hand, made) in [(true, 2), (false, 1)] {
        let bench = Bench::new();
        let ended = bench.run(r#"world::change("x", 1); throw "enough";"#);
        let desk = Desk { store: &*bench.store, clock: &SystemClock };
        let inverse = "/world::change#0~undo";
        if undone_by_hand {
            desk.mark_done(&ended.run, inverse, json!(null), &decider("by hand")).unwrap();
        } else {
            desk.skip(&ended.run, inverse, &decider("it may stay")).unwrap();
        }
        assert!(desk.leftovers(None).unwrap().is_empty());
        assert!(bench.undo(&ended.run).leftovers.is_empty());
        assert_eq!(bench.world.lines(), ["change x"]);
        desk.retry(&ended.run, &decider("")).unwrap();
        bench.resume(&ended.run).unwrap();
        assert_eq!(bench.world.performed("change x"), made, "what was taken back is made again");
    }
}

#[test]
fn what_takes_something_back_is_an_effect_and_is_halted_like_one() {
    let bench = Bench::new();
    let ended = bench.run(
        r#"
        fn back() { approval::ask("now?"); }
        world::change("x", 1); undo::with("back"); throw "enough";
    "#,
    );
    let halt = Halt { person: Person("grace".into()), reason: "storm".into(), at: SystemClock.now() };
    bench.store.set_halt(Some(&halt)).unwrap();
    let engine = bench.engine(bench.store.clone());
    let refused = engine.undo(Undo::of(&ended.run, ""), bench.execution()).unwrap_err();
    assert!(refused.to_string().starts_with("effects are halted by `grace`"), "{refused}");
    // Who cancels wants it to end: it does, and what it did is taken back later.
    let waits = bench.run(r#"world::change("y", 1);"#);
    assert_eq!((waits.verdict, bench.undo(&waits.run).verdict), (None, Some(Verdict::Cancelled)));
    assert_eq!(bench.world.performed("change x"), 1);
    bench.store.set_halt(None).unwrap();
    let left = bench.undo(&ended.run).leftovers;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].failure.as_ref().unwrap().message, "what takes something back asks nobody");
    assert_eq!(bench.world.performed("change x"), 2);
}

#[test]
fn a_replay_takes_nothing_back() {
    let bench = Bench::new();
    bench.world.fail("broken", 1);
    bench.world.fail("fragile", 1);
    let ended = bench.run(
        r#"
        fn back() { world::once("fragile"); }
        step("s", #{ on_failure: "undo" }, || { world::change("x", 1); undo::with("back"); world::change("broken", 1); });
    "#,
    );
    let before = bench.world.lines();
    assert_eq!(ended.leftovers.len(), 1, "{:?}", ended.leftovers);
    let engine = bench.engine(bench.store.clone());
    let _ = engine.replay(Resume::of(&ended.run), bench.execution()).unwrap().wait();
    assert_eq!(bench.world.lines(), before);
}

#[test]
fn an_undo_has_the_time_it_needs_when_the_time_of_the_run_was_its_cause() {
    let bench = Bench::new();
    let ended = bench.run(
        r#"
        runbook(#{ title: "t", owner: "o", timeout: "50ms", on_failure: "undo",
                   needs: ["world:change", "world:send"] });
        fn back(name) { world::change(name, "back"); }
        undo::with("back", ["x"]);
        loop {}
    "#,
    );
    assert_eq!(ended.verdict, Some(Verdict::Failed));
    assert_eq!(ended.failure.unwrap().message, "the time of the runbook is up");
    assert!(ended.leftovers.is_empty(), "{:?}", ended.leftovers);
    assert_eq!(bench.world.things.lock().unwrap()["x"], json!("back"));
}
