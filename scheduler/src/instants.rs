//! From the clock on the wall to instants, by the declared daylight saving policy.
//!
//! Between two changes of its clocks a zone has one offset, so a stretch of wall time is a stretch of instants:
//!
//! ```text
//! gap   wall 01:59 -> 03:00     02:30 is on no wall: it means 03:30, the gap later (shift), or nothing (skip)
//! fold  wall 02:59 -> 02:00     02:30 is there twice: the first, the last, or both
//! ```
//!
//! A shifted instant is what RFC 5545 (3.3.5) says such a time means: the offset before the gap counts.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::schedule::{Doubled, Schedule, Skipped};

/// One scheduled instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When.
    pub instant: Timestamp,
    /// The time the schedule names, by the clock on the wall.
    pub wall: DateTime,
    /// How the wall led to the instant.
    pub kind: Kind,
}

/// How a time on the wall became an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is there once, or is no time on a wall.
    Plain,
    /// It is there twice, and this is the first.
    First,
    /// It is there twice, and this is the second.
    Second,
    /// It is on no wall, and moved by the length of the gap.
    Shifted,
    /// It is on no wall, and the policy leaves it out; the instant is where it would have moved.
    Skipped,
}

impl Schedule {
    /// The first instant after another, within the schedule's own dates.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Due> {
        if self.when.is_event() {
            return None;
        }
        let from = self.policy.from.and_then(|from| from.checked_sub(SignedDuration::from_nanos(1)).ok());
        let after = from.map_or(after, |from| after.max(from));
        let due = if let Some(length) = self.when.interval() {
            self.plain(multiple(self.policy.from.unwrap_or(Timestamp::UNIX_EPOCH), length.as_nanos(), after)?)
        } else if let Some(instant) = self.when.instant() {
            self.plain(Some(instant).filter(|instant| *instant > after)?)
        } else {
            self.by_the_wall(after)?
        };
        Some(due).filter(|due| self.policy.until.is_none_or(|until| due.instant < until))
    }

    fn plain(&self, instant: Timestamp) -> Due {
        Due { instant, wall: self.zone.to_datetime(instant), kind: Kind::Plain }
    }

    fn by_the_wall(&self, after: Timestamp) -> Option<Due> {
        let mut after = after;
        let mut stretch = Stretch::around(&self.zone, after);
        loop {
            let regular = self.regular(&stretch, after);
            let shifted = self.shifted(&stretch, after);
            match (regular, shifted) {
                (Some(regular), Some(shifted)) if shifted.instant < regular.instant => return Some(shifted),
                (Some(found), _) | (None, Some(found)) => return Some(found),
                (None, None) => {}
            }
            let end = stretch.end?;
            // Far ahead no wall is left to look at: the last stretch of a zone has no end, so this one had.
            self.when.on_the_wall(stretch.offset.to_datetime(end).min(stretch.next?.to_datetime(end)))?;
            after = end.checked_sub(SignedDuration::from_nanos(1)).ok()?;
            stretch = Stretch::around(&self.zone, end);
        }
    }

    /// The next time that is on the wall in this stretch, and that the doubled hour's policy keeps.
    fn regular(&self, stretch: &Stretch, after: Timestamp) -> Option<Due> {
        let mut lowest = stretch.offset.to_datetime(after).checked_add(SignedDuration::from_nanos(1)).ok()?;
        if let Some(start) = stretch.start {
            let here = stretch.offset.to_datetime(start);
            lowest = lowest.max(here);
            let before = stretch.before_offset().to_datetime(start);
            if self.policy.doubled == Doubled::First {
                lowest = lowest.max(before);
            }
        }
        let wall = self.when.on_the_wall(lowest)?;
        let kind = stretch.kind(wall);
        let end = stretch.end.map(|end| stretch.offset.to_datetime(end));
        let last = stretch.end.zip(stretch.next).map(|(end, next)| next.to_datetime(end));
        let end = if self.policy.doubled == Doubled::Last { end.min(end.and(last)) } else { end };
        if end.is_some_and(|end| wall >= end) {
            return None;
        }
        Some(Due { instant: stretch.offset.to_timestamp(wall).ok()?, wall, kind })
    }

    /// The next time of the gap at the beginning of this stretch.
    fn shifted(&self, stretch: &Stretch, after: Timestamp) -> Option<Due> {
        let (start, before) = (stretch.start?, stretch.before_offset());
        let end_of_gap = stretch.offset.to_datetime(start);
        let lowest = before.to_datetime(after).checked_add(SignedDuration::from_nanos(1)).ok()?;
        let wall = self.when.on_the_wall(lowest.max(before.to_datetime(start)))?;
        if wall >= end_of_gap {
            return None;
        }
        let kind = match self.policy.skipped {
            Skipped::Shift => Kind::Shifted,
            Skipped::Skip => Kind::Skipped,
        };
        Some(Due { instant: before.to_timestamp(wall).ok()?, wall, kind })
    }
}

/// The first multiple of an interval after an instant.
fn multiple(anchor: Timestamp, length: u128, after: Timestamp) -> Option<Timestamp> {
    let length = i128::try_from(length).ok()?;
    let elapsed = after.as_nanosecond() - anchor.as_nanosecond();
    let next = if elapsed < 0 { 0 } else { elapsed / length + 1 };
    Timestamp::from_nanosecond(anchor.as_nanosecond() + next * length).ok()
}

/// The time between two changes of a zone's clocks.
struct Stretch {
    /// When it began; `None`: it always was.
    start: Option<Timestamp>,
    /// When it ends.
    end: Option<Timestamp>,
    before: Option<Offset>,
    offset: Offset,
    next: Option<Offset>,
}

impl Stretch {
    fn around(zone: &TimeZone, at: Timestamp) -> Self {
        let offset = zone.to_offset(at);
        let moment = SignedDuration::from_nanos(1);
        let including = at.checked_add(moment).unwrap_or(at);
        let start = zone.preceding(including).next().map(|change| change.timestamp());
        let end = zone.following(at).next().map(|change| (change.timestamp(), change.offset()));
        let before =
            start.and_then(|start| start.checked_sub(moment).ok()).map(|instant| zone.to_offset(instant));
        Self { start, end: end.map(|(at, _)| at), before, offset, next: end.map(|(_, offset)| offset) }
    }

    fn before_offset(&self) -> Offset {
        self.before.unwrap_or(self.offset)
    }

    fn kind(&self, wall: DateTime) -> Kind {
        let second = self.start.is_some_and(|start| wall < self.before_offset().to_datetime(start));
        let first = self.end.zip(self.next).is_some_and(|(end, next)| wall >= next.to_datetime(end));
        match (first, second) {
            (_, true) => Kind::Second,
            (true, false) => Kind::First,
            (false, false) => Kind::Plain,
        }
    }
}
