//! Five fields, by `croner` with its defaults: Sunday is 0 or 7, two restricted day fields are joined by "or",
//! `L`, `W` and `#` are understood. Evaluated over civil times only.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{DateTime, date};

use super::Wrong;
use super::shelf::Shelf;

thread_local! {
    static READ: RefCell<Shelf<Cron>> = const { RefCell::new(Shelf::new()) };
}

/// Looks at five fields.
pub(super) fn check(text: &str) -> Result<(), Wrong> {
    let cron = parsed(text).map_err(|error| {
        let why = error.to_string();
        let why = why.split_once(": ").map_or(why.as_str(), |(_, why)| why).trim_end_matches('.');
        Wrong::new(
            format!("`{text}` is no cron expression: {}", decapitalised(why)),
            "five fields are minute, hour, day of month, month and day of week (0 or 7 is Sunday)",
        )
    })?;
    // Every day of the calendar comes within 28 years, the 29th of February on a Monday too.
    match following(&cron, date(2000, 1, 1).at(0, 0, 0, 0)) {
        Some(at) if at.year() <= 2040 => Ok(()),
        _ => Err(Wrong::new(
            format!("the time `{text}` never comes"),
            "look at its day of month and its month",
        )),
    }
}

fn parsed(text: &str) -> Result<Cron, CronError> {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build().parse(text)
}

fn recalled(fields: &Arc<str>) -> Option<Rc<Cron>> {
    READ.with_borrow_mut(|shelf| shelf.get(fields, |text| parsed(text).ok()))
}

pub(super) fn next(fields: &Arc<str>, from: DateTime) -> Option<DateTime> {
    following(&*recalled(fields)?, from)
}

fn following(cron: &Cron, from: DateTime) -> Option<DateTime> {
    let whole = from.with().subsec_nanosecond(0).build().ok()?;
    cron.find_next_occurrence(&whole, whole == from).ok()
}

pub(super) fn is_hourly(fields: &Arc<str>) -> bool {
    recalled(fields).is_some_and(|cron| (0..24).all(|hour| cron.pattern.hour_match(hour).unwrap_or(false)))
}

fn decapitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
