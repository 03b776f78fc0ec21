//! Five fields, by `croner`: Sunday is 0 or 7, `L`, `W` and `#` are understood. Two day fields are joined as Vixie cron
//! does. Evaluated over civil times only.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{DateTime, date};

use super::Wrong;
use super::blame::{self, Field};
use super::shelf::Shelf;

thread_local! {
    static READ: RefCell<Shelf<Cron>> = const { RefCell::new(Shelf::new()) };
}

/// The fields, and what each is where another one is looked at.
const FIELDS: [(Field, &str); 5] = [
    (Field::new("minute", 0, 59), "*"),
    (Field::new("hour", 0, 23), "*"),
    (Field::new("day of month", 1, 31), "*"),
    (Field::new("month", 1, 12), "*"),
    (Field::new("day of week", 0, 7), "*"),
];

/// Looks at five fields.
pub(super) fn check(text: &str) -> Result<(), Wrong> {
    let cron = parsed(text).map_err(|error| {
        let why = blame::field(text, &FIELDS, |alone| parsed(alone).map(drop).map_err(|error| said(&error)));
        Wrong::new(
            format!("`{text}` is no cron expression: {}", why.unwrap_or_else(|| said(&error))),
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

/// Its own part of what the crate says.
fn said(error: &CronError) -> String {
    let why = error.to_string();
    decapitalised(why.split_once(": ").map_or(why.as_str(), |(_, why)| why).trim_end_matches('.'))
}

fn parsed(text: &str) -> Result<Cron, CronError> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed);
    parser.dom_and_dow(has_star_day(text)).build().parse(text)
}

/// In Vixie cron a day has to be in both day fields where one of them begins with a star, also with a step (`*/7`); else
/// either is enough (crontab(5), and `DOM_STAR` and `DOW_STAR` in its source).
fn has_star_day(text: &str) -> bool {
    let mut fields = text.split_ascii_whitespace().enumerate();
    fields.any(|(at, field)| matches!(at, 2 | 4) && field.starts_with('*'))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_fields_are_joined_as_vixie_cron_joins_them() {
        let table = [
            ("0 0 13 * 5", [(11, 6), (11, 13), (11, 20)]),
            ("0 0 1-7 * */7", [(12, 6), (1, 3), (2, 7)]),
            ("0 0 */2 * 1", [(11, 9), (11, 23), (12, 7)]),
            ("0 0 * * 1", [(11, 2), (11, 9), (11, 16)]),
            ("0 0 1 * *", [(12, 1), (1, 1), (2, 1)]),
        ];
        for (text, days) in table {
            let fields: Arc<str> = text.into();
            let mut at = date(2026, 11, 1).at(0, 0, 1, 0);
            for day in days {
                at = next(&fields, at).unwrap();
                assert_eq!((at.month(), at.day()), day, "{text}");
                at = at.date().at(0, 0, 1, 0);
            }
        }
    }
}
