//! The declared policy, written down a second time and in another way: it walks the minutes of real time and looks what
//! the clock on the wall shows, and knows neither stretches nor gaps but by what it has seen on the way.

use std::collections::{BTreeMap, BTreeSet};

use aegis_scheduler::{Doubled, Skipped};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// What a schedule wants: whether a time on the wall is one of its times.
pub(crate) type Wants = fn(DateTime) -> bool;

/// What the clock on the wall of a zone showed in a stretch of real time.
pub(crate) struct Oracle {
    stretch: (Timestamp, Timestamp),
    /// How often and when it showed each time.
    times: BTreeMap<DateTime, Vec<Timestamp>>,
    missing: BTreeSet<(Timestamp, DateTime)>,
}

impl Oracle {
    pub(crate) fn of(zone: &TimeZone, (from, to): (Timestamp, Timestamp)) -> Self {
        // A margin on both sides, because a time may come again after the end, or have come before the beginning.
        let margin = SignedDuration::from_hours(2);
        let mut shown: Vec<(Timestamp, DateTime)> = Vec::new();
        let mut at = from - margin;
        while at < to + margin {
            shown.push((at, zone.to_datetime(at)));
            at += SignedDuration::from_mins(1);
        }
        let mut times: BTreeMap<DateTime, Vec<Timestamp>> = BTreeMap::new();
        for (instant, wall) in &shown {
            times.entry(*wall).or_default().push(*instant);
        }
        Self { stretch: (from, to), times, missing: missing(&shown) }
    }

    /// The instants of a schedule, and which of them run.
    pub(crate) fn instants(
        &self,
        wants: Wants,
        skipped: Skipped,
        doubled: Doubled,
    ) -> BTreeMap<Timestamp, bool> {
        let mut found = BTreeMap::new();
        for (_, instants) in self.times.iter().filter(|(wall, _)| wants(**wall)) {
            let kept: &[Timestamp] = match (instants.len(), doubled) {
                (1, _) | (_, Doubled::Both) => instants,
                (_, Doubled::First) => &instants[..1],
                (length, Doubled::Last) => &instants[length - 1..],
            };
            found.extend(kept.iter().map(|instant| (*instant, true)));
        }
        for (instant, _) in self.missing.iter().filter(|(_, wall)| wants(*wall)) {
            // Where it would have moved may be a time of its own.
            found.entry(*instant).or_insert(skipped == Skipped::Shift);
        }
        found.retain(|instant, _| self.stretch.0 < *instant && *instant < self.stretch.1);
        found
    }
}

/// Times that the clock jumped over, each with the instant that is as long after the jump as the time is after the
/// last one shown before it.
fn missing(shown: &[(Timestamp, DateTime)]) -> BTreeSet<(Timestamp, DateTime)> {
    let mut missing = BTreeSet::new();
    for pair in shown.windows(2) {
        let [(before, last), (_, next)] = pair else { continue };
        let mut wall = *last + 1.minute();
        let mut instant = *before + SignedDuration::from_mins(1);
        while wall < *next {
            missing.insert((instant, wall));
            wall += 1.minute();
            instant += SignedDuration::from_mins(1);
        }
    }
    missing
}
