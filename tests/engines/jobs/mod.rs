//! Runs as Jobs of a management cluster: real pods that run the real binary, a real PostgreSQL, and whatever can happen to
//! a pod, an engine or a cluster.

mod deleted;
mod election;
mod world;

use std::process::Stdio;

use serde_json::{Value, json};

use crate::engines::until;
use world::World;

/// Not today.
const YEARLY: &str = "0 0 1 1 *";

const ONCE_EACH: [(u32, u32); 4] = [(0, 1), (1, 1), (2, 1), (3, 1)];

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn out(done: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

#[test]
fn a_due_schedule_runs_as_a_job_to_its_end() {
    let world = World::new();
    world.open();
    let mut engine = world.engine(0);
    world.due("book.rhai", "work");
    let record = world.record("the end", |record| !record["verdict"].is_null());
    assert_eq!(record["verdict"], "succeeded", "{record}");
    assert_eq!(world.counts(), ONCE_EACH);
    let run = text(&record, "/run").to_owned();
    let job = format!("aegis-run-{run}-1");
    assert_eq!(record["note"], format!("job runs/{job}"));

    // Where it executed is in its journal, and shown.
    let placed = world.of_kind(&run, "placed");
    assert_eq!(placed.len(), 1, "{placed:?}");
    assert_eq!(placed[0]["location"], json!({ "cluster": "management", "namespace": "runs", "job": job }));
    let resumed = world.of_kind(&run, "resumed");
    let pod = text(&resumed[0], "/location/pod");
    assert!(pod.starts_with(&job) && !text(&resumed[0], "/location/node").is_empty(), "{resumed:?}");
    let shown = out(&world.aegis(&["show", &run]));
    assert!(shown.contains(&format!("job runs/{job}, pod {pod} on ")), "{shown}");
    let shown = world.aegis(&["show", &run, "--output", "json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((text(&shown, "/place/location/pod"), text(&shown, "/place/placement")), (pod, "expected"));
    let targets = out(&world.aegis(&["targets"]));
    assert!(targets.contains("jobs in management (aegis:test)"), "{targets}");

    // One Job, under the strictest Pod Security, with the address of the database in a Secret only.
    let jobs = world.objects("jobs", "runs");
    assert_eq!(jobs.len(), 1);
    let spec = jobs[0]["spec"].to_string();
    assert!(!spec.contains("postgres://") && spec.contains("secretKeyRef"), "{spec}");
    engine.end();
}

#[test]
fn a_run_whose_pods_are_lost_goes_on_in_others_and_repeats_nothing() {
    // Longer than until the next pod: it has to wait until the killed one's claim runs out.
    let world = World::with("15s");
    world.schedule("book.rhai", "work", YEARLY);
    let mut engine = world.engine(0);
    let (run, shown) = world.promised();
    world.waits();
    world.kill_pod_of(&run);
    until("the second pod", || world.of_kind(&run, "resumed").len() == 2);
    // Told to end in order this time, as by a drained node: its claim is given back at once.
    let resumed = world.of_kind(&run, "resumed");
    world.kubectl(&["delete", "pod", text(&resumed[1], "/location/pod"), "-n", "runs"]);
    until("the third pod", || world.of_kind(&run, "resumed").len() == 3);
    world.open();
    assert!(shown.succeeds(), "{}", world.told());
    let record = world.record("the end", |record| !record["verdict"].is_null());
    assert_eq!(record["verdict"], "succeeded", "{record}");
    assert!(text(&record, "/note").starts_with("job runs/aegis-run-"), "{record}");
    assert_eq!(record["by"], "ada");
    assert_eq!(world.counts(), ONCE_EACH);
    let pods: std::collections::BTreeSet<String> =
        world.of_kind(&run, "resumed").iter().map(|entry| text(entry, "/location/pod").to_owned()).collect();
    assert_eq!((pods.len(), world.objects("jobs", "runs").len()), (3, 1), "{pods:?}");
    let placed = world.of_kind(&run, "placed");
    let lost = |entry: &Value| text(entry, "/note").contains("was lost: exit code 137");
    assert!(placed.iter().any(lost), "{placed:?}");
    engine.end();
}

#[test]
fn the_end_of_a_run_is_recorded_when_the_engine_that_made_its_job_is_gone() {
    let world = World::new();
    world.schedule("book.rhai", "work", YEARLY);
    let engine = world.engine(0);
    let (run, _shown) = world.promised();
    world.waits();
    drop(engine);
    let mut other = world.engine(1);
    // It goes on while nobody watches, and another engine takes it over without making a second Job.
    until("another engine", || world.told().matches(&format!("started {run}")).count() == 2);
    world.open();
    let record = world.record("the end", |record| !record["verdict"].is_null());
    assert_eq!(record["verdict"], "succeeded", "{record}");
    assert_eq!(world.counts(), ONCE_EACH);
    assert_eq!(world.of_kind(&run, "resumed").len(), 1);
    assert_eq!(world.of_kind(&run, "ended").len(), 1);
    assert_eq!(world.objects("jobs", "runs").len(), 1);
    other.end();
}

#[test]
fn what_keeps_a_job_from_executing_is_recorded_and_the_run_can_be_resumed() {
    let world = World::new();
    world.open();
    world.schedule("book.rhai", "unpullable", YEARLY);
    let mut engine = world.engine(0);
    let (run, _shown) = world.promised();
    let record = world.record("an end", |record| text(record, "/note").starts_with("given up"));
    let note = text(&record, "/note");
    assert!(note.contains("the image `aegis:test` cannot be pulled: "), "{note}");
    let placed = world.of_kind(&run, "placed");
    let placements: Vec<&str> = placed.iter().map(|entry| text(entry, "/placement")).collect();
    assert_eq!(placements, ["expected", "hindered", "given-up"], "{placed:?}");
    until("the end of its job", || world.objects("jobs", "runs").is_empty());
    let shown = out(&world.aegis(&["show", &run]));
    assert!(
        shown.contains(&format!("next: aegis resume {run}")) && shown.contains("cannot be pulled"),
        "{shown}"
    );
    assert!(world.counts().is_empty());
    // Somebody takes it into their own hands.
    let done = world.aegis(&["resume", &run]);
    assert!(done.status.success(), "{}", out(&done));
    let record = world.record("the end", |record| !record["verdict"].is_null());
    assert_eq!((&record["verdict"], world.counts()), (&json!("succeeded"), ONCE_EACH.to_vec()));
    engine.end();
}

#[test]
fn a_run_that_was_given_up_goes_on_in_another_job_as_soon_as_a_person_says_so() {
    let world = World::new();
    world.open();
    world.schedule("book.rhai", "picky", YEARLY);
    let mut engine = world.engine(0);
    let (run, shown) = world.promised();
    let record = world.record("an end", |record| text(record, "/note").starts_with("given up"));
    assert!(text(&record, "/note").contains("no node takes the pod "), "{record}");
    assert!(!shown.succeeds());
    let shown = out(&world.aegis(&["show", &run]));
    assert!(shown.contains(&format!("its job was given up (next: aegis resume {run} --job")), "{shown}");

    let nodes = world.objects("nodes", "");
    let worker = nodes.iter().map(|node| text(node, "/metadata/name")).find(|name| name.contains("worker"));
    world.kubectl(&["label", "node", worker.unwrap(), "disk=fast"]);
    let done = world.aegis(&["resume", &run, "--job"]);
    assert!(done.status.success(), "{}", out(&done));
    assert!(out(&done).contains("wanted    in another job by ada"), "{}", out(&done));
    assert_eq!(world.counts(), ONCE_EACH);
    let record = world.record("the end", |record| !record["verdict"].is_null());
    assert_eq!((&record["verdict"], world.of_kind(&run, "resumed").len()), (&json!("succeeded"), 1));
    let jobs: Vec<Value> = world.objects("jobs", "runs");
    assert_eq!(
        jobs.iter().map(|job| text(job, "/metadata/name")).collect::<Vec<_>>(),
        [format!("aegis-run-{run}-2")]
    );

    // What has ended has nothing to do in a Job.
    let done = world.aegis(&["resume", &run, "--job"]);
    assert!(!done.status.success() && out(&done).contains("has succeeded"), "{}", out(&done));
    engine.end();
}

#[test]
fn a_pod_that_cannot_start_says_why_and_is_given_up() {
    let world = World::new();
    world.schedule("book.rhai", "unmounted", YEARLY);
    let mut engine = world.engine(0);
    let (_run, _shown) = world.promised();
    let record = world.record("an end", |record| text(record, "/note").starts_with("given up"));
    let note = text(&record, "/note");
    assert!(note.contains("does not start: ") && note.contains("missing"), "{note}");
    until("the end of its job", || world.objects("jobs", "runs").is_empty());
    engine.end();
}

#[test]
fn breaking_the_glass_starts_a_job_in_the_name_of_who_did() {
    let world = World::new();
    world.open();
    world.schedule("asking.rhai", "work", YEARLY);
    let served = std::fs::read_to_string(world.project.path().join("schedules.toml")).unwrap();
    let frozen = "[freezes.all]\nfrom = \"2020-01-01\"\nuntil = \"2099-01-01\"\n";
    world.project.write("schedules.toml", &format!("{served}{frozen}"));
    let mut engine = world.engine(0);
    let refused = world.aegis(&["schedule", "run-now", "night"]);
    assert!(out(&refused).contains("--break-glass 'WHY IT CANNOT WAIT'"), "{}", out(&refused));
    let shown = world.aegis(&["schedule", "run-now", "night", "--break-glass", "the shop is down"]);
    assert!(out(&shown).contains("it needs a person"), "{}", out(&shown));
    let run = world.run();
    let started = world.of_kind(&run, "started");
    assert_eq!(
        (text(&started[0], "/break_glass"), text(&started[0], "/person")),
        ("the shop is down", "ada"),
        "{started:?}"
    );
    // Who started it may not answer what it asks, and the freeze does not hold it back afterwards.
    let own = world.aegis(&["approve", &run]);
    assert!(out(&own).contains("`ada` started the run and cannot approve it"), "{}", out(&own));
    assert!(world.aegis(&["approve", &run, "--operator", "grace"]).status.success());
    let record = world.record("the end", |record| !record["verdict"].is_null());
    assert_eq!((&record["verdict"], world.counts()), (&json!("succeeded"), vec![(0, 1), (1, 1)]), "{record}");
    engine.end();
}

#[test]
fn a_run_whose_node_is_gone_goes_on_on_another() {
    let world = World::new();
    world.schedule("book.rhai", "picky", YEARLY);
    for node in world.objects("nodes", "") {
        world.kubectl(&["label", "node", text(&node, "/metadata/name"), "disk=fast"]);
    }
    let mut engine = world.engine(0);
    let (run, _shown) = world.promised();
    world.waits();
    let before = text(&world.of_kind(&run, "resumed")[0], "/location/node").to_owned();
    let dead = world
        .project
        .command("cluster", &["sandbox", "fault", "add", "node-kill", &format!("node={before}")])
        .output()
        .unwrap();
    assert!(dead.status.success(), "{}", out(&dead));
    until("another pod", || world.of_kind(&run, "resumed").len() > 1);
    assert_ne!(text(&world.of_kind(&run, "resumed")[1], "/location/node"), before);
    world.open();
    let record = world.record("the end", |record| !record["verdict"].is_null());
    assert_eq!((&record["verdict"], world.counts()), (&json!("succeeded"), ONCE_EACH.to_vec()), "{record}");
    engine.end();
}

#[test]
fn a_quota_that_is_used_up_is_told_and_a_run_nobody_executes_can_be_cancelled() {
    let world = World::new();
    world.kubectl(&["create", "quota", "none", "-n", "full", "--hard=count/jobs.batch=0"]);
    world.schedule("book.rhai", "full", YEARLY);
    let mut engine = world.engine(0);
    let (run, _shown) = world.promised();
    let record = world.record("an end", |record| text(record, "/note").starts_with("given up"));
    assert!(text(&record, "/note").contains("exceeded quota: none"), "{record}");
    engine.end();

    // Jobs may be made again, but not their pods: only events say so. It is cancelled meanwhile.
    world.kubectl(&["delete", "quota", "none", "-n", "full"]);
    world.kubectl(&["create", "quota", "pods", "-n", "full", "--hard=pods=0"]);
    let mut engine = world.engine(1);
    let mut again = world.project.command("state", &["resume", &run, "--job"]);
    let mut again = again.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pods = |entry: &Value| text(entry, "/note").contains("no pod can be made for its job: ");
    until("why there is no pod", || world.of_kind(&run, "placed").iter().any(pods));
    let done = world.aegis(&["cancel", &run]);
    assert!(done.status.success(), "{}", out(&done));
    let record = world.record("the end", |record| !record["verdict"].is_null());
    assert_eq!(record["verdict"], "cancelled", "{record}");
    until("the end of its job", || world.objects("jobs", "full").is_empty());
    assert_eq!(again.wait().unwrap().code(), Some(130));
    engine.end();
}

#[test]
fn a_job_that_fails_says_what_its_last_pod_said() {
    let world = World::new();
    world.schedule("book.rhai", "broken", YEARLY);
    let mut engine = world.engine(0);
    let (_run, _shown) = world.promised();
    let record = world.record("an end", |record| text(record, "/note").starts_with("given up"));
    let note = text(&record, "/note");
    assert!(note.contains("its job failed: ") && note.contains("(BackoffLimitExceeded)"), "{note}");
    assert!(note.contains("exit code 3") && note.contains("said: nothing works today"), "{note}");
    engine.end();
}

#[test]
fn a_job_whose_window_has_closed_is_taken_away_and_the_run_goes_on_in_the_next_one() {
    let world = World::new();
    world.schedule("book.rhai", "work", YEARLY);
    let engine = world.engine(0);
    let (run, _shown) = world.promised();
    world.waits();
    drop(engine);
    // Nobody watches when everything is frozen; whoever does next takes the Job away.
    let served = std::fs::read_to_string(world.project.path().join("schedules.toml")).unwrap();
    let frozen = "[freezes.all]\nfrom = \"2020-01-01\"\nuntil = \"2099-01-01\"\n";
    world.project.write("schedules.toml", &format!("{served}{frozen}"));
    let mut engine = world.engine(1);
    let placements = || -> Vec<String> {
        world.of_kind(&run, "placed").iter().map(|entry| text(entry, "/placement").to_owned()).collect()
    };
    until("the end of its job", || {
        placements().contains(&"left".to_owned()) && world.objects("jobs", "runs").is_empty()
    });
    world.open();
    world.project.write("schedules.toml", &served);
    let record = world.record("the end", |record| !record["verdict"].is_null());
    assert_eq!(record["verdict"], "succeeded", "{record}");
    assert_eq!(world.counts(), ONCE_EACH);
    assert_eq!(placements(), ["expected", "left", "expected"]);
    engine.end();
}

#[test]
fn a_pod_waits_for_its_database_and_goes_on() {
    let world = World::new();
    world.schedule("book.rhai", "work", YEARLY);
    let mut engine = world.engine(0);
    let (run, _shown) = world.promised();
    world.waits();
    world.postgres.stop();
    // Longer than its claim holds: the run stops where it stands.
    let before = std::time::Instant::now();
    until("the end of the claim", || before.elapsed() > std::time::Duration::from_secs(5));
    world.postgres.go_on();
    until("the same pod again", || world.of_kind(&run, "resumed").len() > 1);
    world.open();
    let record = world.record("the end", |record| !record["verdict"].is_null());
    assert_eq!(record["verdict"], "succeeded", "{record}");
    assert_eq!(world.counts(), ONCE_EACH);
    let pods: std::collections::BTreeSet<String> =
        world.of_kind(&run, "resumed").iter().map(|entry| text(entry, "/location/pod").to_owned()).collect();
    assert_eq!((pods.len(), world.objects("jobs", "runs").len()), (1, 1), "{pods:?}");
    engine.end();
}

#[test]
fn a_cancel_reaches_the_pod() {
    let world = World::new();
    world.schedule("book.rhai", "work", YEARLY);
    let mut engine = world.engine(0);
    let (run, _shown) = world.promised();
    world.waits();
    let done = world.aegis(&["cancel", &run, "--note", "wrong night"]);
    assert!(done.status.success(), "{}", out(&done));
    let record = world.record("the end", |record| !record["verdict"].is_null());
    assert_eq!((&record["verdict"], world.counts().len()), (&json!("cancelled"), 2), "{record}");
    engine.end();
}

#[test]
fn a_run_that_waits_for_a_person_has_no_pod_and_goes_on_in_another_job() {
    let world = World::new();
    world.schedule("asking.rhai", "work", YEARLY);
    let mut engine = world.engine(0);
    let (run, _shown) = world.promised();
    let complete = |jobs: &[Value]| jobs.len() == 1 && jobs[0]["status"]["succeeded"] == 1;
    until("the end of the first job", || complete(&world.objects("jobs", "runs")));
    let yes = world.aegis(&["approve", &run, "--operator", "grace"]);
    assert!(yes.status.success(), "{}", out(&yes));
    let record = world.record("the end", |record| !record["verdict"].is_null());
    assert_eq!(record["verdict"], "succeeded", "{record}");
    assert_eq!(world.counts(), [(0, 1), (1, 1)]);
    let jobs: Vec<String> =
        world.objects("jobs", "runs").iter().map(|job| text(job, "/metadata/name").to_owned()).collect();
    assert_eq!(jobs, [format!("aegis-run-{run}-1"), format!("aegis-run-{run}-2")]);
    engine.end();
}

#[test]
fn an_executor_without_a_database_is_refused_with_its_line() {
    let project = crate::engines::Project::new("runbook(#{ title: \"t\" });", "90s", String::new());
    let config = "[targets.work]\n[targets.work.executor]\nimage = \"aegis:1\"\ndatabase = { secret = \"d\", key = \"url\" }\n";
    project.write("aegis.toml", config);
    let done = project.output(&["serve"]);
    let told = out(&done);
    assert_eq!(done.status.code(), Some(2), "{told}");
    assert!(told.contains("aegis.toml:2:15"), "{told}");
    assert!(
        told.contains("the target `work` has an executor, and journals are in the state directory"),
        "{told}"
    );
    assert!(told.contains("name the PostgreSQL that engines and pods share"), "{told}");
    let missing = config.replace("image = \"aegis:1\"\n", "");
    project.write("aegis.toml", &missing);
    let told = out(&project.output(&["targets"]));
    assert!(told.contains("missing field `image`") && told.contains("aegis.toml:"), "{told}");
}
