//! Whose turn it is: which of the runs that wait to be executed an engine takes, given what is under way everywhere.
//! Higher priorities first; among equals the schedule, then the target, with the fewest runs under way, then the
//! oldest instant. A group has one run under way at a time, a target as many as it says.
//!
//! Pure: the store hands in what waits and what is under way, in the transaction that marks what is taken.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use jiff::Timestamp;

use crate::record::Record;
use crate::schedule::Schedule;

/// How many runs are under way, by what limits them.
#[derive(Default)]
struct UnderWay<'a> {
    schedules: HashMap<&'a str, usize>,
    targets: HashMap<&'a str, usize>,
    groups: HashMap<&'a str, usize>,
}

impl<'a> UnderWay<'a> {
    fn add(&mut self, schedule: &'a Schedule) {
        *self.schedules.entry(&schedule.name).or_default() += 1;
        *self.targets.entry(&schedule.target).or_default() += 1;
        if let Some(group) = &schedule.group {
            *self.groups.entry(group).or_default() += 1;
        }
    }

    fn admits(&self, schedule: &Schedule) -> bool {
        let group = schedule.group.as_deref();
        let alone = group.is_none_or(|group| !self.groups.contains_key(group));
        let on_target = self.targets.get(&*schedule.target).copied().unwrap_or_default();
        alone && schedule.most_on_target.is_none_or(|most| on_target < most as usize)
    }

    /// Smaller comes first.
    fn turn(&self, schedule: &Schedule, instant: Timestamp) -> Turn {
        let count = |counts: &HashMap<&str, usize>, name: &str| counts.get(name).copied().unwrap_or_default();
        (
            Reverse(schedule.policy.priority),
            count(&self.schedules, &schedule.name),
            count(&self.targets, &schedule.target),
            instant,
        )
    }
}

type Turn = (Reverse<u32>, usize, usize, Timestamp);

/// Chooses from what waits, by position. What belongs to a schedule that is not known here waits for an engine that
/// knows it.
#[must_use]
pub fn choose<'a>(
    known: &dyn Fn(&str) -> Option<&'a Schedule>,
    waiting: &[Record],
    under_way: &[String],
    room: usize,
) -> Vec<usize> {
    let mut counts = UnderWay::default();
    under_way.iter().filter_map(|name| known(name)).for_each(|schedule| counts.add(schedule));
    let schedules: Vec<Option<&Schedule>> = waiting.iter().map(|record| known(&record.schedule)).collect();
    let turn = |(index, schedule): (usize, &Option<&Schedule>)| {
        Some(Reverse((counts.turn((*schedule)?, waiting[index].instant), index)))
    };
    let mut heap: BinaryHeap<Reverse<(Turn, usize)>> =
        schedules.iter().enumerate().filter_map(turn).collect();
    let mut chosen = Vec::new();
    while chosen.len() < room
        && let Some(Reverse((turn, index))) = heap.pop()
    {
        let Some(schedule) = schedules[index] else { continue };
        // Others were chosen since: its turn may have moved back.
        let now = counts.turn(schedule, waiting[index].instant);
        if now > turn {
            heap.push(Reverse((now, index)));
        } else if counts.admits(schedule) {
            counts.add(schedule);
            chosen.push(index);
        }
    }
    chosen
}
