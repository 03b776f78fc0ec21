//! What a schedule will do, said before it does: its next instants, and what happens on the days of the year on which
//! its clocks change.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::Serialize;

use crate::calendar::{Gates, Subject};
use crate::instants::{Due, Kind};
use crate::schedule::{Doubled, Schedule, Skipped};

/// One instant, as people want to see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The instant.
    pub instant: Timestamp,
    /// By the clock on the wall there, with its offset.
    pub local: String,
    /// When its run starts, when that is later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<Timestamp>,
    /// What the clocks and the calendar do to it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A day on which clocks change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// What the clock on the wall shows before, and from then on.
    pub local: String,
    /// What that does to the schedule, by its policy.
    pub effect: String,
    /// The instants of that day.
    pub instants: Vec<Told>,
}

/// Most instants of one day that are shown around a change.
const AROUND: usize = 6;

/// The next instants after a time.
#[must_use]
pub fn next(schedule: &Schedule, gates: &Gates, after: Timestamp, most: usize) -> Vec<Told> {
    following(schedule, after).take(most).map(|due| told(schedule, gates, &due)).collect()
}

/// The changes of the clocks in the year after a time.
#[must_use]
pub fn changes(schedule: &Schedule, gates: &Gates, after: Timestamp) -> Vec<Change> {
    let zone = &schedule.zone;
    let end = after.to_zoned(zone.clone()).checked_add(1.year()).map_or(after, |end| end.timestamp());
    let transitions = zone.following(after).take_while(|change| change.timestamp() <= end);
    let moved = transitions.filter_map(|change| {
        let at = change.timestamp();
        let before = zone.to_offset(at.checked_sub(SignedDuration::from_nanos(1)).ok()?);
        (before != change.offset()).then(|| told_of(schedule, gates, at, (before, change.offset())))
    });
    moved.collect()
}

fn told_of(schedule: &Schedule, gates: &Gates, at: Timestamp, (before, after): (Offset, Offset)) -> Change {
    let (shown, next) = (before.to_datetime(at), after.to_datetime(at));
    let length = shown.duration_since(next).unsigned_abs().as_secs() / 60;
    let around = at.checked_sub(SignedDuration::from_hours(12)).unwrap_or(at);
    let until = at.checked_add(SignedDuration::from_hours(12)).unwrap_or(at);
    let day = following(schedule, around).take_while(|due| due.instant < until);
    // Nearest to the change: a minutely schedule has hundreds a day.
    let mut day: Vec<Due> = day.collect();
    let middle = day.partition_point(|due| due.instant < at);
    let first = middle.saturating_sub(AROUND / 2).min(day.len().saturating_sub(AROUND));
    day = day.into_iter().skip(first).take(AROUND).collect();
    Change {
        at,
        local: format!("{} -> {}", shown.strftime("%a %Y-%m-%d %H:%M"), next.strftime("%H:%M")),
        effect: effect(schedule, next > shown, length, &shown),
        instants: day.iter().map(|due| told(schedule, gates, due)).collect(),
    }
}

fn effect(schedule: &Schedule, forward: bool, minutes: u64, shown: &DateTime) -> String {
    if !schedule.when.is_cron() {
        return "elapsed time and single instants do not depend on it".to_owned();
    }
    let hour = shown.strftime("%H:%M");
    if forward {
        return match schedule.policy.skipped {
            Skipped::Shift => {
                format!(
                    "{minutes} minutes from {hour} are on no clock: what names them runs {minutes} minutes later"
                )
            }
            Skipped::Skip => {
                format!(
                    "{minutes} minutes from {hour} are on no clock: what names them does not run that day"
                )
            }
        };
    }
    let times = match schedule.policy.doubled {
        Doubled::First => "runs the first time only",
        Doubled::Last => "runs the second time only",
        Doubled::Both => "runs both times",
    };
    format!("{minutes} minutes before {hour} come twice: what names them {times}")
}

fn following(schedule: &Schedule, after: Timestamp) -> impl Iterator<Item = Due> + '_ {
    std::iter::successors(schedule.next_after(after), |due| schedule.next_after(due.instant))
}

fn told(schedule: &Schedule, gates: &Gates, due: &Due) -> Told {
    let starts = schedule.start_of(due.instant);
    let zoned = due.instant.to_zoned(schedule.zone.clone());
    Told {
        instant: due.instant,
        local: zoned.strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string(),
        starts: (starts != due.instant).then_some(starts),
        note: note(schedule, gates, due, starts),
    }
}

fn note(schedule: &Schedule, gates: &Gates, due: &Due, starts: Timestamp) -> String {
    let wall = due.wall.strftime("%H:%M");
    let clocks = match due.kind {
        Kind::Skipped => return format!("does not run: {wall} is on no clock that day"),
        Kind::Shifted => format!("moved from {wall}, which is on no clock that day"),
        Kind::First => format!("the first {wall} of that day"),
        Kind::Second => format!("the second {wall} of that day"),
        Kind::Plain => String::new(),
    };
    let subject = Subject {
        risk: schedule.risk,
        target: &schedule.target,
        protected: schedule.protected,
        scheduled: true,
    };
    let calendar = gates
        .admit(&subject, starts)
        .err()
        .map(|refusal| format!("will not run: {}: {}", refusal.why.word(), refusal.note()));
    let parts = [Some(clocks).filter(|clocks| !clocks.is_empty()), calendar];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
