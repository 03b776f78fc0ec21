//! What people decide: approvals, locks, halts, skips, marks, forks, edited scripts, protected targets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aegis_engine::clock::{Clock, SystemClock};
use aegis_engine::diagnostic::Diagnostic;
use aegis_engine::journal::{Body, Entry, Halt, Person, Status, Store, Verdict, Wait};
use aegis_engine::run::confirm::{Answer, Confirm, Proposal};
use aegis_engine::run::engine::EngineError;
use aegis_engine::run::operate::{Decider, Desk, Pending};
use aegis_engine::run::{Conclusion, Mode, Stop, Undo};
use serde_json::json;

use crate::world::{Bench, HEADER};

fn by(name: &str) -> Person {
    Person(name.to_owned())
}

fn decider<'a>(person: &'a Person, note: &'a str) -> Decider<'a> {
    Decider { person, note, evidence: "" }
}

fn code(error: &EngineError) -> String {
    match error {
        EngineError::Call(error) => error.code.clone(),
        EngineError::Problems(problems) => problems.to_string(),
    }
}

#[test]
fn an_approval_outlives_the_process_and_needs_other_people() {
    let bench = Bench::new();
    let ended = bench.run(
        r#"
        let yes = approval::ask("go?", #{ quorum: 2 });
        world::change("x", 1);
        yes.approved_by
    "#,
    );
    assert_eq!(ended.verdict, None);
    assert!(matches!(ended.stop, Some(Stop::Waiting(_))), "{:?}", ended.stop);
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let run = ended.run.as_str();
    assert_eq!(
        desk.approve(run, None, &decider(&by("ada"), "")).unwrap_err().code,
        "A0108",
        "no self-approval"
    );
    desk.approve(run, None, &decider(&by("grace"), "")).unwrap();
    let twice = desk.approve(run, None, &decider(&by("grace"), "twice")).unwrap_err();
    assert_eq!(twice.message, "`grace` has said yes already: 1 of 2 approvals");
    assert_eq!(bench.resume(run).unwrap().verdict, None, "one person is one approval");
    desk.approve(run, None, &decider(&by("joan"), "looks fine")).unwrap();
    let ended = bench.resume(run).unwrap();
    assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{:?}", ended.failure);
    assert_eq!(ended.value, json!(["grace", "joan"]));
}

#[test]
fn a_waiting_process_hears_the_answer() {
    let mut bench = Bench::new();
    bench.patient = true;
    let store: Arc<dyn Store> = bench.store.clone();
    let handle = bench
        .begin(r#"try { approval::ask("go?"); } catch (e) { throw e.message; }"#, Mode::Run, store)
        .unwrap();
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    while desk.pending(handle.run()).unwrap_or_default().is_empty() {
        std::thread::yield_now();
    }
    desk.reject(handle.run(), None, &decider(&by("grace"), "not on a Friday")).unwrap();
    let ended = handle.wait();
    assert_eq!(ended.failure.unwrap().message, "`grace` rejected \"go?\": not on a Friday");
}

#[test]
fn a_protected_target_asks_before_a_high_risk_run() {
    let mut bench = Bench::new();
    bench.protected = true;
    let script = r#"runbook(#{ title: "t", owner: "o", risk: "high", needs: ["world:change"] }); world::change("x", 1);"#;
    let ended = bench.run(script);
    assert!(matches!(ended.stop, Some(Stop::Waiting(_))));
    assert!(bench.world.lines().is_empty());
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    desk.approve(&ended.run, None, &decider(&by("grace"), "")).unwrap();
    assert_eq!(bench.resume(&ended.run).unwrap().verdict, Some(Verdict::Succeeded));
}

#[test]
fn a_halt_stops_effects_and_not_reads() {
    let bench = Bench::new();
    let halt = Halt { person: by("grace"), reason: "storm".into(), at: jiff::Timestamp::now() };
    bench.store.set_halt(Some(&halt)).unwrap();
    let ended = bench.run(r#"world::read("x"); world::change("x", 1); 7"#);
    assert_eq!(ended.failure.as_ref().unwrap().code, "A0104");
    assert_eq!(bench.world.lines(), ["read x"]);
    bench.store.set_halt(None).unwrap();
    let ended = bench.resume(&ended.run).unwrap();
    assert_eq!((ended.verdict, ended.value), (Some(Verdict::Succeeded), json!(7)));
}

#[test]
fn a_lock_keeps_another_run_away_and_ends_with_its_run() {
    let bench = Bench::new();
    let store: Arc<dyn Store> = bench.store.clone();
    let holder = bench.begin(r#"lock::hold("db"); world::hang("h");"#, Mode::Run, store).unwrap();
    while bench.world.performed("hang") == 0 {
        std::thread::yield_now();
    }
    let ended = bench.run(r#"lock::hold("db")"#);
    assert_eq!(ended.failure.unwrap().code, "A0109");
    holder.cancel(&by("grace"), "").unwrap();
    assert_eq!(holder.wait().verdict, Some(Verdict::Cancelled));
    let ended = bench.run(r#"lock::hold("db").token"#);
    assert_eq!(ended.value, json!(2), "{:?}", ended.failure);
}

#[test]
fn a_lock_that_was_being_given_back_when_the_process_died_may_be_somebody_elses_since() {
    let script = r#"lock::hold("db"); lock::release("db"); world::change("x", 1)"#;
    let is_asked =
        |entry: &Entry| matches!(&entry.body, Body::Asked { function, .. } if function == "lock::release");
    let cut = (1..10).find_map(|records| {
        let bench = Bench::new();
        let run = bench.run_cut(script, records)?;
        bench.entries(&run).last().is_some_and(is_asked).then_some((bench, run))
    });
    let (bench, run) = cut.unwrap();
    assert_eq!(bench.run(r#"lock::hold("db").token"#).value, json!(2), "it was given back");
    let ended = bench.resume(&run).unwrap();
    assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{:?}", ended.failure);
    assert_eq!(bench.world.performed("change"), 1);
}

#[test]
fn a_failed_call_can_be_skipped_or_marked_done() {
    let bench = Bench::new();
    bench.world.fail("x", 9);
    let ended = bench.run(r#"let a = step("s", || world::change("x", 1)); world::once("end"); a"#);
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let ops = by("grace");
    let error = desk.mark_done(&ended.run, "s", json!(1), &decider(&ops, "")).unwrap_err();
    assert_eq!(error.message, "a mark needs a note");
    desk.retry(&ended.run, &decider(&ops, "")).unwrap();
    let key = desk.mark_done(&ended.run, "s", json!("by hand"), &decider(&ops, "did it")).unwrap();
    assert_eq!(key, "/s#0");
    let ended = bench.resume(&ended.run).unwrap();
    assert_eq!((ended.verdict, ended.value), (Some(Verdict::Succeeded), json!("by hand")));
    let error = desk.skip(&ended.run, "no such step", &decider(&ops, "")).unwrap_err();
    assert_eq!(error.code, "A0208");
}

#[test]
fn an_approval_is_neither_skipped_nor_marked() {
    let bench = Bench::new();
    let run = bench.run(r#"approval::ask("go?"); world::change("x", 1)"#).run;
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let call = desk.pending(&run).unwrap()[0].call.clone();
    let ada = by("ada");
    let by_hand = decider(&ada, "we are in a hurry");
    let skipped = desk.skip(&run, &call, &by_hand).unwrap_err();
    let marked = desk.mark_done(&run, &call, json!({ "approved_by": ["grace"] }), &by_hand).unwrap_err();
    assert_eq!((skipped.code.as_str(), marked.code.as_str()), ("A0108", "A0108"));
    desk.reject(&run, None, &decider(&by("grace"), "")).unwrap();
    assert_eq!(bench.resume(&run).unwrap().verdict, Some(Verdict::Failed));
    assert_eq!(desk.mark_done(&run, &call, json!(1), &by_hand).unwrap_err().code, "A0108", "nor afterwards");
}

#[test]
fn an_open_approval_keeps_its_step_from_being_left_out() {
    let bench = Bench::new();
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    // A step that asks before it begins is not known yet.
    for (script, code) in [
        (r#"step("gate", || approval::ask("go?")); world::once("x");"#, "A0108"),
        (r#"step("gate", #{ approval: "go?" }, || world::once("y")); world::once("x");"#, "A0208"),
    ] {
        let run = bench.run(script).run;
        let (ada, grace) = (by("ada"), by("grace"));
        let by_hand = decider(&ada, "we are in a hurry");
        assert_eq!(desk.skip(&run, "gate", &by_hand).unwrap_err().code, code);
        assert_eq!(desk.mark_done(&run, "gate", json!(1), &by_hand).unwrap_err().code, code);
        desk.approve(&run, None, &decider(&grace, "")).unwrap();
        assert_eq!(bench.resume(&run).unwrap().verdict, Some(Verdict::Succeeded));
    }
}

#[test]
fn a_question_is_asked_again_by_a_retry_and_by_another_script() {
    let bench = Bench::new();
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let (grace, joan) = (by("grace"), by("joan"));
    let run = bench.run(r#"approval::ask("go?"); world::once("x");"#).run;
    desk.reject(&run, None, &decider(&grace, "not now")).unwrap();
    assert_eq!(bench.resume(&run).unwrap().verdict, Some(Verdict::Failed));
    desk.retry(&run, &decider(&grace, "")).unwrap();
    assert!(desk.pending(&run).unwrap().is_empty(), "nothing is asked until it is asked again");
    assert_eq!(bench.resume(&run).unwrap().verdict, None);
    desk.approve(&run, None, &decider(&joan, "")).unwrap();
    assert_eq!(bench.resume(&run).unwrap().verdict, Some(Verdict::Succeeded));

    let asks = |what: &str| format!("{HEADER}\napproval::ask(\"go?\");\nworld::once(\"{what}\");");
    let run = bench.run(&asks("little")).run;
    desk.approve(&run, None, &decider(&grace, "a little")).unwrap();
    let edited = bench.resume_with(&run, Some(&asks("everything"))).unwrap();
    assert_eq!((edited.verdict, bench.world.performed("once everything")), (None, 0));
    desk.approve(&run, None, &decider(&grace, "all of it")).unwrap();
    assert_eq!(bench.resume(&run).unwrap().verdict, Some(Verdict::Succeeded));
}

#[test]
fn a_retry_keeps_what_the_script_went_on_from() {
    let bench = Bench::new();
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let ada = by("ada");
    // The script; what fails once; what is performed by the run and its retry, in order.
    let table = [
        (
            r#"let ok = true;
               try { world::once("primary"); } catch (e) { ok = false; }
               if !ok { world::once("fallback"); }
               world::once("last");"#,
            vec!["primary", "last"],
            vec!["once fallback", "once last"],
        ),
        (
            r#"let answer = step("primary", #{ on_failure: "continue" }, || world::once("primary"));
               if answer == () { world::once("fallback"); }
               step("last", || world::once("last"));"#,
            vec!["primary", "last"],
            vec!["once fallback", "once last"],
        ),
        (
            r#"let all = parallel(["a", "b"], #{ collect: true }, |name| world::once(name));
               world::once("last");"#,
            vec!["a", "last"],
            vec!["once b", "once last"],
        ),
        // What ended the run is made again, and what was done because of it is forgotten.
        (
            r#"try { world::once("upgrade"); } catch (e) { log("failed"); world::once("rollback"); throw e; }
               world::once("last");"#,
            vec!["upgrade"],
            vec!["once rollback", "once upgrade", "once last"],
        ),
        (
            r#"step("all", || {
                   try { world::once("upgrade"); } catch (e) { world::once("rollback"); throw "gave up: " + e.message; }
               });
               world::once("last");"#,
            vec!["upgrade"],
            vec!["once rollback", "once upgrade", "once last"],
        ),
    ];
    for (script, failing, performed) in table {
        failing.iter().for_each(|name| bench.world.fail(name, 1));
        let run = bench.run(script).run;
        desk.retry(&run, &decider(&ada, "")).unwrap();
        let ended = bench.resume(&run).unwrap();
        assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{script}\n{:?}", ended.failure);
        let lines = bench.world.lines();
        assert_eq!(lines, performed, "{script}");
        bench.world.log.lock().unwrap().clear();
    }
}

/// Why a script does not fit.
fn misfit(refused: Result<Conclusion, EngineError>) -> Diagnostic {
    let Err(EngineError::Problems(problems)) = refused else { panic!("it fits") };
    let told = problems.diagnostics.into_iter().next().unwrap();
    assert_eq!(told.code, "A0201");
    told
}

#[test]
fn a_retry_that_is_refused_leaves_what_nobody_can_say_as_it_is() {
    let bench = Bench::new();
    bench.world.faults.lock().unwrap().insert("fragile".into(), (1, true));
    let script = format!("{HEADER}\nworld::once(\"first\");\nstep(\"s\", || world::once(\"fragile\"));");
    let run = bench.run(&script).run;
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let retry = |text: &str| bench.retry_with(&run, Some(text));
    let open = desk.pending(&run).unwrap();
    misfit(retry(&script.replace("first", "other")));
    let halt = Halt { person: by("grace"), reason: "storm".into(), at: jiff::Timestamp::now() };
    bench.store.set_halt(Some(&halt)).unwrap();
    assert!(matches!(retry(&script), Err(EngineError::Call(error)) if error.code == "A0104"));
    bench.store.set_halt(None).unwrap();
    assert_eq!(desk.pending(&run).unwrap(), open);
    assert_eq!(bench.resume(&run).unwrap().verdict, None, "a resume alone does not perform it again");
    assert_eq!(bench.world.lines(), ["once first"]);
    // A step that is over may read otherwise.
    let ended = retry(&script.replace("fragile", "sturdy")).unwrap();
    assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{:?}", ended.failure);
    assert_eq!(bench.world.lines(), ["once first", "once sturdy"]);
}

#[test]
fn a_run_goes_on_as_it_began_whether_its_target_is_protected_since_or_not_any_more() {
    let script = r#"runbook(#{ title: "t", owner: "o", risk: "high", needs: ["world:change", "world:send"] });
        world::change("x", 1); world::once("fragile");"#;
    for protected in [true, false] {
        let mut bench = Bench::new();
        bench.protected = protected;
        bench.world.fail("fragile", 1);
        let run = bench.run(script).run;
        let desk = Desk { store: &*bench.store, clock: &SystemClock };
        if protected {
            desk.approve(&run, None, &decider(&by("grace"), "")).unwrap();
            bench.resume(&run).unwrap();
        }
        bench.protected = !protected;
        let ended = bench.retry_with(&run, None).unwrap();
        assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{:?}", ended.failure);
        assert_eq!(bench.replay(&run).verdict, Some(Verdict::Succeeded));
    }
}

#[test]
fn an_edited_script_that_does_not_fit_is_not_kept() {
    let bench = Bench::new();
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    bench.world.fail("second", 1);
    let script = format!("{HEADER}\nworld::once(\"first\");\nworld::once(\"second\");");
    let run = bench.run(&script).run;
    desk.retry(&run, &decider(&by("ada"), "")).unwrap();
    let edited = script.replace("first", "other");
    misfit(bench.resume_with(&run, Some(&edited)));
    assert_eq!(bench.resume(&run).unwrap().verdict, Some(Verdict::Succeeded));
    assert_eq!(bench.world.lines(), ["once first", "once second"]);
}

#[test]
fn a_fork_has_the_inverse_of_the_step_it_begins_with() {
    let bench = Bench::new();
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let ada = by("ada");
    let script = r#"fn back(name) { world::change(name, "back"); }
        step("a", #{ undo: #{ function: "back", arguments: ["a"] } }, || world::once("a"));
        step("b", #{ undo: #{ function: "back", arguments: ["b"] } }, || world::once("b"));"#;
    let run = bench.run(script).run;
    let fork = desk.fork(&run, "b", &decider(&ada, ""), &format!("fork-of-{run}")).unwrap();
    assert_eq!(bench.resume(&fork).unwrap().verdict, Some(Verdict::Succeeded));
    bench.engine(bench.store.clone()).undo(Undo::of(&fork, ""), bench.execution()).unwrap();
    let things = bench.world.things.lock().unwrap();
    assert_eq!((things.get("a"), things.get("b")), (None, Some(&json!("back"))));
}

#[test]
fn what_was_approved_is_asked_again_where_another_script_or_run_goes_on() {
    let bench = Bench::new();
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let grace = by("grace");
    let scripts = [
        (1, r#"approval::ask("go?"); step("act", || world::once("WHAT"));"#),
        (1, r#"step("gate", || approval::ask("go?")); step("act", || world::once("WHAT"));"#),
        (1, r#"step("act", #{ approval: "go?" }, || world::once("WHAT"));"#),
        (1, r#"parallel(["a"], |item| approval::ask(`go ${item}?`)); step("act", || world::once("WHAT"));"#),
        // It was about a step that is over.
        (0, r#"step("gate", #{ approval: "go?" }, || ()); step("act", || world::once("WHAT"));"#),
    ];
    for (asked, script) in scripts {
        let script = |what: &str| format!("{HEADER}\n{}", script.replace("WHAT", what));
        bench.world.fail("little", 1);
        let run = bench.run(&script("little")).run;
        desk.approve(&run, None, &decider(&grace, "a little")).unwrap();
        assert_eq!(bench.resume(&run).unwrap().verdict, Some(Verdict::Failed));
        let fork = desk.fork(&run, "act", &decider(&grace, ""), &format!("fork-of-{run}")).unwrap();
        desk.retry(&run, &decider(&grace, "")).unwrap();

        let edited = bench.resume_with(&run, Some(&script("everything"))).unwrap();
        assert_eq!(bench.world.performed("once everything"), 1 - asked, "{}", script(""));
        if asked == 1 {
            assert_eq!((edited.verdict, desk.pending(&run).unwrap().len()), (None, 1));
            desk.approve(&run, None, &decider(&grace, "all of it")).unwrap();
            assert_eq!(bench.resume(&run).unwrap().verdict, Some(Verdict::Succeeded));
        }
        bench.resume(&fork).unwrap();
        assert_eq!(bench.world.performed("once little"), 1 - asked, "{}", script(""));
        assert_eq!(desk.pending(&fork).unwrap().len(), asked);
        bench.world.log.lock().unwrap().clear();
    }
}

#[test]
fn of_several_questions_the_one_that_is_named_is_answered() {
    let bench = Bench::new();
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let (grace, joan) = (by("grace"), by("joan"));
    let run = bench
        .run(
            r#"
            parallel(["tokyo", "seoul"], |city| approval::ask(`open ${city}?`, #{ quorum: 2 }));
            world::once("x");
            "#,
        )
        .run;
    let asked = desk.pending(&run).unwrap();
    let of = |city: &str| {
        let asks = |pending: &&Pending| matches!(&pending.wait, Wait::Approval { question, .. } if question.contains(city));
        &asked.iter().find(asks).unwrap().call
    };
    let [one, other] = ["seoul", "tokyo"].map(of);
    let which = desk.approve(&run, None, &decider(&grace, "")).unwrap_err();
    assert_eq!(which.message, format!("`{run}` asks 2 questions"));
    assert!(which.hint.unwrap().contains("(open tokyo?)"));
    let wrong = desk.reject(&run, Some("busan"), &decider(&grace, "")).unwrap_err();
    assert_eq!(wrong.message, format!("`{run}` does not ask anything at `busan`"));

    let first = desk.approve(&run, Some(one), &decider(&grace, "")).unwrap();
    assert_eq!((first.approved_by.len(), first.quorum, first.is_enough()), (1, 2, false));
    assert!(desk.approve(&run, Some("seoul"), &decider(&joan, "")).unwrap().is_enough());
    assert_eq!(desk.pending(&run).unwrap().len(), 1, "what is answered is not asked any more");
    // One is left: it need not be named.
    assert_eq!(&desk.approve(&run, None, &decider(&grace, "")).unwrap().call, other);
    assert_eq!(bench.resume(&run).unwrap().verdict, None);
    desk.approve(&run, None, &decider(&joan, "")).unwrap();
    assert_eq!(bench.resume(&run).unwrap().verdict, Some(Verdict::Succeeded));
}

#[test]
fn a_branch_that_waits_for_a_person_holds_no_other_back() {
    let bench = Bench::new();
    let script = r#"
        parallel(["tokyo", "seoul", "osaka"], #{ max: MAX }, |city| {
            if city != "osaka" { approval::ask(`open ${city}?`); }
            step("open", || { world::once(city); world::once(city + " twice") });
        });
        world::once("all");
    "#;
    // A branch that waits keeps its place: with one, the next begins when it is over.
    for (max, asked, done) in [("3", 2, 2), ("2", 2, 0), ("1", 1, 0)] {
        let bench = Bench::new();
        let ended = bench.run(&script.replace("MAX", max));
        assert!(matches!(ended.stop, Some(Stop::Waiting(_))), "{:?}", ended.stop);
        let desk = Desk { store: &*bench.store, clock: &SystemClock };
        assert_eq!(desk.pending(&ended.run).unwrap().len(), asked, "of {max} at once");
        assert_eq!(bench.world.performed("once osaka"), done, "of {max} at once");
        while let Some(open) = desk.pending(&ended.run).unwrap().first() {
            desk.approve(&ended.run, Some(&open.call), &decider(&by("grace"), "")).unwrap();
            bench.resume(&ended.run).unwrap();
        }
        assert_eq!(bench.world.lines().len(), 7, "{:?}", bench.world.lines());
    }
    // What nobody can say in one branch does not cut off what another one does.
    bench.world.faults.lock().unwrap().insert("tokyo".into(), (1, true));
    let ended = bench
        .run(r#"parallel(["tokyo", "seoul"], |city| { world::once(city); world::once(city + " twice") })"#);
    assert!(matches!(ended.stop, Some(Stop::Waiting(_))), "{:?}", ended.stop);
    assert_eq!(bench.world.lines(), ["once seoul", "once seoul twice"]);
}

/// A clock that is a day ahead.
struct Tomorrow;

impl Clock for Tomorrow {
    fn now(&self) -> jiff::Timestamp {
        SystemClock.now() + jiff::SignedDuration::from_hours(24)
    }
}

#[test]
fn answers_count_in_time_and_from_those_who_are_asked() {
    let bench = Bench::new();
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let (grace, mallory) = (by("grace"), by("mallory"));
    let run = bench.run(r#"approval::ask("go?", #{ timeout: "3s" }); world::once("x");"#).run;
    let late = Desk { clock: &Tomorrow, ..desk }.approve(&run, None, &decider(&grace, "")).unwrap_err();
    assert!(late.message.starts_with("the question stood until "), "{}", late.message);
    let ended = loop {
        let ended = bench.resume(&run).unwrap();
        if ended.verdict.is_some() {
            break ended;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    };
    assert_eq!(ended.failure.unwrap().message, "nobody answered in time: go?");

    let run = bench.run(r#"approval::ask("go?", #{ approvers: ["grace", "joan"] });"#).run;
    assert_eq!(
        desk.reject(&run, None, &decider(&mallory, "")).unwrap_err().message,
        "`mallory` is not asked"
    );
    for (options, why) in [("quorum: 0", "at least 1"), ("quorum: 2, approvers: [\"grace\"]", "1 person may")]
    {
        let told = bench.run(&format!("approval::ask(\"go?\", #{{ {options} }});")).failure.unwrap();
        assert!(told.code == "A0101" && told.message.contains(why), "{}: {}", told.code, told.message);
    }
}

#[test]
fn edits_below_the_point_reached_are_accepted_and_above_it_refused() {
    let bench = Bench::new();
    bench.world.fail("second", 1);
    let ended = bench.run(r#"world::change("first", 1); world::change("second", 2);"#);
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    desk.retry(&ended.run, &decider(&by("grace"), "")).unwrap();

    let above = format!(r#"{HEADER} world::change("first", 10); world::change("second", 2);"#);
    let before = bench.entries(&ended.run).len();
    let told = misfit(bench.resume_with(&ended.run, Some(&above)));
    assert!(told.message.contains("-  \"value\": 1\n+  \"value\": 10"), "{}", told.message);
    assert_eq!(bench.entries(&ended.run).len(), before, "nothing is decided");

    let below = format!(r#"{HEADER} world::change("first", 1); world::change("third", 3); "fixed forward""#);
    let ended = bench.resume_with(&ended.run, Some(&below)).unwrap();
    assert_eq!(
        (ended.verdict, ended.value),
        (Some(Verdict::Succeeded), json!("fixed forward")),
        "{:?}",
        ended.failure
    );
    assert_eq!(bench.world.lines(), ["change first", "change third"]);
}

#[test]
fn a_fork_has_everything_before_a_step() {
    let bench = Bench::new();
    let ended = bench.run(
        r#"
        world::once("mail");
        step("build", || world::change("x", 1));
        step("ship", || world::change("y", 2));
        "end"
    "#,
    );
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let ops = by("grace");
    let error = desk.fork(&ended.run, "shipp", &decider(&ops, ""), "forked").unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("did you mean `ship`?"));
    desk.fork(&ended.run, "ship", &decider(&ops, ""), "forked").unwrap();
    let forked = bench.resume("forked").unwrap();
    assert_eq!(
        (forked.verdict, forked.value),
        (Some(Verdict::Succeeded), json!("end")),
        "{:?}",
        forked.failure
    );
    assert_eq!(bench.world.lines(), ["once mail", "change x", "change y", "change y"]);
}

#[test]
fn a_fork_from_a_branch_leaves_the_branches_beside_it_as_they_are() {
    let script = r#"
        parallel(["a", "b"], |branch| {
            step(`first ${branch}`, || world::once(`${branch}1`));
            step(`second ${branch}`, || world::once(`${branch}2`));
        });
        step("end", || world::once("end"));
    "#;
    let bench = Bench::new();
    let run = bench.run(script).run;
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let before = desk.find("last").unwrap().started;
    for (from, made) in [("second a", vec!["once a2"]), ("first b", vec!["once b1", "once b2"])] {
        bench.world.log.lock().unwrap().clear();
        let fork = desk.fork(&run, from, &decider(&by("ada"), ""), &format!("fork-{}", &from[..1])).unwrap();
        assert!(desk.find(&fork).unwrap().started > before, "a fork begins when it is made");
        assert_eq!(bench.resume(&fork).unwrap().verdict, Some(Verdict::Succeeded));
        assert_eq!(bench.world.lines(), [&made[..], &["once end"]].concat(), "from {from}");
    }
}

#[test]
fn a_fork_from_a_step_that_was_tried_again_goes_on_in_its_last_attempt() {
    let script = r#"
        fn back() { world::once("back"); }
        step("outer", #{ retry: #{ max: 2 }, undo: #{ function: "back" } }, || {
            world::once("one");
            step("inner", || world::once("two"));
            world::change("flaky", 1);
            world::once("three");
        });
        world::once("end");
    "#;
    for undone in [false, true] {
        let bench = Bench::new();
        bench.world.fail("flaky", 2);
        let run = bench.run(script).run;
        let desk = Desk { store: &*bench.store, clock: &SystemClock };
        if undone {
            bench.undo(&run);
        }
        bench.world.log.lock().unwrap().clear();
        let fork = desk.fork(&run, "inner", &decider(&by("ada"), ""), "fork").unwrap();
        let ended = bench.resume(&fork).unwrap();
        assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{:?}", ended.failure);
        let made = ["once two", "change flaky", "once three", "once end"];
        let before: &[&str] = if undone { &["once one"] } else { &[] };
        assert_eq!(bench.world.lines(), [before, &made].concat());
        // The fork is within the step, and owes what takes it back.
        bench.undo(&fork);
        assert_eq!(bench.world.performed("once back"), 1);
    }
}

#[test]
fn a_fork_of_a_run_that_was_retried_does_all_that_comes_behind_its_step_with_the_same_secrets() {
    let script = r#"
        runbook(#{ title: "t", owner: "o", needs: ["world:change", "world:send"], params: #{ key: #{ secret: true } } });
        world::once(params.key);
        step("s", || {
            step("in", || world::once("in"));
            world::once("gate");
            step("in2", || world::once("in2"));
        });
        parallel([1, 2], #{ max: 1 }, |n| step(`p${n}`, || world::once(`p${n}`)));
        step("z", || world::once("z"));
    "#;
    let mut bench = Bench::new();
    bench.environment.insert("AEGIS_PARAM_KEY".into(), "open-sesame-4711".into());
    bench.world.fail("gate", 1);
    let run = bench.run(script).run;
    assert_eq!(bench.retry_with(&run, None).unwrap().verdict, Some(Verdict::Succeeded));
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let mut last = run;
    for (from, made) in [
        ("in", vec!["in", "gate", "in2", "p1", "p2", "z"]),
        ("in2", vec!["in2", "p1", "p2", "z"]),
        ("p2", vec!["p2", "z"]),
    ] {
        bench.world.log.lock().unwrap().clear();
        last = desk.fork(&last, from, &decider(&by("ada"), ""), &format!("{last}-{from}")).unwrap();
        let ended = bench.resume(&last).unwrap();
        assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{:?}", ended.failure);
        let made: Vec<String> = made.into_iter().map(|name| format!("once {name}")).collect();
        assert_eq!(bench.world.lines(), made, "from {from}");
    }
}

#[test]
fn a_fork_makes_again_what_was_taken_back() {
    let bench = Bench::new();
    bench.world.fail("broken", 1);
    let ended = bench.run(
        r#"
        fn back() { world::once("off"); world::once("fragile"); }
        step("one", || world::change("x", 1));
        step("two", #{ undo: #{ function: "back" } }, || world::once("on"));
        step("three", || world::change("broken", 1));
    "#,
    );
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    bench.world.fail("fragile", 1);
    bench.undo(&ended.run);
    let ada = by("ada");
    let fork = |id: &str| desk.fork(&ended.run, "three", &decider(&ada, ""), id);
    assert!(fork("early").unwrap_err().message.ends_with("is taken back in part"));
    bench.undo(&ended.run);
    assert_eq!(bench.resume(&fork("late").unwrap()).unwrap().verdict, Some(Verdict::Succeeded));
    assert_eq!(bench.world.things.lock().unwrap()["x"], json!(1));
    assert_eq!(bench.world.performed("once on"), 2);
}

#[test]
fn who_waits_says_so_in_every_process_and_keeps_its_answers() {
    let bench = Bench::new();
    let run = bench.run(r#"approval::ask("go?", #{ quorum: 2, timeout: "1h" });"#).run;
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    let first = desk.pending(&run).unwrap().remove(0);
    desk.approve(&run, None, &decider(&by("grace"), "")).unwrap();
    assert_eq!(bench.resume(&run).unwrap().verdict, None);
    assert_eq!(desk.find(&run).unwrap().status, Status::Waiting);
    let open = desk.pending(&run).unwrap();
    assert_eq!((open.len(), open[0].since, open[0].approved_by.len()), (1, first.since, 1));
    desk.approve(&run, None, &decider(&by("joan"), "")).unwrap();
    assert_eq!(bench.resume(&run).unwrap().verdict, Some(Verdict::Succeeded));
}

#[test]
fn a_fork_knows_what_came_of_calls_that_were_under_way_elsewhere() {
    let bench = Bench::new();
    let ended = bench.run(r#"world::once("mail"); step("late", || world::change("x", 1));"#);
    // As if the mail had been on its way in another branch when the step was entered.
    let mut bodies: Vec<_> =
        bench.entries(&ended.run).into_iter().map(|entry| (entry.at, entry.body)).collect();
    let happened = bodies.iter().position(|(_, body)| matches!(body, Body::Happened { .. })).unwrap();
    let entered = bodies.iter().position(|(_, body)| matches!(body, Body::Entered { .. })).unwrap();
    let outcome = bodies.remove(happened);
    bodies.insert(entered, outcome);
    bench.store.append("interleaved", &bodies).unwrap();
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    desk.fork("interleaved", "late", &decider(&by("grace"), ""), "forked").unwrap();
    let forked = bench.resume("forked").unwrap();
    assert_eq!(forked.verdict, Some(Verdict::Succeeded), "{:?}", forked.failure);
    assert_eq!(bench.world.lines(), ["once mail", "change x", "change x"]);
}

#[test]
fn two_processes_do_not_run_the_same_run() {
    let bench = Bench::new();
    let store: Arc<dyn Store> = bench.store.clone();
    let handle = bench.begin(r#"world::hang("h")"#, Mode::Run, store).unwrap();
    let error = bench.resume(handle.run()).unwrap_err();
    assert_eq!(code(&error), "A0206");
    handle.abandon();
    let ended = handle.wait();
    assert_eq!((ended.verdict, ended.stop), (None, Some(Stop::Abandoned)));
}

#[test]
fn a_run_is_found_by_the_end_of_its_id_and_by_last() {
    let bench = Bench::new();
    let run = bench.run("1").run;
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    assert_eq!(desk.find(&run[run.len() - 4..]).unwrap().id, run);
    assert_eq!(desk.find("last").unwrap().id, run);
    assert_eq!(desk.find("nothing").unwrap_err().code, "A0207");
}

/// Says yes after this long.
struct Thoughtful(Duration);

impl Confirm for Thoughtful {
    fn ask(&self, _: &Proposal) -> Answer {
        let asked = Instant::now();
        while let Some(left) = self.0.checked_sub(asked.elapsed()) {
            std::thread::park_timeout(left);
        }
        Answer::Do
    }
}

#[test]
fn how_long_a_call_took_leaves_out_how_long_a_person_thought_about_it() {
    const THOUGHT: Duration = Duration::from_millis(300);
    let mut bench = Bench::new();
    bench.confirm = Some(Arc::new(Thoughtful(THOUGHT)));
    let began = Instant::now();
    let ended = bench.run(r#"world::change("x", 1)"#);
    let acted = began.elapsed() - THOUGHT;
    let took = bench.entries(&ended.run).into_iter().find_map(|entry| match entry.body {
        Body::Happened { milliseconds, .. } => Some(Duration::from_millis(milliseconds)),
        _ => None,
    });
    assert!(took.unwrap() <= acted, "{took:?} of {acted:?}");
}
