//! Whose turn it is: which of the runs that wait to be executed an engine takes, given what is under way everywhere.
//! Higher priorities first; among equals the schedule, then the target, with the fewest runs under way, then the
//! oldest instant. A group has one run under way at a time, a target as many as it says; a run that had begun and waits to
//! be taken over keeps its place in both.
//!
//! Pure: the store hands in what waits and what is under way, in the transaction that marks what is taken.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};

use jiff::Timestamp;

use crate::schedule::Schedule;
use crate::store::Waiting;

/// How many runs there are, by what limits them.
#[derive(Default)]
struct Counts<'a> {
    schedules: HashMap<&'a str, usize>,
    targets: HashMap<&'a str, usize>,
    groups: HashMap<&'a str, usize>,
}

impl<'a> Counts<'a> {
    fn of(schedules: impl Iterator<Item = &'a Schedule>) -> Self {
        let mut counts = Self::default();
        schedules.for_each(|schedule| counts.add(schedule));
        counts
    }

    fn add(&mut self, schedule: &'a Schedule) {
        *self.schedules.entry(&schedule.name).or_default() += 1;
        *self.targets.entry(&schedule.target).or_default() += 1;
        if let Some(group) = &schedule.group {
            *self.groups.entry(group).or_default() += 1;
        }
    }

    fn remove(&mut self, schedule: &'a Schedule) {
        let group = schedule.group.as_deref().and_then(|group| self.groups.get_mut(group));
        let others = [self.schedules.get_mut(&*schedule.name), self.targets.get_mut(&*schedule.target)];
        others.into_iter().chain([group]).flatten().for_each(|count| *count -= 1);
    }

    fn of_schedule(&self, name: &str) -> usize {
        self.schedules.get(name).copied().unwrap_or_default()
    }

    fn on_target(&self, name: &str) -> usize {
        self.targets.get(name).copied().unwrap_or_default()
    }

    fn in_group(&self, name: &str) -> usize {
        self.groups.get(name).copied().unwrap_or_default()
    }
}

/// Who has a place.
struct Places<'a> {
    under_way: Counts<'a>,
    /// Runs that had begun and are to be taken over.
    begun: Counts<'a>,
}

impl<'a> Places<'a> {
    /// What had begun has its place already, so only what is under way can be in its way.
    fn admits(&self, schedule: &Schedule, begun: bool) -> bool {
        let taken =
            |of: &dyn Fn(&Counts<'_>) -> usize| of(&self.under_way) + if begun { 0 } else { of(&self.begun) };
        let group = schedule.group.as_deref();
        let alone = group.is_none_or(|group| taken(&|counts| counts.in_group(group)) == 0);
        let on_target = taken(&|counts| counts.on_target(&schedule.target));
        alone && schedule.most_on_target.is_none_or(|most| on_target < most as usize)
    }

    fn take(&mut self, schedule: &'a Schedule, begun: bool) {
        if begun {
            self.begun.remove(schedule);
        }
        self.under_way.add(schedule);
    }
}

/// What waits of one schedule: what had begun before the rest, the oldest first.
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
    ranks: BTreeMap<(Reverse<i32>, usize), Rank<'a>>,
}

impl<'a> Lines<'a> {
    fn of(known: &dyn Fn(&str) -> Option<&'a Schedule>, waiting: &[Waiting], counts: &Counts<'a>) -> Self {
        let mut lines = Self::default();
        let mut order: Vec<usize> = (0..waiting.len()).collect();
        order.sort_by_key(|index| (!waiting[*index].begun, waiting[*index].record.instant));
        for index in order {
            let record = &waiting[index].record;
            let Some(schedule) = known(&record.schedule) else { continue };
            let line = lines.lines.entry(&schedule.name);
            let line = line.or_insert_with(|| Line { schedule, waiting: VecDeque::new() });
            line.waiting.push_back((record.instant, index));
        }
        let names: Vec<&str> = lines.lines.keys().copied().collect();
        names.into_iter().for_each(|name| lines.line_up(name, counts));
        lines
    }

    /// Puts the first of a schedule where it belongs now.
    fn line_up(&mut self, name: &'a str, counts: &Counts<'a>) {
        let Some(Line { schedule, waiting }) = self.lines.get(name) else { return };
        let Some((instant, _)) = waiting.front() else { return };
        let key = (Reverse(schedule.policy.priority), counts.of_schedule(name));
        let rank = self.ranks.entry(key).or_default();
        rank.entry(&schedule.target).or_default().push(Reverse((*instant, name)));
    }

    /// Takes out whose turn it is, with its position; whoever it belongs to has to be lined up again.
    fn next(&mut self, counts: &Counts<'a>) -> Option<(&'a Schedule, usize)> {
        let mut first = self.ranks.first_entry()?;
        let rank = first.get_mut();
        let target = rank
            .iter()
            .filter_map(|(target, heap)| Some((counts.on_target(target), heap.peek()?.0, *target)))
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
    waiting: &[Waiting],
    under_way: &[String],
    room: usize,
) -> Vec<usize> {
    let begun = waiting.iter().filter(|waits| waits.begun).filter_map(|waits| known(&waits.record.schedule));
    let mut places = Places {
        under_way: Counts::of(under_way.iter().filter_map(|name| known(name))),
        begun: Counts::of(begun),
    };
    let mut lines = Lines::of(known, waiting, &places.under_way);
    let mut chosen = Vec::new();
    while chosen.len() < room
        && let Some((schedule, index)) = lines.next(&places.under_way)
    {
        // What is not admitted now is not in this turn, nor is what is behind it: places only get fewer.
        let begun = waiting[index].begun;
        if places.admits(schedule, begun) {
            places.take(schedule, begun);
            chosen.push(index);
            lines.line_up(&schedule.name, &places.under_way);
        }
    }
    chosen
}
