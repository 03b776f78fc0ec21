//! Jobs that somebody deletes before their pod has the run: what is said of the run is what happens, whoever looks.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::world::World;
use super::{ONCE_EACH, YEARLY, out, text};
use crate::engines::until;

/// Both engines look every two seconds at what others did.
const LOOKS: Duration = Duration::from_secs(7);

fn deleted(world: &World) -> (String, String) {
    let run = world.run();
    let job = format!("aegis-run-{run}-1");
    let is_it = |found: &Value| text(found, "/metadata/name") == job;
    until("its job", || world.objects("jobs", "runs").iter().any(is_it));
    world.kubectl(&["delete", "job", &job, "-n", "runs", "--wait=false", "--ignore-not-found"]);
    (run, job)
}

#[test]
fn a_job_that_somebody_deletes_at_once_is_given_up_for_all_engines_and_its_pod() {
    let world = World::new();
    world.open();
    world.schedule("book.rhai", "work", YEARLY);
    let (mut one, mut other) = (world.engine(0), world.engine(1));
    let (_, _shown) = world.promised();
    let (run, _) = deleted(&world);
    // A pod that was quicker ends the run; else it is given up, and stays so until a person says otherwise.
    let decided =
        |record: &Value| text(record, "/note").starts_with("given up") || !record["verdict"].is_null();
    let record = world.record("a decision", decided);
    if record["verdict"].is_null() {
        let before = Instant::now();
        until("some looks of both", || before.elapsed() > LOOKS);
        let kinds: Vec<String> =
            world.journal(&run).iter().map(|entry| text(entry, "/kind").to_owned()).collect();
        assert_eq!(kinds.last().map(String::as_str), Some("placed"), "{kinds:?}\n{}", world.told());
        assert!(world.objects("jobs", "runs").is_empty());
        let shown = out(&world.aegis(&["show", &run]));
        assert!(shown.contains("its job was given up"), "{shown}");
        let listed = out(&world.aegis(&["runs"]));
        assert!(listed.contains("interrupted (job was given up)"), "{listed}");
        let done = world.aegis(&["resume", &run, "--job"]);
        assert!(done.status.success(), "{}", out(&done));
    }
    let record = world.record("the end", |record| !record["verdict"].is_null());
    assert_eq!(record["verdict"], "succeeded", "{record}");
    assert_eq!(world.counts().len(), ONCE_EACH.len());
    one.end();
    other.end();
}

#[test]
fn a_job_that_cannot_begin_and_is_deleted_is_given_up_by_one_engine_for_both() {
    let world = World::new();
    world.open();
    world.schedule("book.rhai", "picky", YEARLY);
    let (mut one, mut other) = (world.engine(0), world.engine(1));
    let (_, _shown) = world.promised();
    let (run, job) = deleted(&world);
    let record = world.record("a decision", |record| text(record, "/note").starts_with("given up"));
    assert!(text(&record, "/note").contains("somebody took its job away"), "{record}");
    let before = Instant::now();
    until("some looks of both", || before.elapsed() > LOOKS);
    let placed = world.of_kind(&run, "placed");
    assert_eq!(text(placed.last().unwrap(), "/placement"), "given-up", "{placed:?}");
    // What would execute in the Job that was given up is turned away.
    let mut late = world.project.command("state", &["execute", &run]);
    late.env("AEGIS_JOB_CLUSTER", "management").env("AEGIS_JOB_NAMESPACE", "runs").env("AEGIS_JOB", &job);
    let late = late.output().unwrap();
    assert!(
        late.status.success() && out(&late).contains("no longer to execute in this job"),
        "{}",
        out(&late)
    );
    assert!(world.counts().is_empty() && world.objects("jobs", "runs").is_empty());
    one.end();
    other.end();
}
