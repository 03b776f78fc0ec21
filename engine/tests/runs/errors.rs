//! Mistakes, limits, secrets and damaged state, as people meet them.

use std::sync::Arc;

use aegis_engine::journal::{Body, SqliteStore, Store, Verdict};
use aegis_engine::run::engine::{EngineError, Execution};
use aegis_engine::run::handle::Listener;
use aegis_engine::run::{Event, Limits, Mode, Occasion, Start};
use aegis_engine::runbook::{Params, Runbook, Sources};
use serde_json::json;

use crate::world::{Bench, HEADER};

fn failure(script: &str) -> aegis_engine::diagnostic::Diagnostic {
    Bench::new().run(script).failure.unwrap_or_else(|| panic!("it did not fail: {script}"))
}

#[test]
fn an_error_points_at_the_call_that_raised_it() {
    let bench = Bench::new();
    bench.world.fail("x", 1);
    let told = bench
        .run("step(\"a\", || {\n    step(\"b\", || {\n        world::change(\"x\", 1)\n    })\n});")
        .failure
        .unwrap();
    let place = told.place.unwrap();
    assert_eq!((place.line, place.column), (4, 9), "the header is line 1");
    assert_eq!(told.message, "`x` is out of order");
}

#[test]
fn an_undeclared_capability_is_refused_with_the_line_to_add() {
    let bench = Bench::new();
    let ended = bench.run(
        r#"
        runbook(#{ title: "t", owner: "o", needs: ["world:change:a*"] });
        world::change("abc", 1);
        try { world::change("b", 1); } catch { }
        world::change("after", 1);
    "#,
    );
    let told = ended.failure.unwrap();
    assert_eq!(told.code, "A0102");
    assert!(told.hint.unwrap().contains(r#"`needs: ["world:change:a*", "world:change:b"],`"#));
    assert_eq!(bench.world.lines(), ["change abc"], "a refusal cannot be caught");
}

#[test]
fn values_that_would_not_survive_the_journal_are_refused() {
    for (script, told) in [
        ("step(\"s\", || 0.0 / 0.0)", "NaN cannot be journaled"),
        ("step(\"s\", || #{ f: |x| x })", "a value of type `Fn` cannot be journaled (at `.f`)"),
    ] {
        assert_eq!(failure(script).message, told);
    }
}

#[test]
fn hostile_scripts_meet_a_limit() {
    let mut bench = Bench::new();
    bench.limits = Limits { operations: 100_000, ..Limits::default() };
    assert_eq!(bench.run("loop { }").failure.unwrap().code, "A0009");
    let steps = bench.run(r#"for i in 0..1000 { step(`s${i}`, || { for j in 0..1000 { } }); }"#);
    assert_eq!(steps.failure.unwrap().code, "A0009", "operations count over all steps");
    assert_eq!(failure(r#"let s = "x"; loop { s += s; }"#).code, "A0009");
    assert_eq!(failure("fn f(n) { f(n + 1) } f(0)").code, "A0009");
    assert_eq!(failure("let a = [0]; loop { a += a; }").code, "A0009");
    assert_eq!(failure(r#"let x = "y"; x.pad(9_999_999_999, "y");"#).code, "A0009");
    // A line that would take a terabyte takes none.
    let multiplied = |find: &str| {
        failure(&format!(r#"let x = "y"; x.pad(1_000_000, "y"); let all = x; x.replace({find}, all);"#))
    };
    for find in ["\"y\"", "'y'", "\"\""] {
        assert_eq!(multiplied(find).code, "A0009", "{find}");
    }
}

#[test]
fn operations_that_take_long_count_for_many() {
    let mut bench = Bench::new();
    bench.limits = Limits { operations: 1_000_000, ..Limits::default() };
    // Far from its largest size, and from a million pushes.
    let told = bench.run(r#"let a = []; a.pad(50_000, "x"); loop { a.push("x"); }"#).failure.unwrap();
    assert_eq!((told.code.as_str(), told.message.as_str()), ("A0009", "the script ran too many operations"));
}

#[test]
fn many_values_together_meet_the_limit_of_memory() {
    let mut bench = Bench::new();
    bench.limits = Limits { memory: 64 << 20, ..Limits::default() };
    let told = bench
        .run(
            r#"
            fn keep(n) {
                let text = "0123456789abcdef";
                for doubling in 0..19 { text += text; }
                if n > 0 { keep(n - 1) } else { loop { } }
            }
            keep(20)
            "#,
        )
        .failure
        .unwrap();
    assert_eq!(
        (told.code.as_str(), told.message.as_str()),
        ("A0009", "the run takes more than 64 MiB of memory")
    );
}

#[test]
fn values_too_deep_to_be_read_back_are_refused_before_they_are_written() {
    let bench = Bench::new();
    let deep = |levels: usize| {
        format!(
            r#"let deep = 1; for level in 0..{levels} {{ deep = #{{ a: deep }}; }} step("deep", || deep);"#
        )
    };
    let fits = bench.run(&deep(90));
    assert_eq!(fits.verdict, Some(Verdict::Succeeded), "{:?}", fits.failure);
    let refused = bench.run(&deep(120));
    let told = refused.failure.unwrap();
    assert_eq!(told.code, "A0010", "{}", told.message);
    for run in [fits.run, refused.run] {
        assert!(bench.store.entries(&run, 0).is_ok(), "{run}");
    }
}

#[test]
fn what_steps_answer_does_not_stay_in_memory() {
    let mut bench = Bench::new();
    bench.limits = Limits { memory: 96 << 20, ..Limits::default() };
    let answers = r#"
        for n in 0..110 {
            step("answers", || {
                let text = "0123456789abcdef";
                for doubling in 0..16 { text += text; }
                text
            });
        }
    "#;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(bench.directory.path()).unwrap());
    let execution = Execution { listener: Arc::new(|_| ()), ..bench.execution() };
    let ended = bench.engine(store).start(start(&bench, answers), execution).unwrap().wait();
    assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{:?}", ended.failure);
}

fn start(bench: &Bench, script: &str) -> Start {
    Start {
        runbook: Runbook::from_sources(Sources::new("test.rhai", format!("{HEADER}\n{script}"))).unwrap(),
        name: "test".into(),
        project: bench.directory.path().into(),
        params: Params::default(),
        mode: Mode::Run,
        occasion: Occasion::default(),
    }
}

#[test]
fn what_a_script_used_up_does_not_keep_it_from_being_taken_back() {
    let mut bench = Bench::new();
    bench.limits = Limits { operations: 100_000, ..Limits::default() };
    let ended = bench.run(
        r#"
        runbook(#{ title: "t", owner: "o", needs: ["world:change"], on_failure: "undo" });
        fn back(name) { for n in 0..2000 { } world::change(name, "back"); }
        undo::with("back", ["x"]);
        loop { }
        "#,
    );
    assert_eq!(ended.failure.unwrap().code, "A0009");
    assert_eq!(bench.world.things.lock().unwrap()["x"], json!("back"));
}

#[test]
fn a_run_that_breaks_off_tells_whoever_waits_and_can_be_resumed() {
    let bench = Bench::new();
    let start = start(&bench, r#"world::change("x", 1); world::change("y", 2);"#);
    let listener: Listener = Arc::new(|event| {
        let Event::Recorded(entry) = event else { return };
        assert!(!matches!(entry.body, Body::Happened { .. }), "the screen is broken");
    });
    let execution = Execution { listener, ..bench.execution() };
    let ended = bench.engine(bench.store.clone()).start(start, execution).unwrap().wait();
    assert_eq!((ended.verdict, ended.failure.unwrap().code.as_str()), (None, "A0901"));
    let again = bench.resume(&ended.run).unwrap();
    assert_eq!(again.verdict, Some(Verdict::Succeeded), "{:?}", again.failure);
    assert_eq!(bench.world.lines(), ["change x", "change y"]);
}

#[test]
fn a_secret_is_used_but_never_told() {
    let mut bench = Bench::new();
    bench.environment.insert("AEGIS_PARAM_TOKEN".into(), "correct horse battery".into());
    let ended = bench.run(r#"
        runbook(#{ title: "t", owner: "o", needs: ["world:change"], params: #{ token: #{ type: "string", secret: true } } });
        log(`token ${params.token}`);
        print(params.token);
        world::change("x", `https://host/${params.token}/end`);
        world::change("y", #{ deep: [params.token] });
        step("s", || throw "bad " + params.token)
    "#);
    assert_eq!(ended.verdict, Some(Verdict::Failed));
    let things = bench.world.things.lock().unwrap().clone();
    assert_eq!(things["x"], json!("https://host/correct horse battery/end"), "opened inside the function");
    assert_eq!(things["y"], json!({ "deep": ["correct horse battery"] }));
    let journal = serde_json::to_string(&bench.entries(&ended.run)).unwrap();
    assert!(!journal.contains("horse") && !journal.contains("battery"), "{journal}");
    assert!(journal.contains("token ***"));
    assert!(!format!("{:?}", ended.failure).contains("horse"));
}

#[test]
fn a_damaged_record_is_named_and_other_runs_are_not_touched() {
    let bench = Bench::new();
    let damaged = bench.run(r#"world::change("x", 1);"#).run;
    let whole = bench.run(r#"world::change("x", 1);"#).run;
    let database = bench.directory.path().join("journal.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    connection
        .execute(
            "UPDATE entries SET body = replace(body, '\"value\":1', '\"value\":2') WHERE run = ?1",
            [&damaged],
        )
        .unwrap();
    let error = bench.store.entries(&damaged, 0).unwrap_err();
    assert_eq!(error.to_string(), format!("record 2 of run `{damaged}` is damaged: its hash does not fit"));
    assert!(bench.store.entries(&whole, 0).is_ok());
    connection.execute("DELETE FROM entries WHERE run = ?1 AND seq = 3", [&whole]).unwrap();
    let error = bench.store.entries(&whole, 0).unwrap_err();
    assert!(error.to_string().contains("record 3"), "{error}");
}

#[test]
fn a_journal_of_a_newer_aegis_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(directory.path()).unwrap());
    let connection = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    connection.execute("UPDATE meta SET value = '2' WHERE key = 'format'", []).unwrap();
    let error = SqliteStore::open(directory.path()).err().unwrap();
    assert!(error.to_string().ends_with("it has format 2, this aegis reads up to 1"), "{error}");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = SqliteStore::open(file.path()).err().unwrap();
    assert_eq!(error.code().0, "A0202");
}

#[test]
fn a_full_disk_leaves_the_run_resumable() {
    let bench = Bench::new();
    let run = bench.run_cut(r#"world::change("x", 1); world::change("y", 2);"#, 4).unwrap();
    let ended = bench.resume(&run).unwrap();
    assert_eq!(ended.verdict, Some(Verdict::Succeeded));
    assert_eq!(bench.world.lines(), ["change x", "change y"]);
}

#[test]
fn a_missing_secret_keeps_a_run_from_being_resumed() {
    let mut bench = Bench::new();
    bench.environment.insert("AEGIS_PARAM_TOKEN".into(), "correct horse battery".into());
    let script = r#"
        runbook(#{ title: "t", owner: "o", params: #{ token: #{ type: "string", secret: true } } });
        approval::ask("go?");
    "#;
    let run = bench.run(script).run;
    bench.environment.insert("AEGIS_PARAM_TOKEN".into(), "another".into());
    let Err(EngineError::Call(error)) = bench.resume(&run) else { panic!("it was resumed") };
    assert_eq!(error.code, "A0003");
}

#[test]
fn scripts_cannot_reach_the_clock_files_or_eval() {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    for script in ["timestamp()", "sleep(1)", "eval(\"1\")", "import \"/etc/passwd\" as x;"] {
        let bench = Bench::new();
        let started = bench.begin(script, aegis_engine::run::Mode::Run, Arc::clone(&store));
        match started {
            Ok(handle) => assert_ne!(handle.wait().verdict, Some(Verdict::Succeeded), "{script}"),
            Err(EngineError::Problems(problems)) => assert!(problems.has_errors(), "{script}"),
            Err(EngineError::Call(error)) => panic!("{script}: {error}"),
        }
    }
    assert!(HEADER.contains("needs"));
}
