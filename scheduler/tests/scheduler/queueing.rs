//! Whose turn it is when there is less room than there are runs.

use std::collections::BTreeMap;

use aegis_scheduler::queue::choose;
use aegis_scheduler::record::run_id;
use aegis_scheduler::store::Waiting;
use aegis_scheduler::{Outcome, Record, Schedule};
use jiff::{SignedDuration, Timestamp};

use crate::world::{at, policy, schedule};

fn waiting(name: &str, minute: i64, begun: bool) -> Waiting {
    let instant: Timestamp = at("2026-11-23T00:00:00Z") + SignedDuration::from_mins(minute);
    let outcome = Outcome::Started { run: run_id(name, instant), verdict: None };
    let record = Record {
        schedule: name.into(),
        instant,
        decided: instant,
        outcome,
        by: None,
        given: BTreeMap::new(),
        note: String::new(),
    };
    Waiting { record, begun }
}

fn chosen(schedules: &[Schedule], waits: &[(&str, i64)], under_way: &[&str], room: usize) -> Vec<String> {
    taken(schedules, waits, &[], under_way, room)
}

/// The same, where runs of some minutes had begun before.
fn taken(
    schedules: &[Schedule],
    waits: &[(&str, i64)],
    begun: &[i64],
    under_way: &[&str],
    room: usize,
) -> Vec<String> {
    let known = |name: &str| schedules.iter().find(|schedule| &*schedule.name == name);
    let records: Vec<Waiting> =
        waits.iter().map(|(name, minute)| waiting(name, *minute, begun.contains(minute))).collect();
    let under_way: Vec<String> = under_way.iter().map(|name| (*name).to_owned()).collect();
    let chosen = choose(&known, &records, &under_way, room);
    chosen.into_iter().map(|index| format!("{} {}", waits[index].0, waits[index].1)).collect()
}

fn of(name: &str, change: impl FnOnce(&mut Schedule)) -> Schedule {
    let mut schedule = schedule(name, "* * * * *", "UTC");
    change(&mut schedule);
    schedule
}

#[test]
fn a_schedule_with_many_runs_does_not_keep_the_others_waiting() {
    let schedules = [of("many", |_| {}), of("few", |_| {}), of("one", |_| {})];
    let waits = [("many", 0), ("many", 1), ("many", 2), ("few", 3), ("few", 4), ("one", 5)];
    assert_eq!(chosen(&schedules, &waits, &[], 4), ["many 0", "few 3", "one 5", "many 1"]);
    assert_eq!(chosen(&schedules, &waits, &["many", "many"], 3), ["few 3", "one 5", "few 4"]);
}

#[test]
fn targets_share_what_schedules_do_not_decide() {
    let schedules = [of("a", |_| {}), of("b", |_| {}), of("c", |c| c.target = "other".into())];
    assert_eq!(chosen(&schedules, &[("a", 0), ("b", 1), ("c", 2)], &[], 2), ["a 0", "c 2"]);
}

#[test]
fn what_is_urgent_goes_first() {
    let schedules = [of("a", |_| {}), of("urgent", |urgent| policy(urgent).priority = 9)];
    let waits = [("a", 0), ("urgent", 7), ("urgent", 8)];
    assert_eq!(chosen(&schedules, &waits, &["urgent"], 2), ["urgent 7", "urgent 8"]);
}

#[test]
fn of_a_group_one_is_under_way() {
    let grouped = |schedule: &mut Schedule| schedule.group = Some("database".into());
    let schedules = [of("backup", grouped), of("restore", grouped), of("other", |_| {})];
    let waits = [("backup", 0), ("restore", 1), ("other", 2)];
    assert_eq!(chosen(&schedules, &waits, &[], 9), ["backup 0", "other 2"]);
    assert_eq!(chosen(&schedules, &waits, &["restore"], 9), ["other 2"]);
}

#[test]
fn a_run_that_had_begun_keeps_its_place() {
    let grouped = |schedule: &mut Schedule| schedule.group = Some("database".into());
    let urgent = |schedule: &mut Schedule| {
        schedule.group = Some("database".into());
        policy(schedule).priority = 9;
    };
    let schedules = [of("backup", grouped), of("restore", urgent), of("other", |_| {})];
    let waits = [("backup", 0), ("restore", 1), ("backup", 2), ("other", 3)];
    assert_eq!(taken(&schedules, &waits, &[2], &[], 9), ["backup 2", "other 3"]);
    assert_eq!(taken(&schedules, &waits, &[2], &["restore"], 9), ["other 3"], "one at a time all the same");
    let limited = |schedule: &mut Schedule| schedule.most_on_target = Some(2);
    let first = |schedule: &mut Schedule| {
        limited(schedule);
        policy(schedule).priority = 9;
    };
    let schedules = [of("a", limited), of("b", first)];
    let waits = [("a", 0), ("b", 1), ("b", 2)];
    assert_eq!(taken(&schedules, &waits, &[0], &[], 9), ["b 1", "a 0"]);
    assert_eq!(taken(&schedules, &waits, &[0], &["a"], 9), ["a 0"]);
}

#[test]
fn a_target_takes_as_many_as_it_says() {
    let limited = |schedule: &mut Schedule| schedule.most_on_target = Some(2);
    let schedules = [of("a", limited), of("b", limited)];
    assert_eq!(chosen(&schedules, &[("a", 0), ("b", 1), ("a", 2)], &["b"], 9), ["a 0"]);
}

#[test]
fn what_belongs_to_an_unknown_schedule_waits() {
    assert!(chosen(&[], &[("gone", 0)], &["gone"], 9).is_empty());
}

/// As it is declared, one after the other: the smallest of everything that waits and is admitted.
fn slowly(
    schedules: &[Schedule],
    waits: &[(&str, i64)],
    begun: &[i64],
    under_way: &[&str],
    room: usize,
) -> Vec<String> {
    let of = |name: &str| schedules.iter().find(|schedule| &*schedule.name == name).unwrap();
    let mut busy: Vec<&Schedule> = under_way.iter().map(|name| of(name)).collect();
    let mut left: Vec<(&str, i64)> = waits.to_vec();
    let mut chosen = Vec::new();
    while chosen.len() < room {
        let turn = |(name, minute): &(&str, i64)| {
            let schedule = of(name);
            let runs = busy.iter().filter(|other| other.name == schedule.name).count();
            let on_target = busy.iter().filter(|other| other.target == schedule.target).count();
            (std::cmp::Reverse(schedule.policy.priority), runs, on_target, *minute)
        };
        let had_begun = |(_, minute): &&(&str, i64)| begun.contains(minute);
        let admitted = |waits: &&(&str, i64)| {
            let schedule = of(waits.0);
            let half_done = left.iter().filter(|_| !had_begun(waits)).filter(had_begun);
            let half_done: Vec<&Schedule> = half_done.map(|other| of(other.0)).collect();
            let mut others = busy.iter().chain(&half_done);
            let alone = schedule.group.is_none() || others.all(|other| other.group != schedule.group);
            let others = busy.iter().chain(&half_done);
            let on_target = others.filter(|other| other.target == schedule.target).count();
            let first = half_done.iter().all(|other| other.name != schedule.name);
            first && alone && schedule.most_on_target.is_none_or(|most| on_target < most as usize)
        };
        let Some(next) = left.iter().filter(admitted).min_by_key(|waits| turn(waits)).copied() else { break };
        left.retain(|waits| *waits != next);
        busy.push(of(next.0));
        chosen.push(format!("{} {}", next.0, next.1));
    }
    chosen
}

#[test]
fn thousands_are_chosen_from_quickly_and_as_declared() {
    let mut drawn = 1_u64;
    let mut draw = |most: u64| {
        drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (drawn >> 33) % most
    };
    for _ in 0..40 {
        let names: Vec<String> = (0..12).map(|n| format!("s{n}")).collect();
        let schedules: Vec<Schedule> = names
            .iter()
            .map(|name| {
                of(name, |schedule| {
                    schedule.target = format!("t{}", draw(3)).into();
                    schedule.most_on_target = (&*schedule.target == "t0").then_some(5);
                    schedule.group = (draw(4) == 0).then(|| "g".into());
                    policy(schedule).priority = i32::try_from(draw(2)).unwrap() - 1;
                })
            })
            .collect();
        // No two at the same minute: who goes first then is not declared.
        let waits: Vec<(&str, i64)> =
            (0..60).map(|minute| (names[usize::try_from(draw(12)).unwrap()].as_str(), minute)).collect();
        let begun: Vec<i64> = (0..60).filter(|_| draw(8) == 0).collect();
        let under_way: Vec<&str> =
            (0..draw(5)).map(|n| names[usize::try_from(n).unwrap()].as_str()).collect();
        let room = usize::try_from(draw(60)).unwrap();
        assert_eq!(
            taken(&schedules, &waits, &begun, &under_way, room),
            slowly(&schedules, &waits, &begun, &under_way, room),
            "{waits:?} {begun:?} {under_way:?} {room}"
        );
    }
}
