//! Nobody is there for a while, or the clock goes anywhere: exactly the policy's runs, and one record an instant.

use std::collections::BTreeSet;
use std::time::Duration;

use aegis_scheduler::{Missed, Overlap, Record, Schedule, Why};
use jiff::{SignedDuration, Timestamp};

use crate::world::{World, at, policy, schedule};

const BEGAN: &str = "2026-11-23T00:00:30Z";

fn late(schedule: &Schedule, record: &Record, now: Timestamp) -> Duration {
    now.duration_since(schedule.start_of(record.instant)).unsigned_abs()
}

/// The policy in the words of its documentation.
fn wanted(schedule: &Schedule, instants: &[Timestamp], now: Timestamp) -> BTreeSet<Timestamp> {
    let late = |instant: &Timestamp| now.duration_since(schedule.start_of(*instant)).unsigned_abs();
    let in_time = |instant: &&Timestamp| late(instant) <= Duration::from_secs(60);
    let caught_up = |instant: &&Timestamp| late(instant) <= schedule.policy.catch_up;
    let mut wanted: BTreeSet<Timestamp> = instants.iter().filter(in_time).copied().collect();
    match schedule.policy.missed {
        Missed::None => {}
        Missed::Last => wanted.extend(instants.last().filter(caught_up)),
        Missed::All => wanted.extend(instants.iter().filter(caught_up)),
    }
    wanted
}

fn instants(schedule: &Schedule, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let mut found = Vec::new();
    let mut last = from;
    while let Some(due) = schedule.next_after(last).filter(|due| due.instant <= to) {
        last = due.instant;
        found.push(last);
    }
    found
}

#[test]
fn outages_from_nothing_to_thirty_days_leave_one_record_an_instant_and_the_policys_runs() {
    let lengths = [0, 1, 29, 59, 60, 61, 119, 600, 3599, 3600, 3661, 7200, 86_400, 259_200, 2_592_000];
    let mut counted = 0;
    for length in lengths {
        for (when, missed, catch_up) in [
            ("*/5 * * * *", Missed::None, 3600),
            ("*/5 * * * *", Missed::Last, 3600),
            ("*/5 * * * *", Missed::All, 3600),
            ("0 * * * *", Missed::Last, 1800),
            ("0 2 * * *", Missed::All, 864_000),
            ("17 3 * * 1", Missed::Last, 2_592_000),
        ] {
            let mut plan = schedule("a", when, "Asia/Seoul");
            let policy = policy(&mut plan);
            (policy.missed, policy.catch_up) = (missed, Duration::from_secs(catch_up));
            policy.overlap = Overlap::Allow;
            let mut world = World::new(vec![plan.clone()], BEGAN);
            let now = at(BEGAN) + SignedDuration::from_secs(length);
            world.restart(vec![plan.clone()], now);
            let ran: BTreeSet<Timestamp> = world.work(now).into_iter().collect();
            let all = instants(&plan, at(BEGAN), now);
            let place = format!("{when} {missed:?} down for {length} s");
            assert_eq!(ran, wanted(&plan, &all, now), "{place}");
            let records = world.records();
            let recorded: Vec<Timestamp> = records.iter().map(|record| record.instant).collect();
            assert_eq!(recorded, all, "{place}");
            for record in records.iter().filter(|record| record.run().is_none()) {
                assert_eq!(record.why(), Some(Why::EngineDown), "{place}");
                assert!(late(&plan, record, now) > Duration::from_secs(60), "{place}");
            }
            counted += all.len();
        }
    }
    println!("{counted} instants of {} outages, each with its record", lengths.len() * 6);
}

#[test]
fn the_clock_may_go_anywhere_and_no_instant_is_recorded_twice_or_lost() {
    let plan = schedule("a", "* * * * *", "UTC");
    let mut world = World::new(vec![plan.clone()], BEGAN);
    // Seconds forward and back: an hour's suspend, a clock that is set, one that is set back by a day.
    let jumps = [30, 45, 3600, 10, -1800, 60, 60, 86_400, -86_400, 120, 90_000, 5, -5, 5, 700];
    let (mut now, mut latest) = (at(BEGAN), at(BEGAN));
    let mut runs = BTreeSet::new();
    for seconds in jumps.iter().cycle().take(jumps.len() * 20) {
        now += SignedDuration::from_secs(*seconds);
        latest = latest.max(now);
        for instant in world.work(now) {
            assert!(runs.insert(instant), "{instant} ran twice");
        }
    }
    let recorded: Vec<Timestamp> = world.records().iter().map(|record| record.instant).collect();
    assert_eq!(recorded, instants(&plan, at(BEGAN), latest));
    println!("{} instants over {} jumps of the clock", recorded.len(), jumps.len() * 20);
}

#[test]
fn a_long_outage_is_worked_through_in_portions_and_only_the_newest_runs() {
    let mut world = World::new(vec![schedule("a", "* * * * *", "UTC")], BEGAN);
    let now = at(BEGAN) + SignedDuration::from_hours(72);
    let ran = world.work(now);
    assert_eq!(ran, [at("2026-11-26T00:00:00Z")]);
    assert_eq!(world.records().len(), 72 * 60);
}

#[test]
fn a_schedule_begins_when_it_is_first_seen_and_again_when_it_comes_back() {
    let daily = schedule("a", "0 * * * *", "UTC");
    let mut world = World::new(vec![daily.clone()], "2026-11-23T00:00:30Z");
    world.restart(Vec::new(), at("2026-11-23T00:10:00Z"));
    world.restart(vec![daily], at("2026-11-23T05:59:50Z"));
    assert_eq!(world.work(at("2026-11-23T06:00:01Z")).len(), 1);
    assert_eq!(world.story(), ["23 06:00 started"]);
}

#[test]
fn what_an_edited_schedule_missed_before_the_edit_is_recorded_and_not_caught_up() {
    let mut world = World::new(vec![schedule("a", "0 * * * *", "UTC")], "2026-11-23T00:00:30Z");
    world.restart(vec![schedule("a", "30 * * * *", "UTC")], at("2026-11-23T02:10:00Z"));
    world.work(at("2026-11-23T02:30:00Z"));
    assert_eq!(world.story(), ["23 01:00 engine-down", "23 02:00 engine-down", "23 02:30 started"]);
}
