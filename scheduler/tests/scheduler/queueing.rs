//! Whose turn it is when there is less room than there are runs.

use std::collections::BTreeMap;

use aegis_scheduler::queue::choose;
use aegis_scheduler::record::run_id;
use aegis_scheduler::{Outcome, Record, Schedule};
use jiff::{SignedDuration, Timestamp};

use crate::world::{at, policy, schedule};

fn waiting(name: &str, minute: i64) -> Record {
    let instant: Timestamp = at("2026-11-23T00:00:00Z") + SignedDuration::from_mins(minute);
    let outcome = Outcome::Started { run: run_id(name, instant), verdict: None };
    Record {
        schedule: name.into(),
        instant,
        decided: instant,
        outcome,
        given: BTreeMap::new(),
        note: String::new(),
    }
}

fn chosen(schedules: &[Schedule], waits: &[(&str, i64)], under_way: &[&str], room: usize) -> Vec<String> {
    let known = |name: &str| schedules.iter().find(|schedule| &*schedule.name == name);
    let records: Vec<Record> = waits.iter().map(|(name, minute)| waiting(name, *minute)).collect();
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
fn a_target_takes_as_many_as_it_says() {
    let limited = |schedule: &mut Schedule| schedule.most_on_target = Some(2);
    let schedules = [of("a", limited), of("b", limited)];
    assert_eq!(chosen(&schedules, &[("a", 0), ("b", 1), ("a", 2)], &["b"], 9), ["a 0"]);
}

#[test]
fn what_belongs_to_an_unknown_schedule_waits() {
    assert!(chosen(&[], &[("gone", 0)], &["gone"], 9).is_empty());
}
