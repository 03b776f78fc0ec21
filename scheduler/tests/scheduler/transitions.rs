//! Every zone, every change of its clocks from 2020 to 2035.

use std::collections::BTreeMap;
use std::time::Instant;

use aegis_scheduler::{Doubled, Kind, Schedule, Skipped, zone};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::oracle::{Oracle, Wants};
use crate::world::{at, policy, schedule};

/// Expressions, and the same once more as a rule over the clock on the wall.
const WANTED: [(&str, Wants); 7] = [
    ("* * * * *", |_| true),
    ("*/15 * * * *", |wall| wall.minute() % 15 == 0),
    ("30 * * * *", |wall| wall.minute() == 30),
    ("0 0 * * *", |wall| (wall.hour(), wall.minute()) == (0, 0)),
    ("30 1 * * *", |wall| (wall.hour(), wall.minute()) == (1, 30)),
    ("0 30 2 * * ?", |wall| (wall.hour(), wall.minute()) == (2, 30)),
    ("15,45 1-3 * * *", |wall| (1..=3).contains(&wall.hour()) && matches!(wall.minute(), 15 | 45)),
];

const POLICIES: [(Skipped, Doubled); 4] = [
    (Skipped::Shift, Doubled::First),
    (Skipped::Shift, Doubled::Both),
    (Skipped::Skip, Doubled::Last),
    (Skipped::Skip, Doubled::First),
];

/// Changes of the offset, each with its zone; zones that change at the same time in the same way count once.
fn changes() -> Vec<(TimeZone, Timestamp, usize)> {
    let (from, to) = (at("2020-01-01T00:00:00Z"), at("2036-01-01T00:00:00Z"));
    let mut different: BTreeMap<(Timestamp, i32, i32), (TimeZone, usize)> = BTreeMap::new();
    for name in zone::names() {
        let zone = zone::find(name).unwrap();
        for change in zone.following(from).take_while(|change| change.timestamp() < to) {
            let before = zone.to_offset(change.timestamp() - SignedDuration::from_nanos(1));
            if before != change.offset() {
                let key = (change.timestamp(), before.seconds(), change.offset().seconds());
                different.entry(key).or_insert_with(|| (zone.clone(), 0)).1 += 1;
            }
        }
    }
    different.into_iter().map(|((at, _, _), (zone, zones))| (zone, at, zones)).collect()
}

fn walked(schedule: &Schedule, from: Timestamp, to: Timestamp) -> BTreeMap<Timestamp, bool> {
    let mut found = BTreeMap::new();
    let mut last = from;
    while let Some(due) = schedule.next_after(last).filter(|due| due.instant < to) {
        assert!(due.instant > last, "{} goes back", schedule.when.text());
        last = due.instant;
        found.insert(due.instant, due.kind != Kind::Skipped);
    }
    found
}

/// Every expression under every policy through one change; answers how many schedules and instants that were.
fn through(zone: &TimeZone, change: Timestamp) -> (usize, usize) {
    let (mut checked, mut compared) = (0, 0);
    let before = zone.to_offset(change - SignedDuration::from_nanos(1));
    let moved =
        SignedDuration::from_secs(i64::from((zone.to_offset(change).seconds() - before.seconds()).abs()));
    let around = moved + SignedDuration::from_mins(25);
    let stretch = (change - around, change + around);
    let oracle = Oracle::of(zone, stretch);
    for (text, wants) in WANTED {
        let mut schedule = schedule("a", text, "UTC");
        schedule.zone = zone.clone();
        for (skipped, doubled) in POLICIES {
            let policy = policy(&mut schedule);
            (policy.skipped, policy.doubled) = (skipped, doubled);
            let found = walked(&schedule, stretch.0, stretch.1);
            let wanted = oracle.instants(wants, skipped, doubled);
            assert_eq!(
                found,
                wanted,
                "{text} in {:?} at {change}, {skipped:?} {doubled:?}",
                zone.iana_name()
            );
            checked += 1;
            compared += found.len();
        }
    }
    (checked, compared)
}

#[test]
fn every_change_of_every_clock_until_2035_is_kept_as_declared() {
    let began = Instant::now();
    let changes = changes();
    let zones: usize = changes.iter().map(|(_, _, zones)| zones).sum();
    let (mut checked, mut compared) = (0, 0);
    std::thread::scope(|scope| {
        let parts = changes.chunks(changes.len().div_ceil(4));
        let part = |part: &[(TimeZone, Timestamp, usize)]| -> Vec<(usize, usize)> {
            part.iter().map(|(zone, change, _)| through(zone, *change)).collect()
        };
        let threads: Vec<_> = parts.map(|changes| scope.spawn(move || part(changes))).collect();
        for (schedules, instants) in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
            checked += schedules;
            compared += instants;
        }
    });
    assert!(zones > 4000 && compared > 500_000, "{zones} {compared}");
    println!(
        "{} different changes of the clocks ({zones} over all zones), {checked} schedules through them, {compared} \
         instants as declared, in {:.1} s",
        changes.len(),
        began.elapsed().as_secs_f64()
    );
}

#[test]
fn every_zone_has_each_day_once_around_its_changes() {
    let mut days = 0;
    for (zone, change, _) in changes() {
        let mut schedule = schedule("a", "30 2 * * *", "UTC");
        schedule.zone = zone;
        let mut now = change - SignedDuration::from_hours(72);
        let mut last: Option<DateTime> = None;
        while let Some(due) =
            schedule.next_after(now).filter(|due| due.instant < change + SignedDuration::from_hours(72))
        {
            let before = last.replace(due.wall);
            assert!(
                before.is_none_or(|before| before.date().tomorrow().unwrap() == due.wall.date()),
                "{due:?}"
            );
            now = due.instant;
            days += 1;
        }
    }
    println!("{days} days around changes of the clocks, each once");
}

#[test]
fn what_is_on_no_clock_moves_by_the_gap_and_what_is_there_twice_runs_once() {
    let schedule = schedule("a", "30 2 * * *", "Europe/Berlin");
    let spring = schedule.next_after(at("2027-03-27T12:00:00Z")).unwrap();
    assert_eq!((spring.instant, spring.kind), (at("2027-03-28T01:30:00Z"), Kind::Shifted));
    let autumn = schedule.next_after(at("2026-10-24T12:00:00Z")).unwrap();
    assert_eq!((autumn.instant, autumn.kind), (at("2026-10-25T00:30:00Z"), Kind::First));
    assert_eq!(schedule.next_after(autumn.instant).unwrap().instant, at("2026-10-26T01:30:00Z"));
}

#[test]
fn intervals_and_single_instants_do_not_ask_the_clock_on_the_wall() {
    let mut every = schedule("a", "every 90m", "Europe/Berlin");
    policy(&mut every).from = Some(at("2026-10-24T22:10:00Z"));
    assert_eq!(every.next_after(at("2026-10-01T00:00:00Z")).unwrap().instant, at("2026-10-24T22:10:00Z"));
    assert_eq!(every.next_after(at("2026-10-24T22:10:00Z")).unwrap().instant, at("2026-10-24T23:40:00Z"));
    let once = schedule("a", "2027-03-28T02:30", "Europe/Berlin");
    assert_eq!(once.next_after(at("2026-01-01T00:00:00Z")).unwrap().instant, at("2027-03-28T01:30:00Z"));
    assert_eq!(once.next_after(at("2027-03-28T01:30:00Z")), None);
    let exact = schedule("a", "2027-03-28T02:30Z", "Europe/Berlin");
    assert_eq!(exact.next_after(at("2026-01-01T00:00:00Z")).unwrap().instant, at("2027-03-28T02:30:00Z"));
}

#[test]
fn dates_of_a_schedule_bound_it_and_its_jitter_is_always_the_same() {
    let mut daily = schedule("a", "0 2 * * *", "UTC");
    let (from, until) = (Some(at("2026-12-01T02:00:00Z")), Some(at("2026-12-03T02:00:00Z")));
    (policy(&mut daily).from, policy(&mut daily).until) = (from, until);
    let found = walked(&daily, at("2026-11-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    assert_eq!(found.len(), 2);
    policy(&mut daily).jitter = std::time::Duration::from_secs(600);
    let other = Schedule { name: "b".into(), ..daily.clone() };
    assert_eq!(daily.delay(), daily.clone().delay());
    assert!(daily.delay() != other.delay() && daily.delay() < daily.policy.jitter);
}
