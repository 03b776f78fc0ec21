//! Six or seven fields, by the `cron` crate: seconds first, an optional year last, Sunday is 1, both day fields must
//! match. It is given UTC as a stand-in for the clock on the wall, so that it never meets daylight saving.

use std::cell::RefCell;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{TimeZone, Utc};
use cron::{Schedule, TimeUnitSpec};
use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

use super::Wrong;
use super::blame::{self, Field};
use super::shelf::Shelf;
use crate::wall::{civil, naive};

thread_local! {
    static READ: RefCell<Shelf<Schedule>> = const { RefCell::new(Shelf::new()) };
}

/// The fields, and what each is where another one is looked at. Years are those of the crate.
const FIELDS: [(Field, &str); 7] = [
    (Field::new("second", 0, 59), "*"),
    (Field::new("minute", 0, 59), "*"),
    (Field::new("hour", 0, 23), "*"),
    (Field::new("day of month", 1, 31), "*"),
    (Field::new("month", 1, 12), "*"),
    (Field::new("day of week", 1, 7), "*"),
    (Field::new("year", 1970, 2100), "*"),
];

/// The first line of what the crate says.
fn said(error: &cron::error::Error) -> String {
    let why = error.to_string();
    why.lines().next().unwrap_or_default().trim_end_matches('.').to_lowercase()
}

/// Looks at six or seven fields.
pub(super) fn check(text: &str) -> Result<(), Wrong> {
    let cron = Schedule::from_str(text).map_err(|error| {
        let read = |alone: &str| Schedule::from_str(alone).map(drop).map_err(|error| said(&error));
        let why = blame::field(text, &FIELDS, read).unwrap_or_else(|| said(&error));
        Wrong::new(
            format!("`{text}` is no cron expression with seconds: {why}"),
            "fields are second, minute, hour, day of month, month, day of week (Sunday is 1, Saturday 7) and year; \
             `L`, `W` and `#` work in five fields only",
        )
    })?;
    match following(&cron, date(1970, 1, 1).at(0, 0, 0, 0)) {
        Some(_) => Ok(()),
        None => Err(Wrong::new(
            format!("the time `{text}` never comes"),
            "look at its day of month, month and year",
        )),
    }
}

fn recalled(fields: &Arc<str>) -> Option<Rc<Schedule>> {
    READ.with_borrow_mut(|shelf| shelf.get(fields, |text| Schedule::from_str(text).ok()))
}

pub(super) fn next(fields: &Arc<str>, from: DateTime) -> Option<DateTime> {
    following(&*recalled(fields)?, from)
}

fn following(cron: &Schedule, from: DateTime) -> Option<DateTime> {
    // `after` is exclusive, and so is a moment before a whole second.
    let before = from.checked_sub(SignedDuration::from_nanos(1)).ok()?;
    let next = cron.after(&Utc.from_utc_datetime(&naive(before)?)).next()?;
    civil(next.naive_utc())
}

pub(super) fn is_hourly(fields: &Arc<str>) -> bool {
    recalled(fields).is_some_and(|cron| cron.hours().is_all())
}
