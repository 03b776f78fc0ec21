//! A process dies between two of the transactions that a round is made of: the next one finds all of it in the store,
//! starts every promised run once, and loses none.

use std::collections::BTreeSet;
use std::sync::Arc;

use aegis_engine::journal::Verdict;
use aegis_scheduler::keeper::{Launch, Promised};
use aegis_scheduler::store::{Ended, Queue as _, RecordStore as _, Rest};
use aegis_scheduler::{Outcome, Overlap, Schedule};
use jiff::{SignedDuration, Timestamp};

use crate::world::{World, at, policy, schedule, started};

const SCHEDULES: usize = 40;

fn schedules(overlap: Overlap) -> Vec<Schedule> {
    let one = |n: usize| {
        let mut one = schedule(&format!("s{n:02}"), "0 * * * *", "UTC");
        policy(&mut one).overlap = overlap;
        one
    };
    (0..SCHEDULES).map(one).collect()
}

fn hour(hour: i8) -> Timestamp {
    at("2026-11-23T00:00:01Z") + SignedDuration::from_hours(i64::from(hour))
}

fn runs(promised: Vec<Promised>) -> BTreeSet<String> {
    let number = promised.len();
    let runs: BTreeSet<String> = promised.into_iter().map(|promised| promised.launch.run).collect();
    assert_eq!(runs.len(), number, "none twice");
    runs
}

fn world(overlap: Overlap) -> World {
    World::new(schedules(overlap), "2026-11-23T00:30:00Z")
}

#[test]
fn after_the_decision_everything_is_in_the_queue() {
    let mut world = world(Overlap::Allow);
    let promised: BTreeSet<String> = world.tick(hour(1)).into_iter().map(|launch| launch.run).collect();
    world.restart(schedules(Overlap::Allow), hour(1));
    assert!(world.tick(hour(1)).is_empty(), "no instant is decided twice");
    assert_eq!(runs(world.keeper.take("next", usize::MAX, hour(1)).unwrap()), promised);
}

#[test]
fn what_a_dead_process_took_is_taken_by_the_next_and_by_nobody_after_it() {
    let mut world = world(Overlap::Allow);
    world.tick(hour(1));
    let some = runs(world.keeper.take("dead", 15, hour(1)).unwrap());
    assert_eq!(some.len(), 15);
    world.restart(schedules(Overlap::Allow), hour(1));
    assert_eq!(runs(world.keeper.take("next", usize::MAX, hour(1)).unwrap()).len(), SCHEDULES);
    assert!(world.keeper.take("next", usize::MAX, hour(1)).unwrap().is_empty());
}

#[test]
fn runs_that_were_given_back_only_in_part_are_taken_once() {
    let mut world = world(Overlap::Allow);
    world.tick(hour(1));
    let taken: Vec<Launch> = world
        .keeper
        .take("one", usize::MAX, hour(1))
        .unwrap()
        .into_iter()
        .map(|promised| promised.launch)
        .collect();
    let rests = |launch: &Launch| {
        if launch.run.starts_with("s0") { Rest::Parked } else { Rest::After(std::time::Duration::ZERO) }
    };
    let back: Vec<_> = taken[..25].iter().map(|launch| (launch.key(), rests(launch))).collect();
    world.store.put_back("one", hour(1), &back).unwrap();
    world.restart(schedules(Overlap::Allow), hour(1));
    // The parked ones wait for people, whoever asks; all others are there once.
    let parked = taken[..25].iter().filter(|launch| rests(launch) == Rest::Parked).count();
    assert_eq!(runs(world.keeper.take("next", usize::MAX, hour(1)).unwrap()).len(), SCHEDULES - parked);
}

#[test]
fn what_waited_for_ends_that_were_noted_starts_once_with_the_next_process() {
    let mut world = world(Overlap::BufferOne);
    let first = world.tick(hour(1));
    assert!(world.tick(hour(2)).is_empty(), "the second instants wait");
    // Their ends are noted; the process dies before what waits is promised.
    let ended = first.iter().map(Launch::key);
    let ended: Vec<Ended<'_>> =
        ended.map(|(schedule, instant)| Ended { schedule, instant, verdict: Verdict::Succeeded }).collect();
    assert!(world.store.ended(&ended).unwrap().iter().all(Option::is_some));
    world.restart(schedules(Overlap::BufferOne), hour(2));
    let promoted = started(world.keeper.promote_all(hour(2)).unwrap());
    assert_eq!(promoted.len(), SCHEDULES);
    assert!(started(world.keeper.promote_all(hour(2)).unwrap()).is_empty(), "once");
    // The same ends, told again by the journals, change nothing.
    let (news, orders) = world.keeper.ended(&ended, hour(2)).unwrap();
    assert!(news.iter().all(|news| !news) && orders.unwrap().is_empty());
    let open = world.store.open().unwrap();
    assert!(open.iter().all(|record| matches!(record.outcome, Outcome::Started { .. })));
    assert_eq!(open.len(), SCHEDULES);
}

#[test]
fn two_engines_that_note_the_same_ends_start_what_waits_once() {
    let mut one = world(Overlap::BufferOne);
    let first = one.tick(hour(1));
    one.tick(hour(2));
    let mut other = aegis_scheduler::Keeper::new(Arc::clone(&one.store) as _);
    other.load(crate::world::shared(schedules(Overlap::BufferOne)), Default::default(), hour(2)).unwrap();
    let ended = first.iter().map(Launch::key);
    let ended: Vec<Ended<'_>> =
        ended.map(|(schedule, instant)| Ended { schedule, instant, verdict: Verdict::Failed }).collect();
    // Each has heard of another half first.
    let (left, right) = ended.split_at(SCHEDULES / 2);
    let mut promoted = Vec::new();
    for (keeper, part) in [(&mut one.keeper, left), (&mut other, right)] {
        promoted.extend(started(keeper.ended(part, hour(2)).unwrap().1.unwrap()));
    }
    for keeper in [&mut one.keeper, &mut other] {
        let (news, orders) = keeper.ended(&ended, hour(2)).unwrap();
        assert!(news.iter().all(|news| !news));
        promoted.extend(started(orders.unwrap()));
        promoted.extend(started(keeper.promote_all(hour(2)).unwrap()));
    }
    let runs: BTreeSet<&str> = promoted.iter().map(|launch| launch.run.as_str()).collect();
    assert_eq!((promoted.len(), runs.len()), (SCHEDULES, SCHEDULES));
}
