//! Six or seven fields, by the `cron` crate: seconds first, an optional year last, Sunday is 1, both day fields must
//! match. It is given UTC as a stand-in for the clock on the wall, so that it never meets daylight saving.

use std::cell::RefCell;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate, NaiveDateTime, TimeZone, Timelike, Utc};
use cron::{Schedule, TimeUnitSpec};
use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

use super::Wrong;
use super::shelf::Shelf;

thread_local! {
    static READ: RefCell<Shelf<Schedule>> = const { RefCell::new(Shelf::new()) };
}

/// Looks at six or seven fields.
pub(super) fn check(text: &str) -> Result<(), Wrong> {
    let cron = Schedule::from_str(text).map_err(|error| {
        let why = error.to_string();
        let why = why.lines().next().unwrap_or_default().trim_end_matches('.').to_lowercase();
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

fn naive(at: DateTime) -> Option<NaiveDateTime> {
    let part = |number: i8| u32::try_from(number).unwrap_or(0);
    NaiveDate::from_ymd_opt(i32::from(at.year()), part(at.month()), part(at.day()))?.and_hms_nano_opt(
        part(at.hour()),
        part(at.minute()),
        part(at.second()),
        u32::try_from(at.subsec_nanosecond()).unwrap_or(0),
    )
}

fn civil(at: NaiveDateTime) -> Option<DateTime> {
    let part = |number: u32| i8::try_from(number).unwrap_or(0);
    let year = i16::try_from(at.year()).ok()?;
    DateTime::new(
        year,
        part(at.month()),
        part(at.day()),
        part(at.hour()),
        part(at.minute()),
        part(at.second()),
        0,
    )
    .ok()
}
