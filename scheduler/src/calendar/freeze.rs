//! Freezes: times at which nothing changes, given as a list of stretches or as an iCalendar file, whose events
//! (with their recurrences, exceptions and zones) are read by the `icalendar` crate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeZone as _, Utc};
use icalendar::{Calendar, Component, DatePerhapsTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Refusal, Scope};
use crate::record::Why;

/// A time at which nothing changes.
#[derive(Debug, Clone)]
pub struct Freeze {
    /// Its name.
    pub name: String,
    /// Whose clocks its times are shown by.
    pub zone: TimeZone,
    /// What it is for.
    pub scope: Scope,
    times: Times,
}

#[derive(Debug, Clone)]
enum Times {
    List(Vec<Frozen>),
    Events(Arc<Events>),
}

/// One stretch of a freeze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// From here.
    pub from: Timestamp,
    /// To before here.
    pub until: Timestamp,
    /// What it is called: the summary of an event.
    pub title: String,
}

impl Freeze {
    /// From a list.
    #[must_use]
    pub const fn listed(name: String, zone: TimeZone, scope: Scope, stretches: Vec<Frozen>) -> Self {
        Self { name, zone, scope, times: Times::List(stretches) }
    }

    /// From the text of an iCalendar file.
    ///
    /// # Errors
    /// What about it cannot be read, as a sentence.
    pub fn of_calendar(name: String, zone: TimeZone, scope: Scope, text: &str) -> Result<Self, String> {
        let events = Events::read(text, &zone)?;
        Ok(Self { name, zone, scope, times: Times::Events(Arc::new(events)) })
    }

    /// The stretch an instant is in.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Option<Frozen> {
        let within = |frozen: &&Frozen| frozen.from <= now && now < frozen.until;
        match &self.times {
            Times::List(stretches) => stretches.iter().find(within).cloned(),
            Times::Events(events) => events.around(now).iter().find(within).cloned(),
        }
    }

    pub(super) fn refusal(&self, frozen: &Frozen) -> Refusal {
        let title = if frozen.title.is_empty() { String::new() } else { format!(": {}", frozen.title) };
        Refusal {
            why: Why::Frozen,
            names: vec![format!("{}{title}", self.name)],
            next: Some(frozen.until).filter(|until| *until < Timestamp::MAX),
            local: (frozen.until < Timestamp::MAX).then(|| super::window::local(frozen.until, &self.zone)),
        }
    }
}

/// Most events of one rule in a year that are looked at: one an hour.
const MOST: u16 = 9000;

/// The events of a calendar file, expanded a year at a time.
#[derive(Debug)]
struct Events {
    rules: Vec<Rule>,
    years: Mutex<BTreeMap<i16, Arc<Vec<Frozen>>>>,
}

/// One event with its recurrences.
#[derive(Debug)]
struct Rule {
    set: icalendar::RRuleSet,
    lasts: Lasts,
    title: String,
    /// For times that name no zone.
    zone: TimeZone,
}

#[derive(Debug, Clone, Copy)]
enum Lasts {
    /// Whole days by the calendar.
    Days(i64),
    Time(SignedDuration),
}

impl Events {
    fn read(text: &str, zone: &TimeZone) -> Result<Self, String> {
        let mut calendar: Calendar = text.parse()?;
        if calendar.get_timezone().is_none() {
            calendar.append_property(("X-WR-TIMEZONE", zone.iana_name().unwrap_or("UTC")));
        }
        let mut rules = Vec::new();
        for event in calendar.calendar_events() {
            let title = event.event().get_summary().unwrap_or_default().to_owned();
            let wrong = |why: String| format!("event `{title}`: {why}");
            let set = event.get_recurrence().map_err(|error| wrong(error.to_string()))?;
            let lasts = lasts(event.event()).map_err(wrong)?;
            rules.push(Rule { set, lasts, title, zone: zone.clone() });
        }
        if rules.is_empty() {
            return Err("it has no event".to_owned());
        }
        Ok(Self { rules, years: Mutex::default() })
    }

    /// Everything of the year around an instant, and of the days before it.
    fn around(&self, now: Timestamp) -> Arc<Vec<Frozen>> {
        let year = now.to_zoned(TimeZone::UTC).year();
        let mut years = self.years.lock().unwrap_or_else(PoisonError::into_inner);
        let expanded = years.entry(year).or_insert_with(|| Arc::new(self.of_year(year)));
        Arc::clone(expanded)
    }

    fn of_year(&self, year: i16) -> Vec<Frozen> {
        let starts = Utc.with_ymd_and_hms(i32::from(year), 1, 1, 0, 0, 0).single();
        let ends = Utc.with_ymd_and_hms(i32::from(year) + 1, 1, 2, 0, 0, 0).single();
        let (Some(starts), Some(ends)) = (starts, ends) else { return Vec::new() };
        self.rules.iter().flat_map(|rule| rule.between(starts, ends)).collect()
    }
}

impl Rule {
    fn zone_of(&self, at: &DateTime<icalendar::Tz>) -> TimeZone {
        let tz = at.timezone();
        let named = Some(tz.name()).filter(|_| !tz.is_local()).and_then(|name| crate::zone::find(name).ok());
        named.unwrap_or_else(|| self.zone.clone())
    }

    fn between(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Frozen> {
        let zone = icalendar::Tz::UTC;
        let longest = match self.lasts {
            Lasts::Days(days) => chrono::Duration::days(days + 1),
            Lasts::Time(time) => chrono::Duration::seconds(time.as_secs() + 1),
        };
        let set =
            self.set.clone().after((from - longest).with_timezone(&zone)).before(to.with_timezone(&zone));
        let frozen = |at: &DateTime<icalendar::Tz>| {
            let zone = self.zone_of(at);
            let starts = civil(at.naive_local())?;
            let until = match self.lasts {
                Lasts::Time(time) => zone.to_timestamp(starts).ok()?.checked_add(time).ok()?,
                Lasts::Days(days) => {
                    zone.to_timestamp(starts.checked_add(jiff::Span::new().days(days)).ok()?).ok()?
                }
            };
            let starts = zone.to_timestamp(starts).ok()?;
            Some(Frozen { from: starts, until, title: self.title.clone() })
        };
        set.all(MOST).dates.iter().filter_map(frozen).collect()
    }
}

fn civil(at: chrono::NaiveDateTime) -> Option<jiff::civil::DateTime> {
    at.format("%Y-%m-%dT%H:%M:%S").to_string().parse().ok()
}

/// How long an event lasts: to its end, for its duration, or the day it is on.
fn lasts(event: &icalendar::Event) -> Result<Lasts, String> {
    let start = event.get_start().ok_or("it has no start")?;
    match (start, event.get_end()) {
        (DatePerhapsTime::Date(from), Some(DatePerhapsTime::Date(to))) if to > from => {
            Ok(Lasts::Days((to - from).num_days()))
        }
        (DatePerhapsTime::Date(_), None) => Ok(Lasts::Days(1)),
        (DatePerhapsTime::DateTime(from), Some(DatePerhapsTime::DateTime(to))) => {
            let utc = |time: icalendar::CalendarDateTime| {
                time.try_into_utc().ok_or("its time zone is not known; use an IANA name")
            };
            let seconds = (floating(&to, utc)? - floating(&from, utc)?).num_seconds();
            if seconds > 0 {
                Ok(Lasts::Time(SignedDuration::from_secs(seconds)))
            } else {
                Err("it ends before it starts".to_owned())
            }
        }
        (DatePerhapsTime::DateTime(_), None) => {
            let text = event.property_value("DURATION").ok_or("it has neither an end nor a duration")?;
            let span: jiff::Span = text.parse().map_err(|_| format!("`{text}` is no duration"))?;
            let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours());
            length.map(Lasts::Time).map_err(|_| format!("`{text}` is no duration"))
        }
        _ => Err("its start and its end do not fit together".to_owned()),
    }
}

/// A time without a zone is as good as UTC for a difference.
fn floating(
    time: &icalendar::CalendarDateTime,
    utc: impl Fn(icalendar::CalendarDateTime) -> Result<DateTime<Utc>, &'static str>,
) -> Result<DateTime<Utc>, &'static str> {
    match time {
        icalendar::CalendarDateTime::Floating(naive) => Ok(naive.and_utc()),
        other => utc(other.clone()),
    }
}
