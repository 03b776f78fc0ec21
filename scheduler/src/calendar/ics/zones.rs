//! The time zones of a calendar: by their IANA name, by the name that Windows has for one, or as the file itself defines
//! them (`VTIMEZONE`, RFC 5545, section 3.6.5).
//!
//! A definition holds from now on: of several it is the last rules that count.

use std::collections::HashMap;

use aegis_engine::text::did_you_mean;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::lines::{Component, Mistake, Property};
use super::times::civil;
use super::windows;

/// The zones that a calendar names.
pub(super) struct Zones<'a> {
    defined: HashMap<String, &'a Component>,
    /// The zone of times that name none.
    pub(super) usual: TimeZone,
}

impl<'a> Zones<'a> {
    /// Of a calendar; times without a zone are by the clocks of `own`, else of what the calendar says of itself, else of
    /// `usual`.
    pub(super) fn of(
        calendar: &'a Component,
        own: Option<&TimeZone>,
        usual: &TimeZone,
    ) -> Result<Self, Mistake> {
        let defined = calendar.within("VTIMEZONE").map(|zone| (zone.text("TZID"), zone)).collect();
        let mut zones = Self { defined, usual: own.unwrap_or(usual).clone() };
        if let (None, Some(said)) = (own, calendar.find("X-WR-TIMEZONE")) {
            zones.usual = zones.find(&said.text(), said.line)?;
        }
        Ok(zones)
    }

    /// The zone of a property: the one it names, else the usual one.
    pub(super) fn of_property(&self, property: &Property) -> Result<TimeZone, Mistake> {
        match property.parameter("TZID") {
            Some(name) => self.find(name, property.line),
            None => Ok(self.usual.clone()),
        }
    }

    fn find(&self, name: &str, line: usize) -> Result<TimeZone, Mistake> {
        if let Some(known) = known(name) {
            return Ok(known);
        }
        let unknown = || {
            let names = crate::zone::names().chain(windows::names());
            let hint = did_you_mean(name, names).unwrap_or_else(|| {
                "name it as IANA does (`Asia/Seoul`), or define it with a `VTIMEZONE` in the file".to_owned()
            });
            Mistake::new(line, format!("there is no time zone `{name}`"), hint)
        };
        let defined = self.defined.get(name).ok_or_else(unknown)?;
        known(&defined.text("X-LIC-LOCATION")).or_else(|| ruled(defined)).ok_or_else(|| {
            let message = format!("the rules of the time zone `{name}` cannot be read");
            Mistake::new(defined.line, message, "name it as IANA does: `TZID=Asia/Seoul`")
        })
    }
}

/// A zone by its IANA or Windows name. Some programs write a path before it: `/citadel.org/20250101_1/Asia/Seoul`.
fn known(name: &str) -> Option<TimeZone> {
    let after_slashes = name.match_indices('/').map(|(at, _)| &name[at + 1..]);
    let mut names = std::iter::once(name).chain(after_slashes);
    names.find_map(|name| crate::zone::find(windows::iana(name).unwrap_or(name)).ok())
}

/// One change of the clocks that a definition describes.
struct Change<'a> {
    onset: DateTime,
    to: Offset,
    /// Recurs for good; `None`: it came once, or has ended.
    rule: Option<&'a str>,
    is_summer: bool,
}

/// The zone that the last rules of a definition describe: one offset for good, or two that change every year.
fn ruled(defined: &Component) -> Option<TimeZone> {
    let changes: Vec<Change<'_>> = defined.components.iter().map(change).collect::<Option<_>>()?;
    let lasting = |is_summer: bool| {
        let mine = changes.iter().filter(|change| change.rule.is_some() && change.is_summer == is_summer);
        mine.max_by_key(|change| change.onset)
    };
    match (lasting(false), lasting(true)) {
        (Some(winter), Some(summer)) => {
            let text = format!(
                "<WINTER>{}<SUMMER>{},{},{}",
                posix_offset(winter.to),
                posix_offset(summer.to),
                summer.posix()?,
                winter.posix()?
            );
            TimeZone::posix(&text).ok()
        }
        (None, None) => changes.iter().max_by_key(|change| change.onset).map(|last| last.to.to_time_zone()),
        _ => None,
    }
}

fn change(component: &Component) -> Option<Change<'_>> {
    let onset = civil(&component.find("DTSTART")?.value)?.0;
    let to = offset(&component.find("TZOFFSETTO")?.value)?;
    let rule = component.find("RRULE").map(|rule| rule.value.as_str());
    let rule = rule.filter(|rule| !rule.contains("UNTIL=") && !rule.contains("COUNT="));
    Some(Change { onset, to, rule, is_summer: component.name == "DAYLIGHT" })
}

impl Change<'_> {
    /// `M3.2.0/2`: the second Sunday of March at two, as POSIX writes it (XBD 8.3); the fifth is the last.
    fn posix(&self) -> Option<String> {
        let part = |name: &str| {
            let mut parts = self.rule?.split(';').filter_map(|part| part.split_once('='));
            parts.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let days = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"];
        let (nth, day) = part("BYDAY")?.split_at_checked(part("BYDAY")?.len().checked_sub(2)?)?;
        let week = match nth.parse::<i8>().ok()? {
            -1 => 5,
            nth @ 1..=4 => nth,
            _ => return None,
        };
        let day = days.iter().position(|known| *known == day)?;
        let month: u8 = part("BYMONTH")?.parse().ok()?;
        let at = self.onset.time();
        Some(format!("M{month}.{week}.{day}/{}:{:02}:{:02}", at.hour(), at.minute(), at.second()))
    }
}

/// `+0900`, `-033000`.
fn offset(text: &str) -> Option<Offset> {
    let (sign, digits) = text.split_at_checked(1)?;
    let part = |at: usize| digits.get(at..at + 2).and_then(|part| part.parse::<i32>().ok());
    let seconds = part(0)? * 3600 + part(2)? * 60 + part(4).unwrap_or(0);
    match sign {
        "+" => Offset::from_seconds(seconds).ok(),
        "-" => Offset::from_seconds(-seconds).ok(),
        _ => None,
    }
}

/// POSIX counts to the west.
fn posix_offset(offset: Offset) -> String {
    let west = -offset.seconds();
    let (sign, length) = (if west < 0 { "-" } else { "" }, west.unsigned_abs());
    format!("{sign}{}:{:02}:{:02}", length / 3600, length / 60 % 60, length % 60)
}
