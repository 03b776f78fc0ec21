//! Three engines, each interrupted in turn in each way. `AEGIS_INTERRUPTIONS` says how often; `just engines` a thousand
//! times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Duration;

use aegis_engine::testing::PostgresServer;
use rand::RngExt;

use crate::engines::{Engine, Project, until};
use crate::proxy::Proxy;
use crate::server::{Seen, Server};

const ENGINES: usize = 3;
const SCHEDULES: usize = 4;
/// Longer and shorter than the time after which an engine has lost its runs.
const LONGEST: u64 = 5000;

fn runbook(url: &str) -> String {
    format!(
        r#"runbook(#{{
    title: "Inside a lock",
    needs: ["http:change:{url}/*"],
    params: #{{ lock: #{{ type: "string" }} }},
}});

let held = lock::hold(params.lock, #{{ wait: "5m", time_to_live: "5m" }});
let act = #{{ run: run::info().id, lock: held.name, token: held.token }};
http::send("PUT", "{url}/begin", #{{ json: act }});
http::send("PUT", "{url}/end", #{{ json: act }});
lock::release(params.lock);
"#
    )
}

/// Two schedules a lock; `until` ends them.
fn schedules(project: &Project, end: Option<jiff::Timestamp>) {
    let end = end.map(|end| format!("until = \"{end}\"\n")).unwrap_or_default();
    let one = |n: usize| {
        format!(
            "[schedules.s{n}]\nrunbook = \"book.rhai\"\nwhen = \"*/2 * * * * *\"\nmissed = \"all\"\ncatch-up = \"24h\"\n\
             params = {{ lock = \"lock/{}\" }}\n{end}\n",
            n / 2
        )
    };
    let text: String = (0..SCHEDULES).map(one).collect();
    let draft = project.path().join("draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(draft, project.path().join("schedules.toml")).unwrap();
}

fn interruptions() -> usize {
    std::env::var("AEGIS_INTERRUPTIONS").ok().and_then(|number| number.parse().ok()).unwrap_or(9)
}

#[test]
fn interrupted_engines_run_each_instant_once_and_hold_each_lock_alone() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (postgres, server) = (PostgresServer::start(), Server::start(&runtime));
    let project = Project::new(&runbook(&server.url), "2s", postgres.create("engines"));
    schedules(&project, None);
    let mut engines: Vec<Engine<'_>> = (0..ENGINES)
        .map(|number| Engine::start(&project, number, Proxy::start(&runtime, postgres.port())))
        .collect();
    let begun = || server.seen.lock().unwrap().runs.len();
    let mut lengths = rand::rng();
    for number in 0..interruptions() {
        // They get somewhere between one interruption and the next.
        let before = begun();
        until("progress", || begun() > before + 1);
        let length = Duration::from_millis(lengths.random_range(0..LONGEST));
        let engine = &mut engines[number % ENGINES];
        match number / ENGINES % 3 {
            0 => engine.kill(),
            1 => engine.stop_for(length),
            _ => engine.cut_off_for(length),
        }
    }
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(6);
    schedules(&project, Some(end));
    until("the end of every run", || {
        let open = |record: &serde_json::Value| {
            record["outcome"] == "waiting" || record["outcome"] == "started" && record["verdict"].is_null()
        };
        jiff::Timestamp::now() > end + jiff::SignedDuration::from_secs(2)
            && !project.records().iter().any(open)
    });
    engines.iter_mut().for_each(Engine::end);
    check(&project, &server.seen.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Every second second of each schedule has one record, every promised run ended well, and was alone in its lock.
fn check(project: &Project, seen: &Seen) {
    let records = project.records();
    let mut instants: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    let mut promised: BTreeSet<&str> = BTreeSet::new();
    let mut others: BTreeMap<&str, u32> = BTreeMap::new();
    for record in &records {
        let instant: jiff::Timestamp = record["instant"].as_str().unwrap().parse().unwrap();
        let of = instants.entry(record["schedule"].as_str().unwrap()).or_default();
        assert!(of.insert(instant.as_second()), "twice: {record}");
        match record["run"].as_str() {
            Some(run) => {
                assert!(promised.insert(run), "two instants of {run}");
                assert_eq!(record["verdict"], "succeeded", "{record}\n{}", project.told(run));
            }
            None => *others.entry(record["why"].as_str().unwrap()).or_default() += 1,
        }
    }
    assert_eq!(instants.len(), SCHEDULES);
    for (schedule, seconds) in &instants {
        let (first, last) = (seconds.first().unwrap(), seconds.last().unwrap());
        let expected = usize::try_from((last - first) / 2 + 1).unwrap();
        assert_eq!(seconds.len(), expected, "{schedule} has instants without a record");
    }
    assert!(seen.broken.is_empty(), "{:#?}", seen.broken);
    let acted: BTreeSet<&str> = seen.runs.keys().map(String::as_str).collect();
    assert_eq!(acted, promised, "what acted is what was promised");
    for (run, counts) in &seen.runs {
        assert!(counts.0 > 0 && counts.1 > 0, "{run} did not do everything");
    }
    let broken: Vec<_> = project.json(&["verify"]).into_iter().filter(|run| !run["next"].is_null()).collect();
    assert!(broken.is_empty(), "{broken:?}");
    let again = seen.runs.values().filter(|counts| counts.0 > 1 || counts.1 > 1).count();
    println!(
        "{} interruptions, {} instants of {SCHEDULES} schedules: {} runs, none twice, none lost; without a run: {others:?}; \
         {again} runs repeated an act whose outcome was lost, {} acts refused by their token, locks never shared",
        interruptions(),
        records.len(),
        promised.len(),
        seen.refused,
    );
}
