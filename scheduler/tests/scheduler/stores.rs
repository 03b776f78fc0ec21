//! What every store of records keeps to: each case on SQLite and on a real PostgreSQL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aegis_engine::journal::{Person, PostgresStore, SqliteStore, Verdict};
use aegis_engine::testing::PostgresServer;
use aegis_engine::testing::postgres::opened;
use aegis_scheduler::record::run_id;
use aegis_scheduler::schedule::Definition;
use aegis_scheduler::store::{
    Admission, Change, Ended, Limit, Pause, PostgresRecords, RecordStore, Rest, SqliteRecords, Waiting,
};
use aegis_scheduler::{Outcome, Record, Why};
use jiff::Timestamp;

/// Opens the store; each time is another process.
type Open<'a> = &'a dyn Fn() -> Arc<dyn RecordStore>;
type Promise = fn(Open<'_>);

macro_rules! promises {
    ($($name:ident),* $(,)?) => {
        const ALL: &[(&str, Promise)] = &[$((stringify!($name), $name)),*];
        mod sqlite {
            $(#[test] fn $name() { super::on_sqlite(super::$name); })*
        }
    };
}

promises! {
    an_instant_has_one_record,
    an_outcome_changes_only_from_the_expected_one,
    an_end_is_noted_once_and_failures_are_counted,
    news_are_what_others_did,
    a_promised_run_is_taken_once,
    what_is_parked_waits_until_it_is_woken,
    what_had_begun_is_told_apart,
    a_run_started_by_hand_is_left_to_the_person_for_a_while,
    a_trigger_starts_as_many_runs_as_it_may,
    history_is_newest_first,
    a_run_can_be_said_more_about,
}

fn on_sqlite(promise: Promise) {
    let directory = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(directory.path()).unwrap());
    promise(&|| Arc::new(SqliteRecords::open(directory.path()).unwrap()));
}

/// The tables as they were when how far a schedule has come stood beside its name.
const BEFORE: &str = "
CREATE TABLE schedules (
  name TEXT PRIMARY KEY, whens TEXT NOT NULL, zone TEXT NOT NULL, decided INTEGER NOT NULL, pause TEXT,
  failures INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE records (
  schedule TEXT NOT NULL, instant INTEGER NOT NULL, decided INTEGER NOT NULL, outcome TEXT NOT NULL, run TEXT,
  verdict TEXT, why TEXT, note TEXT NOT NULL, PRIMARY KEY (schedule, instant)) WITHOUT ROWID;
CREATE TABLE schedule_changes (version INTEGER NOT NULL);
INSERT INTO schedule_changes VALUES (3);
INSERT INTO schedules VALUES ('b', '@hourly', 'Asia/Seoul', 1800000002000000000, NULL, 2);
INSERT INTO schedules VALUES ('a', '@daily', 'UTC', 1800000001000000000,
  '{\"person\":\"kim\",\"reason\":\"why not\",\"at\":\"2027-01-15T08:00:05Z\"}', 0);
INSERT INTO records VALUES ('a', 1800000001000000000, 1800000001000000000, 'started', 'a-run', NULL, NULL, '');
";

#[test]
fn a_file_of_before_is_brought_forward_once() {
    let directory = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(directory.path()).unwrap());
    let file = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    file.execute_batch(BEFORE).unwrap();
    drop(file);
    for _ in 0..2 {
        let store = SqliteRecords::open(directory.path()).unwrap();
        let mut told = Vec::new();
        store
            .progress(None, &mut |progress| {
                let paused = progress.pause.map(|pause| pause.reason);
                told.push((progress.schedule.to_owned(), progress.decided, progress.failures, paused));
            })
            .unwrap();
        told.sort();
        let expected =
            [("a".to_owned(), at(1), 0, Some("why not".to_owned())), ("b".to_owned(), at(2), 2, None)];
        assert_eq!(told, expected);
        assert_eq!(store.open().unwrap()[0].run(), Some("a-run"));
    }
}

/// One after the other: the server is started once.
#[test]
fn postgres_keeps_every_promise() {
    let server = PostgresServer::start();
    for (name, promise) in ALL {
        println!("{name}");
        let url = server.create(&name.chars().take(60).collect::<String>());
        let open = || opened(&url, Duration::from_secs(90));
        drop(PostgresStore::open(&open()).unwrap());
        promise(&|| Arc::new(PostgresRecords::open(&open()).unwrap()));
    }
}

#[test]
fn engines_that_decide_on_events_at_the_same_time_keep_to_the_rate_together() {
    let server = PostgresServer::start();
    let url = server.create("rate");
    let open = || opened(&url, Duration::from_secs(90));
    drop(PostgresStore::open(&open()).unwrap());
    PostgresRecords::open(&open())
        .unwrap()
        .define(&[("a", Definition { when: "on webhook", zone: "UTC" }, at(0))])
        .unwrap();
    let kept: usize = std::thread::scope(|scope| {
        let engines: Vec<_> = (0..6)
            .map(|engine| {
                scope.spawn(move || {
                    let store = PostgresRecords::open(&open()).unwrap();
                    let admitted = (0..20).map(|n| {
                        store
                            .admit(&promised("a", engine * 100 + n), Limit { most: 7, since: at(-1) })
                            .unwrap()
                    });
                    admitted.filter(|admission| *admission == Admission::Kept).count()
                })
            })
            .collect();
        engines.into_iter().map(|engine| engine.join().unwrap()).sum()
    });
    assert_eq!(kept, 7);
}

#[test]
fn engines_that_take_at_the_same_time_share_what_waits() {
    let server = PostgresServer::start();
    let url = server.create("shared");
    let open = || opened(&url, Duration::from_secs(90));
    drop(PostgresStore::open(&open()).unwrap());
    let store = PostgresRecords::open(&open()).unwrap();
    let records: Vec<Record> = (0..300).map(|n| promised("a", n)).collect();
    store.decided(&records, &[]).unwrap();
    let taken: Vec<String> = std::thread::scope(|scope| {
        let engines: Vec<_> = (0..6)
            .map(|engine| {
                scope.spawn(move || {
                    let store = PostgresRecords::open(&open()).unwrap();
                    let mut taken = Vec::new();
                    loop {
                        let more = take(&store, &format!("engine {engine}"), 7);
                        if more.is_empty() {
                            return taken;
                        }
                        taken.extend(more);
                    }
                })
            })
            .collect();
        engines.into_iter().flat_map(|engine| engine.join().unwrap()).collect()
    });
    let mut once = taken.clone();
    once.sort();
    once.dedup();
    assert_eq!((taken.len(), once.len()), (300, 300));
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn record(schedule: &str, second: i64, outcome: Outcome) -> Record {
    Record {
        schedule: schedule.into(),
        instant: at(second),
        decided: at(second),
        outcome,
        by: Some("ada".to_owned()),
        given: BTreeMap::new(),
        note: String::new(),
    }
}

fn promised(schedule: &str, second: i64) -> Record {
    record(schedule, second, Outcome::Started { run: run_id(schedule, at(second)), verdict: None })
}

const DAILY: Definition<'_> = Definition { when: "@daily", zone: "UTC" };

fn take(store: &dyn RecordStore, engine: &str, room: usize) -> Vec<String> {
    let mut oldest = |waiting: &[Waiting], _: &[String]| (0..waiting.len().min(room)).collect();
    let taken = store.take(engine, Timestamp::now(), &mut oldest).unwrap();
    taken.iter().map(|record| record.run().unwrap().to_owned()).collect()
}

fn run(second: i64) -> String {
    run_id("a", at(second))
}

fn an_instant_has_one_record(open: Open<'_>) {
    let (one, two) = (open(), open());
    one.define(&[("a", DAILY, at(0))]).unwrap();
    let none = record("a", 1, Outcome::NotStarted { why: Why::Frozen });
    assert_eq!(one.decided(&[promised("a", 1), promised("a", 2)], &[("a", at(2))]).unwrap(), [true, true]);
    assert_eq!(two.decided(&[none, promised("a", 3)], &[("a", at(3))]).unwrap(), [false, true]);
    assert_eq!(two.find("a", at(1)).unwrap(), Some(promised("a", 1)));
    // How far a schedule has come never goes back.
    one.decided(&[], &[("a", at(2))]).unwrap();
    let mut told = 0;
    two.progress(None, &mut |progress| {
        assert_eq!((progress.schedule, progress.decided, progress.definition), ("a", at(3), DAILY));
        told += 1;
    })
    .unwrap();
    two.progress(Some("b"), &mut |progress| panic!("{progress:?} was never taken in")).unwrap();
    assert_eq!(told, 1);
    assert_eq!(two.find("b", at(1)).unwrap(), None);
}

fn an_outcome_changes_only_from_the_expected_one(open: Open<'_>) {
    let (one, two) = (open(), open());
    let waiting = record("a", 1, Outcome::Waiting);
    one.decided(std::slice::from_ref(&waiting), &[]).unwrap();
    let starts = promised("a", 1).outcome;
    let change = |second, outcome: &Outcome, note: &str| Change {
        record: record("a", second, Outcome::Waiting),
        outcome: outcome.clone(),
        note: note.into(),
    };
    assert_eq!(one.settle(&[change(1, &starts, "first")]).unwrap(), [true]);
    let overlap = Outcome::NotStarted { why: Why::Overlap };
    one.decided(&[record("a", 2, Outcome::Waiting)], &[]).unwrap();
    let both = [change(1, &overlap, "second"), change(2, &overlap, "second")];
    assert_eq!(two.settle(&both).unwrap(), [false, true]);
    let found = two.find("a", at(1)).unwrap().unwrap();
    assert_eq!((found.outcome, found.note.as_str()), (starts, "first"));
}

fn an_end_is_noted_once_and_failures_are_counted(open: Open<'_>) {
    let (one, two) = (open(), open());
    one.define(&[("a", DAILY, at(0))]).unwrap();
    one.decided(&[promised("a", 1), promised("a", 2), promised("a", 3)], &[]).unwrap();
    let end = |second, verdict| Ended { schedule: "a", instant: at(second), verdict };
    assert_eq!(one.ended(&[end(1, Verdict::Failed)]).unwrap(), [Some(1)]);
    // Of several that are noted together each counts, in their order; what somebody noted before does not.
    let both = [end(1, Verdict::Succeeded), end(2, Verdict::Failed)];
    assert_eq!(two.ended(&both).unwrap(), [None, Some(2)]);
    assert_eq!(two.open().unwrap(), [promised("a", 3)]);
    assert_eq!(one.ended(&[end(3, Verdict::Succeeded)]).unwrap(), [Some(0)]);
    assert!(one.open().unwrap().is_empty());
    one.decided(&(4..8).map(|second| promised("a", second)).collect::<Vec<_>>(), &[]).unwrap();
    let verdicts = [Verdict::Failed, Verdict::Succeeded, Verdict::Failed, Verdict::Cancelled];
    let all: Vec<Ended<'_>> = (4..8).zip(verdicts).map(|(second, verdict)| end(second, verdict)).collect();
    assert_eq!(two.ended(&all).unwrap(), [Some(1), Some(0), Some(1), Some(1)]);
}

fn news_are_what_others_did(open: Open<'_>) {
    let (one, two) = (open(), open());
    one.define(&[("a", DAILY, at(0))]).unwrap();
    one.decided(&[promised("a", 1)], &[("a", at(1))]).unwrap();
    let news = |since| {
        let mut pauses = Vec::new();
        let news = two.news(since, &mut |progress| pauses.push(progress.pause)).unwrap();
        (news, pauses)
    };
    let (first, pauses) = news(None);
    assert!(first.whole);
    assert_eq!((pauses, first.records), (vec![None], vec![promised("a", 1)]));
    let pause = Pause { person: Person("kim".into()), reason: "why not".into(), at: at(5) };
    one.set_pause("a", Some(&pause)).unwrap();
    one.changed().unwrap();
    let (second, pauses) = news(Some(first.cursor));
    assert_eq!(pauses, [Some(pause)]);
    one.ended(&[Ended { schedule: "a", instant: at(1), verdict: Verdict::Succeeded }]).unwrap();
    one.changed().unwrap();
    let (news, _) = news(Some(second.cursor));
    let ended = |record: &Record| matches!(record.outcome, Outcome::Started { verdict: Some(_), .. });
    assert!(if news.whole { news.records.is_empty() } else { news.records.iter().any(ended) });
}

fn a_promised_run_is_taken_once(open: Open<'_>) {
    let store = open();
    let waiting = record("a", 4, Outcome::Waiting);
    store.decided(&[promised("a", 1), promised("a", 2), promised("a", 3), waiting], &[]).unwrap();
    assert_eq!(take(&*store, "one", 2), [run(1), run(2)]);
    assert_eq!(take(&*open(), "one", 9), [run(3)]);
    assert!(take(&*store, "one", 9).is_empty());
    let mut under_way = Vec::new();
    store
        .take("one", Timestamp::now(), &mut |_, busy| {
            under_way = busy.to_vec();
            Vec::new()
        })
        .unwrap();
    store.keep("one", Timestamp::now(), &[("a", at(1))]).unwrap();
    let free = |engine, second| {
        let back = [(("a", at(second)), Rest::After(Duration::ZERO))];
        store.put_back(engine, Timestamp::now(), &back).unwrap();
    };
    free("one", 2);
    // Only who has it gives it back.
    free("two", 3);
    assert_eq!(take(&*store, "one", 9), [run(2)]);
    store.ended(&[Ended { schedule: "a", instant: at(3), verdict: Verdict::Succeeded }]).unwrap();
    free("one", 3);
    assert!(take(&*store, "one", 9).is_empty(), "it has ended");
}

fn what_is_parked_waits_until_it_is_woken(open: Open<'_>) {
    let store = open();
    store.decided(&[promised("a", 1), promised("a", 2), promised("a", 3)], &[]).unwrap();
    assert_eq!(take(&*store, "one", 9).len(), 3);
    // Of several that are given back together each rests as it is said.
    let back = [
        (("a", at(1)), Rest::Parked),
        (("a", at(2)), Rest::After(Duration::ZERO)),
        (("a", at(3)), Rest::Parked),
    ];
    store.put_back("one", Timestamp::now(), &back).unwrap();
    assert_eq!(take(&*open(), "two", 9), [run(2)]);
    assert_eq!(store.open().unwrap().len(), 3);
    store.wake(&[("a", at(3)), ("a", at(9))]).unwrap();
    assert_eq!(take(&*open(), "two", 9), [run(3)]);
}

/// So that it keeps its place from the moment its engine is gone until it is taken over.
fn what_had_begun_is_told_apart(open: Open<'_>) {
    let store = open();
    store.decided(&[promised("a", 1), promised("b", 2), promised("c", 3), promised("d", 4)], &[]).unwrap();
    assert_eq!(take(&*store, "one", 3).len(), 3);
    let told = || {
        let mut told = (Vec::new(), Vec::new());
        let mut look = |waiting: &[Waiting], under_way: &[String]| {
            let line = |waits: &Waiting| format!("{} {}", waits.record.schedule, waits.begun);
            told = (waiting.iter().map(line).collect(), under_way.to_vec());
            told.1.sort();
            Vec::new()
        };
        open().take("one", Timestamp::now(), &mut look).unwrap();
        told
    };
    let expected = |waiting: &[&str], under_way: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        (owned(waiting), owned(under_way))
    };
    assert_eq!(told(), expected(&["d false"], &["a", "b", "c"]));
    let back = [
        (("a", at(1)), Rest::After(Duration::ZERO)),
        (("b", at(2)), Rest::After(Duration::from_secs(600))),
        (("c", at(3)), Rest::Parked),
    ];
    store.put_back("one", Timestamp::now(), &back).unwrap();
    assert_eq!(told(), expected(&["a true", "d false"], &["b"]));
    store.wake(&[("c", at(3))]).unwrap();
    assert_eq!(told(), expected(&["a true", "c true", "d false"], &["b"]));
}

fn a_run_started_by_hand_is_left_to_the_person_for_a_while(open: Open<'_>) {
    let store = open();
    assert!(store.promise(&promised("a", 1), None, Timestamp::now()).unwrap());
    assert!(!open().promise(&promised("a", 1), None, Timestamp::now()).unwrap());
    assert!(take(&*store, "one", 9).is_empty());
    let missed = record("a", 2, Outcome::NotStarted { why: Why::EngineDown });
    store.decided(std::slice::from_ref(&missed), &[]).unwrap();
    assert!(store.promise(&promised("a", 2), Some(&missed), Timestamp::now()).unwrap());
    assert!(!store.promise(&promised("a", 2), Some(&missed), Timestamp::now()).unwrap());
    assert_eq!(store.find("a", at(2)).unwrap(), Some(promised("a", 2)));
}

fn a_trigger_starts_as_many_runs_as_it_may(open: Open<'_>) {
    let (one, two) = (open(), open());
    one.define(&[("a", Definition { when: "on webhook", zone: "UTC" }, at(0))]).unwrap();
    let limit = |since| Limit { most: 2, since: at(since) };
    let mut none = record("a", 1, Outcome::NotStarted { why: Why::Duplicate });
    none.decided = at(5);
    one.decided(&[none], &[]).unwrap();
    assert_eq!(
        one.admit(&promised("a", 2), limit(0)).unwrap(),
        Admission::Kept,
        "what starts nothing does not count"
    );
    assert_eq!(two.admit(&promised("a", 2), limit(0)).unwrap(), Admission::Known);
    assert_eq!(two.admit(&promised("a", 3), limit(0)).unwrap(), Admission::Kept);
    for store in [&one, &two] {
        assert_eq!(store.admit(&promised("a", 4), limit(0)).unwrap(), Admission::Full);
        assert_eq!(store.find("a", at(4)).unwrap(), None);
    }
    assert_eq!(two.admit(&promised("b", 4), limit(0)).unwrap(), Admission::Kept, "each trigger for itself");
    // Time goes by: the first is too long ago.
    assert_eq!(two.admit(&promised("a", 4), limit(2)).unwrap(), Admission::Kept);
}

fn a_run_can_be_said_more_about(open: Open<'_>) {
    let store = open();
    let record = promised("a", 1);
    store.decided(std::slice::from_ref(&record), &[]).unwrap();
    store.note(("a", record.instant), "job aegis/a-1").unwrap();
    store.note(("nobody", record.instant), "nothing").unwrap();
    store.ended(&[Ended { schedule: "a", instant: record.instant, verdict: Verdict::Succeeded }]).unwrap();
    let found = open().find("a", record.instant).unwrap().unwrap();
    assert_eq!(found.note, "job aegis/a-1");
    assert_eq!(
        found.outcome,
        Outcome::Started { run: run_id("a", record.instant), verdict: Some(Verdict::Succeeded) }
    );
}

fn history_is_newest_first(open: Open<'_>) {
    let store = open();
    store.decided(&[promised("a", 1), promised("b", 1), promised("a", 2)], &[]).unwrap();
    let told = |schedule, most| {
        let history = store.history(schedule, most).unwrap();
        history.iter().map(|r| format!("{} {}", r.schedule, r.instant.as_second() % 100)).collect::<Vec<_>>()
    };
    assert_eq!(told(None, 9), ["a 2", "a 1", "b 1"]);
    assert_eq!(told(Some("a"), 1), ["a 2"]);
}
