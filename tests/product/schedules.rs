//! `aegis serve` is killed at random moments, with schedules of every second: no instant has two runs, none is without
//! a record, and none is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Child;
use std::time::{Duration, Instant};

use rand::RngExt;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::process::Project;

const SCHEDULES: usize = 4;
const KILLS: usize = 12;

/// Long enough for any machine that is not broken.
const PATIENCE: Duration = Duration::from_secs(120);

fn project() -> Project {
    let project = Project::new("runbook(#{ title: \"Ticks\", needs: [] });\nlog(\"tick\");\n");
    let schedule = |n: usize| {
        format!(
            "[schedules.s{n}]\nrunbook = \"book.rhai\"\nwhen = \"* * * * * *\"\nmissed = \"all\"\noverlap = \"allow\"\n"
        )
    };
    let text: String = (0..SCHEDULES).map(schedule).collect();
    std::fs::write(project.path().join("schedules.toml"), text).unwrap();
    project
}

fn json(project: &Project, arguments: &[&str]) -> Vec<Value> {
    let output = project.output(&[arguments, &["--output", "json"]].concat());
    let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    value.as_array().cloned().unwrap_or_default()
}

fn records(project: &Project) -> Vec<Value> {
    json(project, &["schedule", "history", "-n", "1000000"])
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} does not come");
    }
}

fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn a_scheduler_that_is_killed_starts_each_instant_once_and_loses_none() {
    let project = project();
    for _ in 0..KILLS {
        let known = records(&project).len();
        let mut serving = project.start(&["serve"]);
        // From the first record on any moment may be the last: half of them come while runs are under way.
        until("a record", || records(&project).len() > known);
        let moment = Duration::from_millis(rand::rng().random_range(0..700));
        let until = Instant::now() + moment;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        kill(&mut serving);
    }
    let before = records(&project).len();
    let mut serving = project.start(&["serve"]);
    until("the end", || records(&project).len() > before + SCHEDULES);
    kill_process(Pid::from_child(&serving), Signal::TERM).unwrap();
    assert!(serving.wait().unwrap().success());
    check(&project);
}

/// Each second of each schedule has one record, each promised run exactly one journal, and all of them ended.
fn check(project: &Project) {
    let records = records(project);
    let mut instants: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    let mut promised = BTreeSet::new();
    let mut open = Vec::new();
    for record in &records {
        let instant: jiff::Timestamp = record["instant"].as_str().unwrap().parse().unwrap();
        let schedule = record["schedule"].as_str().unwrap().to_owned();
        assert!(instants.entry(schedule).or_default().insert(instant.as_second()), "twice: {record}");
        if let Some(run) = record["run"].as_str() {
            assert!(promised.insert(run.to_owned()), "two instants of {run}");
            if record["verdict"].is_null() {
                open.push(run.to_owned());
            }
        }
    }
    assert_eq!(instants.len(), SCHEDULES);
    for (schedule, seconds) in &instants {
        let (first, last) = (seconds.first().unwrap(), seconds.last().unwrap());
        let length = usize::try_from(last - first + 1).unwrap();
        assert_eq!(seconds.len(), length, "{schedule} has seconds without a record");
    }
    let journals: Vec<Value> = json(project, &["runs", "-n", "1000000"]);
    let ran: BTreeSet<String> = journals.iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ran.len(), journals.len());
    assert!(ran.is_subset(&promised), "runs that nobody promised");
    // Whatever was promised and drained over is taken up by the next one; nothing else is without its run.
    let lost: Vec<&String> =
        promised.iter().filter(|run| !ran.contains(*run) && !open.contains(run)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    println!(
        "{KILLS} kills, {} instants of {SCHEDULES} schedules, {} runs: none twice, none without a record",
        records.len(),
        ran.len()
    );
}
