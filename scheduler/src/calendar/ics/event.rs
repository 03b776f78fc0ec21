//! One event: when it begins, how long it lasts, how it recurs, and what of that is taken out again.
//!
//! Recurrence rules are evaluated by the `rrule` crate on the clock on the wall, which is given to it as if it were UTC;
//! the zone of the event makes instants of that.

use chrono::{DateTime, Utc};
use jiff::SignedDuration;
use jiff::Timestamp;
use rrule::{RRule, RRuleSet, Tz, Unvalidated};

use super::lines::{Component, Mistake, Property};
use super::times::{Lasts, Moment};
use super::zones::Zones;
use crate::calendar::Frozen;
use crate::wall;

/// Most occurrences of one rule in a year: what the crate gives at once.
const MOST: u16 = u16::MAX;

/// An event with its recurrences.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) uid: String,
    /// Which version of it this is: higher ones take the place of lower ones.
    pub(super) sequence: i64,
    /// The occurrence of the event with the same `uid` that it takes the place of.
    pub(super) replaces: Option<Moment>,
    /// It takes the place of all occurrences after that, too (`RANGE=THISANDFUTURE`).
    pub(super) is_for_good: bool,
    pub(super) is_cancelled: bool,
    title: String,
    start: Moment,
    lasts: Lasts,
    rules: Vec<RRuleSet>,
    more: Vec<(Moment, Lasts)>,
    except: Vec<Moment>,
    except_rules: Vec<RRuleSet>,
    changes: Vec<Change>,
}

/// What becomes of the occurrences from one on.
#[derive(Debug)]
struct Change {
    from: Timestamp,
    /// `None`: there are none, or they are an event of their own.
    to: Option<Changed>,
}

/// How they are instead: so much later by the clock on the wall, with the zone of `start`.
#[derive(Debug)]
struct Changed {
    later: SignedDuration,
    start: Moment,
    lasts: Lasts,
    title: String,
}

impl Event {
    pub(super) fn read(event: &Component, zones: &Zones<'_>) -> Result<Self, Mistake> {
        let start = event.find("DTSTART").ok_or_else(|| {
            let hint = "add `DTSTART:20261224T180000` or `DTSTART;VALUE=DATE:20261224`";
            Mistake::new(event.line, "the event has no `DTSTART`", hint)
        })?;
        let start = Moment::read(&start.value, start, zones)?;
        let lasts = lasts(event, &start, zones)?;
        let rules = |name| event.all(name).map(|rule| recurring(rule, &start)).collect::<Result<_, _>>();
        // Of RFC 2445; the one after it took it out again, and files still have it.
        let (rules, except_rules) = (rules("RRULE")?, rules("EXRULE")?);
        let mut more = Vec::new();
        for property in event.all("RDATE") {
            for text in property.value.split(',') {
                more.push(added(text, property, lasts, zones)?);
            }
        }
        let mut except = Vec::new();
        for property in event.all("EXDATE") {
            except.extend(Moment::all(property, zones)?);
        }
        let id = event.find("RECURRENCE-ID");
        Ok(Self {
            uid: event.text("UID"),
            sequence: event.text("SEQUENCE").trim().parse().unwrap_or(0),
            replaces: id.map(|id| Moment::read(&id.value, id, zones)).transpose()?,
            is_for_good: id.is_some_and(is_for_good),
            is_cancelled: event.text("STATUS").eq_ignore_ascii_case("CANCELLED"),
            title: event.text("SUMMARY"),
            start,
            lasts,
            rules,
            more,
            except,
            except_rules,
            changes: Vec::new(),
        })
    }

    /// The event that it is a version of, or the occurrence of it.
    pub(super) fn version_of(&self) -> (String, Option<Timestamp>) {
        (self.uid.clone(), self.replaces.as_ref().and_then(Moment::instant))
    }

    /// An occurrence is an event of its own, or none.
    pub(super) fn leave_out(&mut self, occurrence: Moment) {
        self.except.push(occurrence);
    }

    /// Occurrences from one on are as a change says, none if it is cancelled, and its own if it recurs by itself.
    pub(super) fn change_from(&mut self, change: &Self) {
        let Some((id, from)) = change.replaces.as_ref().and_then(|id| Some((id, id.instant()?))) else {
            return;
        };
        let before = if id.is_day { id.wall } else { self.start.zone.to_datetime(from) };
        let to = (!change.is_cancelled && !change.recurs()).then(|| Changed {
            later: change.start.wall.duration_since(before),
            start: change.start.clone(),
            lasts: change.lasts,
            title: change.title.clone(),
        });
        self.changes.push(Change { from, to });
        self.changes.sort_by_key(|change| change.from);
    }

    /// Whether it has occurrences besides its start.
    pub(super) fn recurs(&self) -> bool {
        !self.rules.is_empty() || !self.more.is_empty()
    }

    /// An occurrence as the last change before it says, if it still is one.
    fn frozen(&self, start: Moment, lasts: Lasts) -> Option<Frozen> {
        let begins = start.instant()?;
        let (start, lasts, title) = match self.changes.iter().rfind(|change| change.from <= begins) {
            None => (start, lasts, &self.title),
            Some(Change { to, .. }) => {
                let to = to.as_ref()?;
                let wall = start.wall.checked_add(to.later).ok()?;
                (Moment { wall, ..to.start.clone() }, to.lasts, &to.title)
            }
        };
        Some(Frozen { from: start.instant()?, until: lasts.after(&start)?, title: title.clone() })
    }

    /// How far from its own time an occurrence may freeze.
    fn reach(&self) -> SignedDuration {
        let changed = self.changes.iter().filter_map(|change| change.to.as_ref());
        let reach = changed.map(|to| to.later.abs().saturating_add(to.lasts.at_most())).max();
        // No clock is further from UTC than a day.
        let day = SignedDuration::from_hours(24);
        self.lasts.at_most().max(reach.unwrap_or_default()).saturating_add(day)
    }

    /// Occurrences that touch a stretch of time.
    pub(super) fn between(&self, from: Timestamp, to: Timestamp) -> Vec<Frozen> {
        let begins = |wall| Moment { wall, ..self.start.clone() };
        let ruled = self.rules.iter().flat_map(|rule| self.occurrences(rule, from, to));
        // The start is an occurrence whether a rule says so or not (RFC 5545, section 3.8.5.3).
        let mut starts: Vec<(Moment, Lasts)> =
            std::iter::once(self.start.wall).chain(ruled).map(|wall| (begins(wall), self.lasts)).collect();
        starts.extend(self.more.iter().cloned());
        let ruled_out = self.except_rules.iter().flat_map(|rule| self.occurrences(rule, from, to));
        let except: Vec<Moment> = self.except.iter().cloned().chain(ruled_out.map(begins)).collect();
        let stays = |(start, _): &(Moment, Lasts)| !except.iter().any(|except| except.names(start));
        let frozen = |(start, lasts): (Moment, Lasts)| self.frozen(start, lasts);
        let mut found: Vec<Frozen> = starts.into_iter().filter(stays).filter_map(frozen).collect();
        found.retain(|frozen| frozen.from < to && frozen.until > from);
        found
    }

    fn occurrences(&self, rule: &RRuleSet, from: Timestamp, to: Timestamp) -> Vec<jiff::civil::DateTime> {
        let earliest = from.checked_sub(self.reach()).unwrap_or(Timestamp::MIN);
        let latest = to.checked_add(self.reach()).unwrap_or(Timestamp::MAX);
        let bound = |at: Timestamp| {
            DateTime::<Utc>::from_timestamp(at.as_second(), 0).unwrap_or_default().with_timezone(&Tz::UTC)
        };
        let within = rule.clone().after(bound(earliest)).before(bound(latest));
        within.all(MOST).dates.iter().filter_map(|at| wall::civil(at.naive_utc())).collect()
    }
}

/// To its end, for its duration, or the day it is on.
fn lasts(event: &Component, start: &Moment, zones: &Zones<'_>) -> Result<Lasts, Mistake> {
    let (lasts, line) = match (event.find("DTEND"), event.find("DURATION")) {
        (Some(property), _) => {
            let end = Moment::read(&property.value, property, zones)?;
            let lasts = Lasts::between(start, &end).ok_or_else(|| {
                let hint = "both are days (`VALUE=DATE`), or both are times";
                Mistake::new(property.line, "`DTEND` does not fit to `DTSTART`", hint)
            })?;
            (lasts, property.line)
        }
        (None, Some(property)) => (length(&property.value, property)?, property.line),
        (None, None) if start.is_day => (Lasts::days(1), event.line),
        (None, None) => {
            let hint = "add `DTEND` or `DURATION`: a freeze lasts some time";
            return Err(Mistake::new(event.line, "the event has neither an end nor a duration", hint));
        }
    };
    if lasts.is_some() {
        return Ok(lasts);
    }
    let hint = "the end is the first moment after it: of one whole day, the day after";
    Err(Mistake::new(line, "the event does not end after it begins", hint))
}

fn length(text: &str, property: &Property) -> Result<Lasts, Mistake> {
    Lasts::read(text).ok_or_else(|| {
        Mistake::new(property.line, format!("`{text}` is no duration"), "write `PT2H`, `P1D` or `P1W`")
    })
}

/// A date of `RDATE`: a time, or `start/end` and `start/duration` with `VALUE=PERIOD`.
fn added(
    text: &str,
    property: &Property,
    lasts: Lasts,
    zones: &Zones<'_>,
) -> Result<(Moment, Lasts), Mistake> {
    let Some((start, end)) = text.split_once('/') else {
        return Ok((Moment::read(text, property, zones)?, lasts));
    };
    let start = Moment::read(start, property, zones)?;
    let lasts = if end.starts_with(['P', '+']) {
        length(end, property)?
    } else {
        let end = Moment::read(end, property, zones)?;
        Lasts::between(&start, &end).unwrap_or(Lasts::days(0))
    };
    match lasts.is_some() {
        true => Ok((start, lasts)),
        false => {
            let hint = "write `20261224T180000Z/20261224T200000Z` or `20261224T180000Z/PT2H`";
            Err(Mistake::new(property.line, format!("`{text}` is no period"), hint))
        }
    }
}

fn is_for_good(id: &Property) -> bool {
    id.parameter("RANGE").is_some_and(|range| range.eq_ignore_ascii_case("THISANDFUTURE"))
}

/// A rule on the clock on the wall. Its `UNTIL` is an instant, or on that clock already.
fn recurring(rule: &Property, start: &Moment) -> Result<RRuleSet, Mistake> {
    let wrong = |why: String| {
        let hint = "rules look like `RRULE:FREQ=WEEKLY;BYDAY=SA,SU;UNTIL=20261231T235959Z`";
        Mistake::new(rule.line, format!("the rule `{}` cannot be used: {why}", rule.value), hint)
    };
    let (ends, others): (Vec<&str>, Vec<&str>) =
        rule.value.split(';').partition(|part| part.to_ascii_uppercase().starts_with("UNTIL="));
    let mut read: RRule<Unvalidated> =
        others.join(";").parse().map_err(|error: rrule::RRuleError| wrong(one_part(&error)))?;
    if let Some(end) = ends.first() {
        let text = &end["UNTIL=".len()..];
        let until = until(text, start).ok_or_else(|| wrong(format!("`{text}` is no time")))?;
        read = read.until(until);
    }
    let begins = stand_in(start.wall).ok_or_else(|| wrong("its start is out of reach".to_owned()))?;
    let set = read.build(begins).map_err(|error| wrong(one_part(&error)))?;
    // A year of it has to be within reach, or a freeze would be missed.
    let year = set.clone().before(begins + chrono::Duration::days(366)).all(MOST);
    if year.dates.len() >= usize::from(MOST) {
        return Err(wrong("it begins too often".to_owned()));
    }
    Ok(set)
}

fn until(text: &str, start: &Moment) -> Option<DateTime<Tz>> {
    let (at, is_day) = super::times::civil(text.trim_end_matches('Z'))?;
    let wall = match text.ends_with('Z') {
        // By the clock that the event is on.
        true => start.zone.to_datetime(jiff::tz::TimeZone::UTC.to_timestamp(at).ok()?),
        false if is_day => at.date().at(23, 59, 59, 0),
        false => at,
    };
    stand_in(wall)
}

fn stand_in(at: jiff::civil::DateTime) -> Option<DateTime<Tz>> {
    Some(wall::naive(at)?.and_utc().with_timezone(&Tz::UTC))
}

/// Its own part of what the crate says.
fn one_part(error: &rrule::RRuleError) -> String {
    let told = error.to_string();
    let own = told.split_once(": ").map_or(told.as_str(), |(_, own)| own).trim_end_matches('.');
    let mut letters = own.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
