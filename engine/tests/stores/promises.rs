//! What every store keeps to, one function a promise.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aegis_engine::journal::{
    Act, Body, Format, Halt, Person, Started, Status, Store, StoreError, Verdict, Wait, verify,
};
use aegis_engine::run::Mode;
use aegis_engine::runbook::Risk;
use jiff::Timestamp;
use serde_json::{Value, json};

type Open<'a> = &'a dyn Fn() -> Arc<dyn Store>;

pub(crate) fn started(title: &str) -> Body {
    Body::Started(Started {
        format: Format::CURRENT,
        runbook: "test".into(),
        project: "/".into(),
        title: title.into(),
        risk: Risk::Low,
        drill: false,
        sources: BTreeMap::new(),
        main: "test.rhai".into(),
        parameters: json!({}),
        target: "sandbox".into(),
        person: Person("ada".into()),
        mode: Mode::Run,
        scheduled: None,
        break_glass: None,
        forked: None,
        engine: "test".into(),
    })
}

pub(crate) fn cancel(note: &str) -> Body {
    Body::Decided {
        person: Person("grace".into()),
        act: Act::Cancel,
        note: note.into(),
        evidence: String::new(),
    }
}

pub(crate) fn ended(verdict: Verdict) -> Body {
    Body::Ended { verdict, failure: None, value: Value::Null }
}

pub(crate) fn waiting() -> Body {
    Body::Waiting { call: "a".into(), wait: Wait::Halt { reason: "incident 7".into() } }
}

pub(crate) fn resumed() -> Body {
    Body::Resumed {
        person: Person("ada".into()),
        sources: None,
        break_glass: None,
        location: None,
        engine: "test".into(),
    }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(crate) fn what_is_appended_is_read_in_order_with_its_chain(open: Open<'_>) {
    let store = open();
    let first = store.append("a", &[(at(0), started("one"))]).unwrap();
    let more = store.append("a", &[(at(1), cancel("x")), (at(2), resumed())]).unwrap();
    assert_eq!(first.iter().chain(&more).map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3]);
    let other = open();
    let read = other.entries("a", 0).unwrap();
    assert_eq!(read, [first, more.clone()].concat());
    assert_eq!(other.entries("a", 1).unwrap(), more);
    assert_eq!(other.entries("a", 3).unwrap(), []);
    let texts: Vec<(u64, String, String, String)> = read
        .iter()
        .map(|e| (e.seq, e.at.to_string(), serde_json::to_string(&e.body).unwrap(), e.hash.clone()))
        .collect();
    let links = texts.iter().map(|(seq, at, body, hash)| (*seq, at.as_str(), body.as_str(), hash.as_str()));
    assert_eq!(verify(String::new(), 1, links).unwrap(), read[2].hash);
    assert_eq!(other.entries("b", 0).unwrap_err(), StoreError::NoRun("b".into()));
    assert_eq!(other.entries("a", 9).unwrap_err(), StoreError::NoRun("a".into()));
}

pub(crate) fn a_run_begins_once(open: Open<'_>) {
    open().append("a", &[(at(0), started("one"))]).unwrap();
    assert_eq!(open().append("a", &[(at(1), started("two"))]).unwrap_err().code().0, "A0206");
    assert_eq!(open().entries("a", 0).unwrap().len(), 1);
}

pub(crate) fn nothing_is_appended_to_a_run_that_never_began(open: Open<'_>) {
    assert_eq!(open().append("a", &[(at(0), cancel("x"))]).unwrap_err(), StoreError::NoRun("a".into()));
    assert!(open().runs().unwrap().is_empty());
}

pub(crate) fn decisions_are_found_behind_a_position(open: Open<'_>) {
    let store = open();
    let bodies = [started("one"), cancel("x"), resumed(), cancel("y")];
    let bodies: Vec<_> = bodies.into_iter().map(|body| (at(0), body)).collect();
    store.append("a", &bodies).unwrap();
    let found = |after| {
        let (entries, last) = store.decisions("a", after).unwrap();
        (entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), last)
    };
    assert_eq!(found(0), (vec![2, 4], 4));
    assert_eq!(found(2), (vec![4], 4));
    assert_eq!(found(4), (vec![], 4));
    store.append("a", &[(at(1), resumed())]).unwrap();
    assert_eq!(found(4), (vec![], 5), "nothing is looked at twice");
}

pub(crate) fn how_a_run_stands_is_known_without_reading_it(open: Open<'_>) {
    let store = open();
    assert_eq!(open().standing("a").unwrap(), None);
    let stands = || {
        let standing = open().standing("a").unwrap().unwrap();
        (standing.status, standing.wait.is_some(), standing.decided)
    };
    store.append("a", &[(at(0), started("one")), (at(1), cancel("x"))]).unwrap();
    assert_eq!(stands(), (Status::Running, false, false));
    store.append("a", &[(at(2), waiting())]).unwrap();
    assert_eq!(stands(), (Status::Waiting, true, false), "what was decided before is not news");
    store.append("a", &[(at(3), cancel("y"))]).unwrap();
    assert_eq!(stands(), (Status::Waiting, true, true));
    store.append("a", &[(at(4), waiting())]).unwrap();
    assert_eq!(stands(), (Status::Waiting, true, false));
    let claim = store.claim("a").unwrap().unwrap();
    assert!(open().standing("a").unwrap().unwrap().executed);
    drop(claim);
    assert!(!open().standing("a").unwrap().unwrap().executed);
    store.append("a", &[(at(5), resumed()), (at(6), ended(Verdict::Failed))]).unwrap();
    assert_eq!(stands(), (Status::Failed, false, false));
}

pub(crate) fn runs_are_listed_newest_first_with_their_status(open: Open<'_>) {
    let store = open();
    store.append("a", &[(at(0), started("one")), (at(5), ended(Verdict::Succeeded))]).unwrap();
    store.append("b", &[(at(1), started("two"))]).unwrap();
    store.append("c", &[(at(1), started("three"))]).unwrap();
    let claim = store.claim("b").unwrap().unwrap();
    let told: Vec<(String, Status)> =
        open().runs().unwrap().into_iter().map(|run| (run.id, run.status)).collect();
    let expected = [("c", Status::Interrupted), ("b", Status::Running), ("a", Status::Succeeded)];
    assert_eq!(told, expected.map(|(id, status)| (id.to_owned(), status)));
    let first = open().runs().unwrap().pop().unwrap();
    assert_eq!((first.started, first.updated, first.title.as_str()), (at(0), at(5), "one"));
    drop(claim);
    assert_eq!(open().runs().unwrap()[1].status, Status::Interrupted);
}

pub(crate) fn texts_are_kept_under_their_hash(open: Open<'_>) {
    let texts: BTreeMap<String, String> =
        [("a", "let x = 1;"), ("b", "let x = 1;"), ("c", "")].map(|(n, t)| (n.into(), t.into())).into();
    let hashes = open().keep_texts(&texts).unwrap();
    assert_eq!(hashes, open().keep_texts(&texts).unwrap());
    assert_eq!(hashes["a"], hashes["b"]);
    for (name, hash) in &hashes {
        assert_eq!(open().text(hash).unwrap(), texts[name]);
    }
    assert_eq!(open().text("00").unwrap_err(), StoreError::NoText("00".into()));
}

pub(crate) fn a_look_at_a_run_names_every_text_that_is_missing(open: Open<'_>) {
    let store = open();
    let kept = store.keep_texts(&BTreeMap::from([("lib/a.rhai".to_owned(), "1".to_owned())])).unwrap();
    let mut sources = kept.clone();
    sources.insert("test.rhai".to_owned(), "00ff00ff00ff".to_owned());
    let Body::Started(begun) = started("one") else { unreachable!("it is a start") };
    let edited = BTreeMap::from([("test.rhai".to_owned(), "11".to_owned())]);
    let Body::Resumed { person, break_glass, location, engine, .. } = resumed() else {
        unreachable!("it is")
    };
    let taken_up = Body::Resumed { person, sources: Some(edited), break_glass, location, engine };
    let first = Body::Started(Started { sources, ..begun });
    store.append("a", &[(at(0), first), (at(1), taken_up), (at(2), waiting())]).unwrap();
    let examined = open().examine("a").unwrap();
    let told: Vec<String> = examined.damages.iter().map(|d| format!("{}: {}", d.part, d.why)).collect();
    let expected =
        ["the text 00ff00ff of `test.rhai`: it is missing", "the text 11 of `test.rhai`: it is missing"];
    assert_eq!(told, expected);
    assert_eq!((examined.entries, examined.status), (3, Status::Waiting));
    let none = open().examine("b").unwrap();
    assert_eq!((none.entries, none.damages.len()), (0, 1));
}

pub(crate) fn a_claim_keeps_others_away_until_it_is_dropped(open: Open<'_>) {
    let (one, two) = (open(), open());
    assert!(!two.executed("a").unwrap());
    let claim = one.claim("a").unwrap().unwrap();
    assert!(claim.fence().holds());
    assert!(two.claim("a").unwrap().is_none() && one.claim("a").unwrap().is_none());
    assert!(two.executed("a").unwrap());
    two.claim("b").unwrap().unwrap();
    one.write("a", &[(at(0), started("one"))], &claim.fence()).unwrap();
    // What people decide needs no claim.
    two.append("a", &[(at(1), cancel("x"))]).unwrap();
    drop(claim);
    assert!(!two.executed("a").unwrap());
    let next = two.claim("a").unwrap().unwrap();
    two.write("a", &[(at(2), resumed())], &next.fence()).unwrap();
    assert_eq!(one.entries("a", 0).unwrap().len(), 3);
}

pub(crate) fn the_halt_is_seen_by_everybody(open: Open<'_>) {
    let halt = Halt { person: Person("ada".into()), reason: "fire \u{1f525}".into(), at: at(0) };
    assert_eq!(open().halt().unwrap(), None);
    open().set_halt(Some(&halt)).unwrap();
    open().set_halt(Some(&halt)).unwrap();
    assert_eq!(open().halt().unwrap(), Some(halt));
    open().set_halt(None).unwrap();
    assert_eq!(open().halt().unwrap(), None);
}

pub(crate) fn a_lease_is_held_by_one_run_and_its_token_grows(open: Open<'_>) {
    let (one, two) = (open(), open());
    let minute = Duration::from_secs(60);
    let now = Timestamp::now();
    let take = |store: &Arc<dyn Store>, run: &str| store.acquire("db", run, now, minute, None).unwrap();
    let lease = take(&one, "a").unwrap();
    assert_eq!((lease.token, lease.run.as_str(), lease.name.as_str()), (1, "a", "db"));
    assert_eq!(take(&two, "b").unwrap_err().run, "a");
    assert_eq!(take(&two, "a").unwrap().token, 1, "a run that is taken over keeps its locks");
    // Not its own.
    two.release("db", "b", None).unwrap();
    assert_eq!(take(&two, "b").unwrap_err().run, "a");
    one.release("db", "a", None).unwrap();
    assert_eq!(take(&two, "b").unwrap().token, 2);
    assert_eq!(take(&one, "a").unwrap_err().run, "b");
    assert_eq!(one.acquire("other", "a", now, minute, None).unwrap().unwrap().token, 1);
}

pub(crate) fn a_lease_that_ran_out_goes_to_the_next(open: Open<'_>) {
    let store = open();
    let moment = Duration::from_millis(1);
    store.acquire("db", "a", Timestamp::now(), moment, None).unwrap().unwrap();
    let minute = Duration::from_secs(60);
    let taken = loop {
        if let Ok(lease) = store.acquire("db", "b", Timestamp::now(), minute, None).unwrap() {
            break lease;
        }
    };
    assert_eq!(taken.token, 2);
    assert_eq!(store.acquire("db", "a", Timestamp::now(), minute, None).unwrap().unwrap_err().run, "b");
}

pub(crate) fn appends_of_many_processes_are_one_chain(open: Open<'_>) {
    open().append("a", &[(at(0), started("one"))]).unwrap();
    let stores: Vec<Arc<dyn Store>> = (0..4).map(|_| open()).collect();
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(move || {
                for number in 0..25 {
                    store.append("a", &[(at(number), cancel("x")), (at(number), resumed())]).unwrap();
                }
            });
        }
    });
    assert_eq!(open().entries("a", 0).unwrap().len(), 201);
}

pub(crate) fn whatever_a_text_contains_comes_back(open: Open<'_>) {
    let odd = "it's \u{0} \"quoted\" \\ % _ $1 {\"kind\":\"decided\"} \u{1f9ef}\n";
    let store = open();
    store.append("a", &[(at(0), started("one")), (at(0), cancel(odd))]).unwrap();
    let Body::Decided { note, .. } = open().entries("a", 0).unwrap().remove(1).body else { panic!() };
    assert_eq!(note, odd);
}
