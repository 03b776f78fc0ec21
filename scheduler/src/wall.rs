//! The clock on the wall as crates of other clocks want it: a time of `chrono` that claims to be UTC, so that they never
//! meet daylight saving.

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use jiff::civil::DateTime;

/// For them.
pub(crate) fn naive(at: DateTime) -> Option<NaiveDateTime> {
    let part = |number: i8| u32::try_from(number).unwrap_or(0);
    NaiveDate::from_ymd_opt(i32::from(at.year()), part(at.month()), part(at.day()))?.and_hms_nano_opt(
        part(at.hour()),
        part(at.minute()),
        part(at.second()),
        u32::try_from(at.subsec_nanosecond()).unwrap_or(0),
    )
}

/// From them, to the second.
pub(crate) fn civil(at: NaiveDateTime) -> Option<DateTime> {
    let part = |number: u32| i8::try_from(number).unwrap_or(0);
    let year = i16::try_from(at.year()).ok()?;
    let (month, day) = (part(at.month()), part(at.day()));
    DateTime::new(year, month, day, part(at.hour()), part(at.minute()), part(at.second()), 0).ok()
}
