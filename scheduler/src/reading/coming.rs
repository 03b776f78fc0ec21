//! Whether anything of a time can come: what contradicts itself never runs, and nobody would notice. That a schedule is
//! over because its `until` has passed is no mistake.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::expression::{Expression, Wrong};
use crate::instants::{Due, Kind};
use crate::schedule::{Policy, Schedule, Skipped};

/// A time, with its bounds.
#[derive(Clone, Copy)]
pub(super) struct Time<'a> {
    pub(super) when: &'a Arc<Expression>,
    pub(super) zone: &'a TimeZone,
    pub(super) from: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) skipped: Skipped,
}

/// The key that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    When,
    Until,
}

/// What about a time contradicts itself; `now`: whether its years are over is looked at, too.
pub(super) fn contradiction(time: Time<'_>, now: Option<Timestamp>) -> Option<(Key, Wrong)> {
    let Time { when, from, until, .. } = time;
    if from.zip(until).is_some_and(|(from, until)| until <= from) {
        let hint = "`from` is its first moment, `until` the first that is no longer part of it";
        return Some((Key::Until, Wrong::new("it ends before it begins", hint)));
    }
    let is_bounded = from.is_some() || until.is_some();
    // 100,000 schedules without bounds need no look ahead.
    let first = if is_bounded || when.is_once() { next(time, Timestamp::UNIX_EPOCH) } else { None };
    if when.is_once() && first.is_some_and(|due| due.kind == Kind::Skipped) {
        let message =
            format!("clocks jump over `{}`, and `skipped-hour` leaves it out: it never comes", when.text());
        return Some((Key::When, Wrong::new(message, "take another time, or `shift`")));
    }
    if is_bounded && first.is_none() {
        let bounds = match (from, until) {
            (Some(_), Some(_)) => "between its `from` and its `until`",
            (Some(_), None) => "at or after its `from`",
            (None, _) => "before its `until`",
        };
        let message = format!("no time of `{}` is {bounds}: it never comes", when.text());
        return Some((Key::When, Wrong::new(message, "change one of them")));
    }
    let now = now.filter(|now| when.has_years() && until.is_none_or(|until| until > *now))?;
    next(time, now).is_none().then(|| {
        let message = format!("the years of `{}` are over: it never comes", when.text());
        (Key::When, Wrong::new(message, "look at its year, the last field"))
    })
}

fn next(Time { when, zone, from, until, skipped }: Time<'_>, after: Timestamp) -> Option<Due> {
    let timed = Schedule::timed("", Arc::clone(when), zone.clone());
    let policy = Arc::new(Policy { from, until, skipped, ..*timed.policy });
    Schedule { policy, ..timed }.next_after(after)
}
