//! Every step broken: the run is cut after each record and resumed; each call fails in turn.

use aegis_engine::clock::SystemClock;
use aegis_engine::journal::Person;
use aegis_engine::journal::Verdict;
use aegis_engine::run::Mode;
use aegis_engine::run::operate::{Decider, Desk};

use crate::world::Bench;

/// Reads, changes, once-effects, steps with retry, parallel branches and a log line.
const EVERYTHING: &str = r#"
    log("begin");
    let before = world::read("a");
    world::change("a", 1);
    let made = step("build", || {
        world::change("b", 2);
        step("tell", || world::once("mail"));
        world::read("b")
    });
    let parts = parallel([1, 2, 3], #{ max: 1 }, |n| {
        step(`part ${n}`, || { world::change(`p${n}`, n); world::once(`ping ${n}`); n })
    });
    world::once("done");
    [made, parts]
"#;

const ONCE: [&str; 5] = ["once mail", "once ping 1", "once ping 2", "once ping 3", "once done"];

/// Resumes until the run has ended, as an on-call engineer would: an effect nobody can tell about is marked
/// done by hand after a look at the world.
fn drive(bench: &Bench, run: &str) -> (Verdict, usize) {
    for asked in 0..20 {
        let ended = bench.resume(run).unwrap();
        if let Some(verdict) = ended.verdict {
            return (verdict, asked);
        }
        let desk = Desk { store: &*bench.store, clock: &SystemClock };
        let pending = desk.pending(run).unwrap();
        let [waiting] = pending.as_slice() else { panic!("{:?} {:?}", pending, ended.failure) };
        let by = Decider { person: &Person("grace".into()), note: "looked", evidence: "the log" };
        let name = waiting.call.rsplit("world::").next().unwrap();
        let happened = bench.world.performed("once") > done(bench, run);
        if happened {
            desk.mark_done(run, &waiting.call, serde_json::json!("by hand"), &by).unwrap();
        } else {
            desk.retry(run, &by).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    panic!("no end after twenty resumes");
}

/// Once-effects whose outcome the journal knows.
fn done(bench: &Bench, run: &str) -> usize {
    use aegis_engine::journal::{Act, Body, Outcome};
    let entries = bench.entries(run);
    let once: std::collections::BTreeSet<&str> = entries
        .iter()
        .filter_map(|e| match &e.body {
            Body::Asked { call, function, .. } if function == "world::once" => Some(call.as_str()),
            _ => None,
        })
        .collect();
    let known: std::collections::BTreeSet<&str> = entries
        .iter()
        .filter_map(|e| match &e.body {
            Body::Happened { call, outcome: Outcome::Ok(_), .. } => Some(call.as_str()),
            Body::Decided { act: Act::MarkDone { key, .. }, .. } => Some(key.as_str()),
            _ => None,
        })
        .filter(|call| once.contains(call))
        .collect();
    known.len()
}

#[test]
fn a_run_cut_after_any_record_goes_on_where_it_was() {
    let whole = Bench::new();
    let ended = whole.run(EVERYTHING);
    assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{:?}", ended.failure);
    let (records, expected) = (whole.entries(&ended.run).len(), ended.value);
    let mut asked = 0;
    for cut in 1..records {
        let bench = Bench::new();
        let run = bench.run_cut(EVERYTHING, cut).unwrap();
        let stored = bench.entries(&run).len();
        let (verdict, questions) = drive(&bench, &run);
        asked += questions;
        assert_eq!(verdict, Verdict::Succeeded, "cut after {cut}");
        assert!(bench.entries(&run).len() >= stored);
        for once in ONCE {
            assert_eq!(bench.world.performed(once), 1, "{once}, cut after {cut}: {:?}", bench.world.lines());
        }
        let value = bench.entries(&run).into_iter().rev().find_map(|e| match e.body {
            aegis_engine::journal::Body::Ended { value, .. } => Some(value),
            _ => None,
        });
        assert_eq!(value.as_ref(), Some(&expected), "cut after {cut}");
    }
    println!("cut after each of {records} records: 0 effects repeated, {asked} unknown and asked");
}

#[test]
fn each_call_fails_in_turn_and_a_retry_reaches_the_end() {
    for name in ["a", "b", "mail", "p1", "p2", "ping 2", "p3", "done"] {
        let bench = Bench::new();
        bench.world.fail(name, 1);
        let ended = bench.run(EVERYTHING);
        assert_eq!(ended.verdict, Some(Verdict::Failed), "{name}");
        assert!(bench.resume(&ended.run).is_err(), "a failed run is not resumed by accident");
        let desk = Desk { store: &*bench.store, clock: &SystemClock };
        let by = Decider { person: &Person("grace".into()), note: "", evidence: "" };
        desk.retry(&ended.run, &by).unwrap();
        let again = bench.resume(&ended.run).unwrap();
        assert_eq!(again.verdict, Some(Verdict::Succeeded), "{name}: {:?}", again.failure);
        for once in ONCE {
            assert_eq!(
                bench.world.performed(once),
                1,
                "{once} when {name} failed: {:?}",
                bench.world.lines()
            );
        }
    }
}

#[test]
fn a_plan_shows_effects_and_performs_none() {
    let bench = Bench::new();
    let store: std::sync::Arc<dyn aegis_engine::journal::Store> = bench.store.clone();
    let ended = bench.begin(EVERYTHING, Mode::Plan, store).unwrap().wait();
    assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{:?}", ended.failure);
    assert_eq!(bench.world.performed("change") + bench.world.performed("once"), 0);
    assert!(bench.store.runs_are_empty());
    let entries: Vec<_> = bench
        .events
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            aegis_engine::run::Event::Recorded(entry) => Some((**entry).clone()),
            aegis_engine::run::Event::Progress { .. } => None,
        })
        .collect();
    let report = aegis_engine::report::Report::of(&entries);
    assert_eq!(report.changes.len(), 10);
    assert_eq!(report.changes[0].summary, "change a to 1");
}

#[test]
fn a_replay_needs_no_outside() {
    let bench = Bench::new();
    let ended = bench.run(EVERYTHING);
    let before = bench.world.lines();
    let resume = aegis_engine::run::Resume::of(&ended.run);
    let replayed = bench.engine(bench.store.clone()).replay(resume, bench.execution()).unwrap().wait();
    assert_eq!(replayed.verdict, Some(Verdict::Succeeded), "{:?}", replayed.failure);
    assert_eq!(replayed.value, ended.value);
    assert_eq!(bench.world.lines(), before);
}

#[test]
fn a_cancel_reaches_a_blocked_call_and_undoes() {
    let bench = Bench::new();
    let store: std::sync::Arc<dyn aegis_engine::journal::Store> = bench.store.clone();
    let handle = bench.begin(r#"world::change("a", 1); world::hang("h");"#, Mode::Run, store).unwrap();
    while bench.world.performed("hang") == 0 {
        std::thread::yield_now();
    }
    handle.cancel(&Person("grace".into()), "enough").unwrap();
    let ended = handle.wait();
    assert_eq!(ended.verdict, Some(Verdict::Cancelled));
    assert_eq!(bench.world.lines(), ["change a", "hang h", "change a"], "undone");
    assert!(ended.leftovers.is_empty());
}

trait Empty {
    fn runs_are_empty(&self) -> bool;
}

impl Empty for aegis_engine::journal::SqliteStore {
    fn runs_are_empty(&self) -> bool {
        aegis_engine::journal::Store::runs(self).unwrap().is_empty()
    }
}
