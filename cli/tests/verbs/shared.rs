//! Triggers of two engines that share a PostgreSQL: however many are told of an event or find it, it has one record and
//! one run, and a rate holds for both together.

use std::collections::{BTreeMap, BTreeSet};

use aegis_engine::testing::PostgresServer;
use serde_json::Value;

use crate::project::Project;
use crate::sandbox::Up;
use crate::serving::Serving;
use crate::triggers::{
    EVENT, GROW, IMPORT, LOGIN, PUT, READER, SENDER, alert, history, next_second, notification, put, seconds,
    standard, tokens, until,
};

/// A project on a database; each engine has a state directory of its own.
fn project(server: &PostgresServer, config: &str, triggers: &str) -> Project {
    let config = format!("{}{config}\n[database]\nurl = \"file:database\"\n", tokens());
    Project::new(&[
        ("aegis.toml", &config),
        ("database", &server.create("triggers")),
        ("schedules.toml", triggers),
        ("runbooks/grow.rhai", GROW),
        ("runbooks/event.rhai", EVENT),
        ("runbooks/put.rhai", PUT),
        ("runbooks/import.rhai", IMPORT),
    ])
}

fn engines(project: &Project, environment: &[(&str, &str)]) -> [Serving; 2] {
    ["one", "two"].map(|name| {
        let state = project.path(name).display().to_string();
        let environment = [environment, &[("AEGIS_STATE_DIR", state.as_str())]].concat();
        Serving::listening(project, &environment)
    })
}

/// Both are told at the same time.
fn both<T: Send>(engines: &[Serving; 2], tell: impl Fn(&Serving) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let tell = &tell;
        let told: Vec<_> = engines.iter().map(|engine| scope.spawn(move || tell(engine))).collect();
        told.into_iter().map(|told| told.join().unwrap()).collect()
    })
}

/// How often both engines came to an event of a trigger, by what they made of it.
fn seen(engines: &[Serving; 2], trigger: &str) -> usize {
    let count = |engine: &Serving| {
        let page = engine.ask("GET", "/metrics", &[], "").with(200).body;
        let prefix = format!("aegis_trigger_events_total{{trigger=\"{trigger}\"");
        let lines = page.lines().filter(|line| line.starts_with(&prefix));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum::<usize>()
    };
    engines.iter().map(count).sum()
}

/// Records by what came of them.
fn counted(records: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in records {
        let word = record["why"].as_str().unwrap_or("run").to_owned();
        *counts.entry(word).or_default() += 1;
    }
    counts
}

#[test]
fn what_both_are_told_of_starts_one_run_and_a_rate_holds_for_both() {
    let server = PostgresServer::start();
    let project = project(
        &server,
        "",
        "[triggers.disk]\non = \"alertmanager\"\nrunbook = \"runbooks/grow.rhai\"\nfill = { volume = \"/labels/volume\" }\n\
         rate = \"3/1h\"\n[triggers.hook]\non = \"webhook\"\nsecret = \"env:HOOK\"\nrunbook = \"runbooks/grow.rhai\"\n\
         fill = { volume = \"/name\" }\n",
    );
    let engines = engines(&project, &[("HOOK", "whsec_YSBrZXkgb2YgdGhlIHdlYmhvb2s=")]);
    // A webhook says when it was sent: both answer with the same record.
    let (body, now) = (r#"{"name":"data"}"#, seconds());
    let answers = both(&engines, |engine| {
        standard(engine, "msg_1", now, body, b"a key of the webhook").with(202).json()
    });
    let runs: Vec<&Value> = answers.iter().map(|answer| &answer["events"][0]["record"]["run"]).collect();
    assert!(runs[0].is_string() && runs[0] == runs[1], "{answers:?}");
    assert_eq!(history(&project, "hook").len(), 1);

    // An alert is told of again and again: one starts a run, the others are the same as that one.
    let bearer = format!("Bearer {SENDER}");
    for volume in ["a", "b", "c", "d", "e", "f"] {
        both(&engines, |engine| {
            let body = notification(&[alert("DiskFull", volume, "firing")]);
            engine.ask("POST", "/v1/triggers/disk", &[("Authorization", &bearer)], &body).with(202);
        });
    }
    let records = history(&project, "disk");
    let counts = counted(&records);
    let count = |word: &str| counts.get(word).copied().unwrap_or_default();
    let all = count("run") + count("rate-limited");
    assert_eq!((count("run"), all), (3, records.len()), "{records:?}");
    // Where both were so quick that the first had no record yet, it is the second's as well.
    assert!((3..=6).contains(&count("rate-limited")), "{records:?}");
    let volumes: BTreeSet<&str> = records
        .iter()
        .filter(|record| record["run"].is_string())
        .map(|record| record["given"]["volume"].as_str().unwrap())
        .collect();
    assert_eq!(volumes.into_iter().collect::<Vec<_>>(), ["a", "b", "c"], "no alert has two runs");
    let ended = |record: &Value| record["run"].is_null() || record["verdict"] == "succeeded";
    until("the end of every run", || history(&project, "disk").iter().all(ended));
    engines.into_iter().for_each(|engine| drop(engine.stop()));
}

#[test]
fn what_both_find_in_a_cluster_and_in_a_bucket_starts_one_run() {
    let seaweed = aegis_engine::testing::SeaweedServer::start("incoming", LOGIN[0].1, LOGIN[1].1);
    let server = PostgresServer::start();
    let storage = format!(
        "storage.s3 = {{ endpoint = \"{}\", path-style = true, region = \"us-east-1\" }}\n",
        seaweed.endpoint()
    );
    let config = format!(
        "[targets.shared]\nkubernetes = {{ kubeconfig = \"kubeconfig\" }}\n{storage}[targets.sandbox]\n{storage}"
    );
    let project = project(
        &server,
        &config,
        "[triggers.crash]\non = \"kubernetes\"\nnamespace = \"default\"\ntarget = \"shared\"\n\
         runbook = \"runbooks/grow.rhai\"\nmatch = { \"/reason\" = \"BackOff\" }\nfill = { volume = \"/involvedObject/name\" }\n\
         [triggers.incoming]\non = \"s3\"\nurl = \"s3://incoming/reports/\"\nevery = \"1s\"\ntarget = \"shared\"\n\
         runbook = \"runbooks/import.rhai\"\nfill = { url = \"/url\", size = \"/size\" }\n",
    );
    let _up = Up::start(&project, "sandbox", &[]);
    let kubeconfig = project.aegis(&["sandbox", "kubeconfig"]).ended(0).out;
    project.write("kubeconfig", &kubeconfig);
    until("the bucket", || put(&project, "elsewhere.csv", "x").exit == 0);
    next_second();
    let mut engines = engines(&project, &LOGIN);
    for engine in &mut engines {
        engine.hears("serving");
    }
    for name in ["first", "second"] {
        let arguments = [format!("name={name}"), "reason=BackOff".to_owned()];
        let [name, reason] = &arguments;
        project.aegis(&["run", "runbooks/event.rhai", "-p", name, "-p", reason]).ended(0);
    }
    put(&project, "reports/one.csv", "1,2,3").ended(0);
    put(&project, "reports/two.csv", "1,2").ended(0);
    // Each engine comes to each of them.
    for trigger in ["crash", "incoming"] {
        until("both engines", || seen(&engines, trigger) >= 4);
        let records = history(&project, trigger);
        let runs = records.iter().filter(|record| record["run"].is_string()).count();
        assert_eq!((runs, records.len()), (2, 2), "{records:?}");
    }
    engines.into_iter().for_each(|engine| drop(engine.stop()));
}

#[test]
fn that_windows_and_freezes_have_mistakes_is_told_to_people_once_and_seen_by_whoever_looks() {
    let server = PostgresServer::start();
    let wrong = "[freezes.x]\nfrom = \"tomorrow\"\nuntil = \"2030-01-01\"\n";
    let right = "[freezes.x]\nfrom = \"2020-01-01\"\nuntil = \"2020-01-02\"\n";
    let grow = "[schedules.grow]\nrunbook = \"runbooks/grow.rhai\"\nwhen = \"@yearly\"\nparams = { volume = \"a\" }\n";
    let project = project(&server, "", &format!("{grow}{wrong}"));
    let mut engines = engines(&project, &[]);
    engines.iter_mut().for_each(|engine| drop(engine.hears("shut")));
    let notices = || {
        let runs = project.aegis(&["runs", "--output", "json"]).ended(0).json().remove(0);
        let runs = runs.as_array().unwrap().clone();
        runs.iter().filter(|run| run["runbook"] == "notice" && run["status"] == "succeeded").count()
    };
    until("the message", || notices() == 1);
    let seen = |engine: &Serving, value: u8| {
        let page = engine.ask("GET", "/metrics", &[], "").with(200).body;
        page.contains(&format!("aegis_scheduler_last_reload_successful {value}\n"))
    };
    let bearer = format!("Bearer {READER}");
    for engine in &engines {
        assert!(seen(engine, 0));
        let health = engine.ask("GET", "/healthz", &[], "").with(200).body;
        assert!(health.contains("ok\n1 mistake in the project"), "{health}");
        let read = engine.ask("GET", "/v1/project", &[("Authorization", &bearer)], "").with(200).json();
        assert_eq!((&read["shut"], &read["mistakes"][0]["line"]), (&true.into(), &6.into()), "{read}");
    }
    let explained = project.aegis(&["schedule", "explain", "grow"]).ended(2);
    assert!(explained.talk.contains("schedules.toml:6"), "{}", explained.talk);

    // Mended, and wrong again: what was right once stands, and nobody has to be told.
    project.write("schedules.toml", &format!("{grow}{right}"));
    engines.iter_mut().for_each(|engine| drop(engine.hears("opened")));
    assert!(engines.iter().all(|engine| seen(engine, 1)));
    project.write("schedules.toml", &format!("{grow}{wrong}"));
    until("the next mistake", || engines.iter().all(|engine| seen(engine, 0)));
    let read = engines[0].ask("GET", "/v1/project", &[("Authorization", &bearer)], "").with(200).json();
    assert_eq!(
        (&read["shut"], read["mistakes"].as_array().map(Vec::len)),
        (&false.into(), Some(1)),
        "{read}"
    );
    for engine in engines {
        engine.stop();
    }
    assert_eq!(notices(), 1);
}
