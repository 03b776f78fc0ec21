//! What is in the way of an instant: runs under way, pauses, a halt.

use aegis_engine::journal::{Person, Verdict};
use aegis_scheduler::keeper::Order;
use aegis_scheduler::store::{Pause, RecordStore};
use aegis_scheduler::{Overlap, Schedule, Why};
use jiff::{SignedDuration, Timestamp};

use crate::world::{World, at, policy, schedule, shared};

fn hourly(overlap: Overlap) -> Schedule {
    let mut hourly = schedule("a", "0 * * * *", "UTC");
    policy(&mut hourly).overlap = overlap;
    hourly
}

fn hour(hour: i8) -> Timestamp {
    at("2026-11-23T00:00:01Z") + SignedDuration::from_hours(i64::from(hour))
}

/// A run is under way from one to four o'clock.
fn crowded(overlap: Overlap) -> (World, Vec<Timestamp>) {
    let mut world = World::new(vec![hourly(overlap)], "2026-11-23T00:30:00Z");
    let first = world.tick(hour(1)).remove(0);
    let mut ran = vec![first.instant];
    let mut others = Vec::new();
    for now in [hour(2), hour(3)] {
        others.extend(world.tick(now));
    }
    let mut open = world.end(&first, Verdict::Succeeded, hour(3) + SignedDuration::from_mins(30));
    open.extend(others);
    while let Some(launch) = open.pop() {
        ran.push(launch.instant);
        open.extend(world.end(&launch, Verdict::Succeeded, hour(3) + SignedDuration::from_mins(40)));
    }
    ran.sort();
    (world, ran)
}

#[test]
fn a_run_under_way_is_dealt_with_as_declared() {
    let (world, ran) = crowded(Overlap::Skip);
    assert_eq!(
        (ran.len(), world.story()),
        (1, vec!["23 01:00 started".into(), "23 02:00 overlap".into(), "23 03:00 overlap".into()])
    );
    let (world, ran) = crowded(Overlap::BufferOne);
    assert_eq!(
        (ran.len(), world.story()),
        (2, vec!["23 01:00 started".into(), "23 02:00 started".into(), "23 03:00 overlap".into()])
    );
    let (world, ran) = crowded(Overlap::BufferAll);
    assert_eq!((ran.len(), world.story().len()), (3, 3));
    let (_, ran) = crowded(Overlap::Allow);
    assert_eq!(ran.len(), 3);
}

#[test]
fn cancel_other_cancels_and_starts_the_newest_when_that_has_ended() {
    let mut world = World::new(vec![hourly(Overlap::CancelOther)], "2026-11-23T00:30:00Z");
    let first = world.tick(hour(1)).remove(0);
    for now in [hour(2), hour(3)] {
        let orders = world.keeper.tick(now).unwrap();
        assert!(matches!(&orders[..], [Order::Cancel { run, .. }] if *run == first.run), "{orders:?}");
    }
    let next = world.end(&first, Verdict::Cancelled, hour(3));
    assert_eq!(next.len(), 1);
    assert_eq!(world.story(), ["23 01:00 started", "23 02:00 overlap", "23 03:00 started"]);
}

#[test]
fn what_waits_survives_a_restart_and_the_promised_run_keeps_its_id() {
    let mut world = World::new(vec![hourly(Overlap::BufferOne)], "2026-11-23T00:30:00Z");
    let first = world.tick(hour(1)).remove(0);
    world.tick(hour(2));
    world.restart(vec![hourly(Overlap::BufferOne)], hour(2));
    let known: Vec<String> = world.keeper.running().map(|launch| launch.run.clone()).collect();
    assert_eq!(known, std::slice::from_ref(&first.run));
    assert_eq!(world.tick(hour(2)).len(), 0);
    assert_eq!(world.end(&first, Verdict::Succeeded, hour(2)).len(), 1);
}

#[test]
fn a_pause_is_a_reason_and_what_it_kept_back_does_not_come_later() {
    let mut world = World::new(vec![hourly(Overlap::Skip)], "2026-11-23T00:30:00Z");
    let pause = Pause {
        person: Person("kim".into()),
        reason: "the disk is full".into(),
        at: at("2026-11-23T00:40:00Z"),
    };
    world.store.set_pause("a", Some(&pause)).unwrap();
    assert_eq!(world.work(hour(1)).len(), 0);
    assert_eq!(world.records()[0].note, "the disk is full");
    world.store.set_pause("a", None).unwrap();
    assert_eq!(world.work(hour(2)).len(), 1);
    assert_eq!(world.story(), ["23 01:00 paused", "23 02:00 started"]);
}

#[test]
fn a_schedule_that_keeps_failing_is_paused_and_says_why() {
    let mut plan = hourly(Overlap::Skip);
    policy(&mut plan).pause_after = Some(2);
    let mut world = World::new(vec![plan], "2026-11-23T00:30:00Z");
    for now in [hour(1), hour(2)] {
        let launch = world.tick(now).remove(0);
        world.end(&launch, Verdict::Failed, now);
    }
    assert_eq!(world.work(hour(3)).len(), 0);
    assert_eq!(world.records()[2].why(), Some(Why::Paused));
    assert_eq!(world.records()[2].note, "2 runs in a row have failed");
}

#[test]
fn a_halt_and_a_refused_runbook_are_reasons_too() {
    let mut world = World::new(vec![hourly(Overlap::Skip)], "2026-11-23T00:30:00Z");
    world.keeper.set_halted(Some("incident 7".into()));
    assert_eq!(world.work(hour(1)).len(), 0);
    world.keeper.set_halted(None);
    let launch = world.tick(hour(2)).remove(0);
    world.keeper.refused(&launch, Why::Refused, "the runbook is gone", hour(2)).unwrap();
    assert_eq!(world.story(), ["23 01:00 halted", "23 02:00 refused"]);
}

#[test]
fn two_keepers_on_one_store_start_each_instant_once() {
    let mut one = World::new(vec![hourly(Overlap::Allow)], "2026-11-23T00:30:00Z");
    let mut other =
        aegis_scheduler::Keeper::new(std::sync::Arc::clone(&one.store) as std::sync::Arc<dyn RecordStore>);
    other
        .load(
            shared(vec![hourly(Overlap::Allow)]),
            aegis_scheduler::Gates::default(),
            at("2026-11-23T00:30:00Z"),
        )
        .unwrap();
    let mut started = 0;
    for now in (1..20).map(hour) {
        started += one.tick(now).len() + crate::world::started(other.tick(now).unwrap()).len();
    }
    assert_eq!((started, one.records().len()), (19, 19));
}
