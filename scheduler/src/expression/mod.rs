//! What may stand for "when": read from one text, evaluated on the clock on the wall alone.
//!
//! | text | means |
//! |---|---|
//! | `30 2 * * 1-5` | five fields: Vixie cron (`vixie`) |
//! | `0 30 2 ? * MON-FRI`, with a year `... 2027` | six or seven fields: Quartz-style (`quartz`) |
//! | `@daily`, `@hourly`, ... | the usual short names |
//! | `every 15m` | an interval of elapsed time |
//! | `2026-12-24T18:00` | once, by the clock on the wall; with `Z` or an offset: that instant |
//!
//! Daylight saving is not here: [`crate::instants`] maps the clock on the wall to instants.

mod blame;
mod quartz;
mod shelf;
mod vixie;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aegis_engine::Period;
use aegis_engine::text::did_you_mean;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

/// What is wrong with a text, for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// One lower-case sentence.
    pub message: String,
    /// One line of advice.
    pub hint: Option<String>,
}

impl Wrong {
    /// With a line of advice.
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

/// When, as read from a text.
#[derive(Debug)]
pub struct Expression {
    text: Arc<str>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// Five fields, as they were written or as a short name stands for them.
    Vixie(Arc<str>),
    /// Six or seven.
    Quartz(Arc<str>),
    Every(Duration),
    Once(DateTime),
    At(Timestamp),
    Event,
}

/// The short names, as five fields. `@reboot` is none: it is no time.
const NAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

const FORMS: &str = "write five fields (`30 2 * * *`), six or seven with seconds and year (`0 30 2 * * ?`), `@daily`, \
                     `every 15m`, or one time (`2026-12-24T18:00`)";

impl Expression {
    /// Reads a text.
    ///
    /// # Errors
    /// When it is none of the forms, or names a time that never comes (the 30th of February).
    pub fn read(text: &str) -> Result<Self, Wrong> {
        let text: Arc<str> = text.trim().into();
        let form = Form::read(&text)?;
        Ok(Self { text, form })
    }

    /// What comes from outside: it has no time.
    #[must_use]
    pub fn event(source: &str) -> Self {
        Self { text: format!("on {source}").into(), form: Form::Event }
    }

    /// True for what comes from outside.
    #[must_use]
    pub const fn is_event(&self) -> bool {
        matches!(self.form, Form::Event)
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The rules it was read by, in a few words for people.
    #[must_use]
    pub const fn rules(&self) -> &'static str {
        match self.form {
            Form::Vixie(_) => {
                "five fields: minute hour day-of-month month day-of-week; Sunday is 0 or 7, Monday 1; a day matches when \
                 either of two restricted day fields does, or both where one begins with a star"
            }
            Form::Quartz(_) => {
                "six or seven fields: second minute hour day-of-month month day-of-week [year]; Sunday is 1, Monday 2; a \
                 day matches when both day fields do"
            }
            Form::Every(_) => "elapsed time, whatever clocks do",
            Form::Once(_) => "once, by the clock on the wall",
            Form::At(_) => "once, at that instant",
            Form::Event => "when something happens",
        }
    }

    /// The length of an interval.
    #[must_use]
    pub const fn interval(&self) -> Option<Duration> {
        match self.form {
            Form::Every(length) => Some(length),
            _ => None,
        }
    }

    /// The instant of one that names its own.
    #[must_use]
    pub const fn instant(&self) -> Option<Timestamp> {
        match self.form {
            Form::At(instant) => Some(instant),
            _ => None,
        }
    }

    /// True for what recurs by the clock on the wall.
    #[must_use]
    pub const fn is_cron(&self) -> bool {
        matches!(self.form, Form::Vixie(_) | Form::Quartz(_))
    }

    /// True for one time by the clock on the wall.
    #[must_use]
    pub const fn is_once(&self) -> bool {
        matches!(self.form, Form::Once(_))
    }

    /// True for what names its years, and may be over.
    #[must_use]
    pub fn has_years(&self) -> bool {
        matches!(&self.form, Form::Quartz(fields) if fields.split_whitespace().count() == 7)
    }

    /// True for what runs in every hour of its days: such a schedule must not stop for a doubled hour.
    #[must_use]
    pub fn is_hourly(&self) -> bool {
        match &self.form {
            Form::Vixie(fields) => vixie::is_hourly(fields),
            Form::Quartz(fields) => quartz::is_hourly(fields),
            Form::Every(_) | Form::Once(_) | Form::At(_) | Form::Event => false,
        }
    }

    /// The first time on the wall at or after another.
    #[must_use]
    pub fn on_the_wall(&self, from: DateTime) -> Option<DateTime> {
        match &self.form {
            Form::Vixie(fields) => vixie::next(fields, from),
            Form::Quartz(fields) => quartz::next(fields, from),
            Form::Once(at) => Some(*at).filter(|at| *at >= from),
            Form::Every(_) | Form::At(_) | Form::Event => None,
        }
    }
}

impl Form {
    fn read(text: &Arc<str>) -> Result<Self, Wrong> {
        if let Some(name) = text.strip_prefix('@') {
            return named(name);
        }
        if let Some(length) = text.strip_prefix("every ") {
            return every(length);
        }
        if let Some(once) = once(text) {
            return Ok(once);
        }
        if text.get(..10).is_some_and(is_dated) {
            let hint = "look at its month, its day and its time, like `2026-12-24T18:00`";
            return Err(Wrong::new(format!("`{text}` is on no calendar: it never comes"), hint));
        }
        match text.split_whitespace().count() {
            5 => vixie::check(text).map(|()| Self::Vixie(Arc::clone(text))),
            6 | 7 => quartz::check(text).map(|()| Self::Quartz(Arc::clone(text))),
            count if text.starts_with(|c: char| c == '*' || c.is_ascii_digit()) => {
                let fields = aegis_engine::text::count(count, "field");
                Err(Wrong::new(format!("`{text}` says no time: it has {fields}"), FORMS))
            }
            _ => Err(Wrong::new(format!("`{text}` says no time"), FORMS)),
        }
    }
}

fn named(name: &str) -> Result<Form, Wrong> {
    let whole = format!("@{}", name.to_lowercase());
    let known = NAMES.iter().find(|(known, _)| *known == whole);
    let names = NAMES.map(|(known, _)| known);
    let fields = known.ok_or_else(|| {
        let hint = did_you_mean(&whole, names)
            .unwrap_or_else(|| format!("names are {}", aegis_engine::text::list(&names)));
        Wrong::new(format!("`{whole}` says no time"), hint)
    })?;
    vixie::check(fields.1).map(|()| Form::Vixie(fields.1.into()))
}

fn every(length: &str) -> Result<Form, Wrong> {
    let hint = "write `every 30s`, `every 15m` or `every 36h`";
    let period: Period = length.trim().parse().map_err(|why| Wrong::new(why, hint))?;
    if period.0 < Duration::from_secs(1) {
        return Err(Wrong::new("an interval is one second or longer", hint));
    }
    Ok(Form::Every(period.0))
}

/// Whether it is written like a date, be it one or not.
fn is_dated(text: &str) -> bool {
    let fits = |(at, c): (usize, char)| if matches!(at, 4 | 7) { c == '-' } else { c.is_ascii_digit() };
    text.char_indices().all(fits)
}

/// A date, a date with a time, or an instant.
fn once(text: &str) -> Option<Form> {
    let dated = text.get(..10).is_some_and(|date| date.parse::<Date>().is_ok());
    if !dated {
        return None;
    }
    let instant = text.parse::<Timestamp>().map(Form::At);
    instant.or_else(|_| text.parse::<DateTime>().map(Form::Once)).ok()
}

/// Expressions by their text: of 100,000 schedules few are written differently, and each is read once.
#[derive(Debug, Default)]
pub struct Expressions {
    known: HashMap<Arc<str>, Arc<Expression>>,
}

impl Expressions {
    /// The expression of a text, read once.
    ///
    /// # Errors
    /// As [`Expression::read`].
    pub fn read(&mut self, text: &str) -> Result<Arc<Expression>, Wrong> {
        if let Some(known) = self.known.get(text) {
            return Ok(Arc::clone(known));
        }
        let read = Arc::new(Expression::read(text)?);
        self.known.insert(Arc::clone(&read.text), Arc::clone(&read));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(text: &str, from: &str, count: usize) -> Vec<String> {
        let expression = Expression::read(text).unwrap();
        let mut at: DateTime = from.parse().unwrap();
        let mut found = Vec::new();
        for _ in 0..count {
            let Some(next) = expression.on_the_wall(at) else { break };
            found.push(next.to_string());
            at = next.checked_add(jiff::SignedDuration::from_secs(1)).unwrap();
        }
        found
    }

    fn wrong(text: &str) -> String {
        let wrong = Expression::read(text).unwrap_err();
        format!("{} ({})", wrong.message, wrong.hint.unwrap_or_default())
    }

    #[test]
    fn five_fields_are_vixie_cron_with_sunday_as_0_and_7() {
        assert_eq!(wall("0 2 * * 0", "2026-11-23T00:00:00", 1), ["2026-11-29T02:00:00"]);
        assert_eq!(wall("0 2 * * 7", "2026-11-23T00:00:00", 1), ["2026-11-29T02:00:00"]);
        assert_eq!(
            wall("0 9 1 * 1", "2026-11-24T00:00:00", 2),
            ["2026-11-30T09:00:00", "2026-12-01T09:00:00"]
        );
        assert_eq!(wall("0 2 * * 0", "2026-11-29T02:00:00", 1), ["2026-11-29T02:00:00"]);
        assert_eq!(wall("0 2 * * 0", "2026-11-29T02:00:00.5", 1), ["2026-12-06T02:00:00"]);
    }

    #[test]
    fn six_fields_begin_with_seconds_and_sunday_is_1() {
        assert_eq!(wall("0 0 2 ? * 1", "2026-11-23T00:00:00", 1), ["2026-11-29T02:00:00"]);
        assert_eq!(wall("30 0 2 ? * SUN 2027", "2026-11-23T00:00:00", 1), ["2027-01-03T02:00:30"]);
        assert_eq!(wall("0 0 2 ? * SUN 2020", "2026-11-23T00:00:00", 1), Vec::<String>::new());
    }

    #[test]
    fn what_never_comes_is_refused_and_so_is_what_says_no_time() {
        assert!(wrong("0 0 30 2 *").contains("never comes"), "{}", wrong("0 0 30 2 *"));
        assert!(wrong("0 0 0 30 2 ?").contains("never comes"), "{}", wrong("0 0 0 30 2 ?"));
        assert!(wrong("@dialy").contains("did you mean `@daily`?"));
        assert!(wrong("61 * * * *").contains("61 * * * *"));
        for (text, why) in [
            ("61 * * * *", "minute: 61 is not within 0-59"),
            ("0 25 * * *", "hour: 25 is not within 0-23"),
            ("0 0 32 * *", "day of month: 32 is not within 1-31"),
            ("0 0 1 13 *", "month: 13 is not within 1-12"),
            ("0 0 * * 8", "day of week: 8 is not within 0-7"),
            ("0 22-2 * * *", "hour: `22-2` ends before it begins"),
            ("0 0 * * FOO", "day of week: `FOO` is not understood"),
            ("0 x * * *", "hour: `x` is not understood"),
            ("*/0 * * * *", "minute: `*/0` is not understood"),
            ("60 0 2 ? * SUN", "second: 60 is not within 0-59"),
            ("0 0 24 ? * SUN", "hour: 24 is not within 0-23"),
            ("0 0 2 ? * 0", "day of week: 0 is not within 1-7"),
            ("0 0 2 ? * SUN 3000", "year: 3000 is not within 1970-2100"),
            ("0 0 2 ? * SUNNY", "day of week: `SUNNY` is not understood"),
        ] {
            assert!(wrong(text).contains(&format!(": {why}")), "{text}: {}", wrong(text));
        }
        assert!(wrong("0 0 2 ? * 0").contains("Sunday is 1"), "{}", wrong("0 0 2 ? * 0"));
        assert!(wrong("tomorrow").contains("says no time"));
        assert!(wrong("every 0s").contains("one second"));
        assert!(wrong("2027-02-30T10:00").contains("is on no calendar: it never comes"));
        assert!(wrong("2027-02-28T24:30").contains("look at its month, its day and its time"));
        assert!(wrong("0 2 * *").contains("it has 4 fields (write five fields"));
    }

    #[test]
    fn one_time_is_by_the_wall_or_an_instant() {
        assert_eq!(wall("2026-12-24T18:00", "2026-11-23T00:00:00", 2), ["2026-12-24T18:00:00"]);
        let instant = Expression::read("2026-12-24T18:00:00+09:00").unwrap().instant();
        assert_eq!(instant.unwrap().to_string(), "2026-12-24T09:00:00Z");
    }
}
