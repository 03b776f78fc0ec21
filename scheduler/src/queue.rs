//! Whose turn it is: which of the runs that wait to be executed an engine takes, given what is under way everywhere.
//! Higher priorities first; among equals the schedule, then the target, with the fewest runs under way, then the
//! oldest instant. A group has one run under way at a time, a target as many as it says.
//!
//! Pure: the store hands in what waits and what is under way, in the transaction that marks what is taken.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};

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
}

/// What waits of one schedule, the oldest first.
struct Line<'a> {
    schedule: &'a Schedule,
    waiting: VecDeque<(Timestamp, usize)>,
}

/// Schedules of one priority that have as many runs under way, by target: the oldest that waits of each.
type Rank<'a> = HashMap<&'a str, BinaryHeap<Reverse<(Timestamp, &'a str)>>>;

/// Everything that waits, ordered so that the next is found without looking at all of it.
#[derive(Default)]
struct Lines<'a> {
    lines: HashMap<&'a str, Line<'a>>,
    ranks: BTreeMap<(Reverse<u32>, usize), Rank<'a>>,
}

impl<'a> Lines<'a> {
    fn of(known: &dyn Fn(&str) -> Option<&'a Schedule>, waiting: &[Record], counts: &UnderWay<'a>) -> Self {
        let mut lines = Self::default();
        let mut order: Vec<usize> = (0..waiting.len()).collect();
        order.sort_by_key(|index| waiting[*index].instant);
        for index in order {
            let Some(schedule) = known(&waiting[index].schedule) else { continue };
            let line = lines.lines.entry(&schedule.name);
            let line = line.or_insert_with(|| Line { schedule, waiting: VecDeque::new() });
            line.waiting.push_back((waiting[index].instant, index));
        }
        let names: Vec<&str> = lines.lines.keys().copied().collect();
        names.into_iter().for_each(|name| lines.line_up(name, counts));
        lines
    }

    /// Puts the oldest of a schedule where it belongs now.
    fn line_up(&mut self, name: &'a str, counts: &UnderWay<'a>) {
        let Some(Line { schedule, waiting }) = self.lines.get(name) else { return };
        let Some((instant, _)) = waiting.front() else { return };
        let under_way = counts.schedules.get(name).copied().unwrap_or_default();
        let rank = self.ranks.entry((Reverse(schedule.policy.priority), under_way)).or_default();
        rank.entry(&schedule.target).or_default().push(Reverse((*instant, name)));
    }

    /// Takes out whose turn it is, with its position; whoever it belongs to has to be lined up again.
    fn next(&mut self, counts: &UnderWay<'a>) -> Option<(&'a Schedule, usize)> {
        let mut first = self.ranks.first_entry()?;
        let on_target = |target: &str| counts.targets.get(target).copied().unwrap_or_default();
        let rank = first.get_mut();
        let target = rank
            .iter()
            .filter_map(|(target, heap)| Some((on_target(target), heap.peek()?.0, *target)))
            .min()
            .map(|(.., target)| target);
        let heap = target.and_then(|target| rank.get_mut(target))?;
        let name = heap.pop()?.0.1;
        if heap.is_empty() {
            target.map(|target| rank.remove(target));
        }
        if rank.is_empty() {
            first.remove();
        }
        let line = self.lines.get_mut(name)?;
        Some((line.schedule, line.waiting.pop_front()?.1))
    }
}

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
    let mut lines = Lines::of(known, waiting, &counts);
    let mut chosen = Vec::new();
    while chosen.len() < room
        && let Some((schedule, index)) = lines.next(&counts)
    {
        // What is not admitted now is not in this turn: counts only grow.
        if counts.admits(schedule) {
            counts.add(schedule);
            chosen.push(index);
            lines.line_up(&schedule.name, &counts);
        }
    }
    chosen
}
