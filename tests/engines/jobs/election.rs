//! The engine that decides on instants is elected by a Lease of the management cluster.

use std::collections::BTreeMap;

use serde_json::Value;

use super::text;
use super::world::{World, until_told};

/// What the Lease says.
fn holder(world: &World) -> (String, u64) {
    let lease = world.objects("leases", "runs").pop().unwrap_or_default();
    let terms = lease["spec"]["leaseTransitions"].as_u64().unwrap_or_default();
    (text(&lease, "/spec/holderIdentity").to_owned(), terms)
}

/// Waits for a leader that is not the one before.
fn another(world: &World, before: &str) -> (String, u64) {
    let mut now = holder(world);
    until_told("another leader", || {
        now = holder(world);
        (!now.0.is_empty() && now.0 != before, format!("{now:?}\n{}", world.told()))
    });
    now
}

/// Waits until so many instants more have their record; all that there are, by their time.
fn records(world: &World, more: usize) -> BTreeMap<String, Value> {
    let known = world.project.records().len();
    until_told("more records", || {
        let now = world.project.records().len();
        (now >= known + more, format!("{now} of {}\n{}", known + more, world.told()))
    });
    let records = world.project.records().into_iter();
    records.map(|record| (text(&record, "/instant").to_owned(), record)).collect()
}

#[test]
fn the_leader_decides_and_when_it_dies_or_ends_another_one_does() {
    let world = World::new();
    world.elects();
    world.project.write("quick.rhai", r#"runbook(#{ title: "Quick" });"#);
    let schedule =
        "[schedules.often]\nrunbook = \"quick.rhai\"\nwhen = \"0/3 * * * * ?\"\ntarget = \"management\"\n";
    world.project.write("schedules.toml", &format!("{schedule}overlap = \"allow\"\nmissed = \"all\"\n"));
    let mut one = world.engine(0);
    let (first, _) = another(&world, "");
    until_told("the one that leads from the start", || {
        let told = world.told();
        (told.contains("leads: decides on instants"), told)
    });
    let mut two = world.engine(1);
    until_told("the one that stands by", || {
        let told = world.told();
        (told.contains(&format!("stands by: {first} decides on instants")), told)
    });
    records(&world, 3);

    // Killed without a word: nobody is asked for it, the Lease runs out.
    one.kill();
    let (second, terms) = another(&world, &first);
    assert!(terms >= 1, "{terms}");
    records(&world, 3);

    // Told to end: it gives the Lease back, and the other one need not wait.
    let both = [&mut one, &mut two];
    let leads = usize::from(!second.contains(&format!("/{}/", both[0].pid())));
    assert!(second.contains(&format!("/{}/", both[leads].pid())), "{second}");
    both[leads].end();
    another(&world, &second);
    let records = records(&world, 3);

    let instants: Vec<jiff::Timestamp> = records.keys().map(|at| at.parse().unwrap()).collect();
    for pair in instants.windows(2) {
        assert_eq!(pair[1].duration_since(pair[0]).as_secs(), 3, "an instant is missing after {}", pair[0]);
    }
    let started = |record: &&Value| record["run"].is_string();
    assert_eq!(records.values().filter(started).count(), records.len(), "{records:?}");
    until_told("those that came to lead", || {
        let told = world.told();
        (told.matches("leads: decides on instants").count() >= 3, told)
    });
}
