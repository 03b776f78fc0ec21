//! Times and lengths as calendars write them, each on the clock on the wall of a zone.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::lines::{Mistake, Property};
use super::zones::Zones;

/// A time, or a whole day.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) wall: DateTime,
    pub(super) is_day: bool,
    /// It names no zone, so its zone is the usual one.
    pub(super) is_floating: bool,
    pub(super) zone: TimeZone,
}

impl Moment {
    /// Every time of a property: `RDATE` and `EXDATE` may have several.
    pub(super) fn all(property: &Property, zones: &Zones<'_>) -> Result<Vec<Self>, Mistake> {
        property.value.split(',').map(|text| Self::read(text, property, zones)).collect()
    }

    /// One time of a property.
    pub(super) fn read(text: &str, property: &Property, zones: &Zones<'_>) -> Result<Self, Mistake> {
        let text = text.trim();
        let Some((wall, is_day)) = civil(text.trim_end_matches('Z')) else {
            let message = format!("`{text}` is no time");
            let hint = format!(
                "write `{}:20261224T180000` or `{};VALUE=DATE:20261224`",
                property.name, property.name
            );
            return Err(Mistake::new(property.line, message, hint));
        };
        let is_floating = !text.ends_with('Z') && property.parameter("TZID").is_none();
        let zone = if text.ends_with('Z') { TimeZone::UTC } else { zones.of_property(property)? };
        Ok(Self { wall, is_day, is_floating, zone })
    }

    /// The instant it begins at. A time that clocks jump over is read as RFC 5545 (3.3.5) says.
    pub(super) fn instant(&self) -> Option<Timestamp> {
        self.zone.to_timestamp(self.wall).ok()
    }

    /// Whether it names an occurrence that begins at another time: exactly, by the clock of the occurrence where it has
    /// none itself, or by its day where one of them is a day.
    pub(super) fn names(&self, other: &Self) -> bool {
        match (self.is_day, other.is_day) {
            (false, false) if self.is_floating => self.wall == other.wall,
            (false, false) => self.instant() == other.instant(),
            (false, true) => {
                self.instant().is_some_and(|at| other.zone.to_datetime(at).date() == other.wall.date())
            }
            (true, _) => self.wall.date() == other.wall.date(),
        }
    }
}

/// `20261224` or `20261224T180000`; whether it is a day.
pub(super) fn civil(text: &str) -> Option<(DateTime, bool)> {
    let time = DateTime::strptime("%Y%m%dT%H%M%S", text).map(|at| (at, false));
    time.or_else(|_| Date::strptime("%Y%m%d", text).map(|day| (day.into(), true))).ok()
}

/// How long an event lasts: days by the calendar, then elapsed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lasts {
    days: i64,
    time: SignedDuration,
}

impl Lasts {
    /// Whole days.
    pub(super) const fn days(days: i64) -> Self {
        Self { days, time: SignedDuration::ZERO }
    }

    /// From one time to another: that long, whatever clocks do (RFC 5545, section 3.8.5.3).
    pub(super) fn between(start: &Moment, end: &Moment) -> Option<Self> {
        if start.is_day && end.is_day {
            let days = end.wall.date().duration_since(start.wall.date()).as_hours() / 24;
            return Some(Self::days(days));
        }
        let same_kind = start.is_day == end.is_day;
        let time = end.instant()?.duration_since(start.instant()?);
        same_kind.then_some(Self { days: 0, time })
    }

    /// `P1W`, `P1DT12H`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('+');
        let span: Span = text.starts_with('P').then(|| text.parse().ok())??;
        let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
        let time = span.weeks(0).days(0).to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
        (span.get_months() == 0 && span.get_years() == 0).then_some(Self { days, time })
    }

    pub(super) const fn is_some(self) -> bool {
        self.days >= 0 && !self.time.is_negative() && (self.days > 0 || self.time.is_positive())
    }

    /// When what begins then is over.
    pub(super) fn after(self, start: &Moment) -> Option<Timestamp> {
        let wall = start.wall.checked_add(Span::new().try_days(self.days).ok()?).ok()?;
        start.zone.to_timestamp(wall).ok()?.checked_add(self.time).ok()
    }

    /// At least as much elapsed time as it ever is.
    pub(super) fn at_most(self) -> SignedDuration {
        SignedDuration::from_hours((self.days + 2) * 24).saturating_add(self.time)
    }
}
