//! A schedule or trigger as far as its keys have been read: nothing is looked up yet, and what is not said has no default
//! yet. `schedules` completes it.

use std::sync::Arc;
use std::time::Duration;

use aegis_engine::diagnostic::Place;
use aegis_engine::runbook::{Notify, Shape, Written};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::coming::{Key, Time, contradiction};
use super::fields::{Fields, Style};
use crate::expression::{Expression, Expressions};
use crate::schedule::{Doubled, Missed, Overlap, Policy, Skipped};

/// How late a missed run is still started when a schedule does not say.
const CATCH_UP: Duration = Duration::from_secs(3600);

/// The keys of a schedule.
pub(super) const KEYS: &[&str] = &[
    "runbook",
    "when",
    "zone",
    "target",
    "params",
    "jitter",
    "overlap",
    "missed",
    "catch-up",
    "skipped-hour",
    "doubled-hour",
    "from",
    "until",
    "paused",
    "pause-after-failures",
    "notify",
    "group",
    "priority",
];

/// What a schedule or trigger says.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) runbook: Option<(String, Option<Place>)>,
    /// Whether it says when, rightly or wrongly.
    pub(super) says_when: bool,
    pub(super) when: Option<Arc<Expression>>,
    pub(super) when_at: Option<Place>,
    /// Parameters that events will give, and where that is written.
    pub(super) filled: Vec<(String, Option<Place>)>,
    /// Keys that only triggers have.
    pub(super) others: Vec<(&'static str, Written)>,
    pub(super) zone: Option<TimeZone>,
    pub(super) target: Option<(String, Option<Place>)>,
    pub(super) params: Option<Written>,
    pub(super) paused: Option<String>,
    pub(super) from: Option<Written>,
    pub(super) until: Option<Written>,
    pub(super) jitter: Option<Duration>,
    pub(super) overlap: Option<Overlap>,
    pub(super) missed: Option<Missed>,
    pub(super) catch_up: Option<Duration>,
    pub(super) skipped: Option<Skipped>,
    pub(super) doubled: Option<Doubled>,
    pub(super) pause_after: Option<u32>,
    pub(super) notify: Option<(Notify, Option<Place>)>,
    pub(super) group: Option<String>,
    pub(super) priority: Option<i32>,
}

/// Reads the keys of one schedule.
pub(super) fn drafted(
    what: &str,
    written: &Written,
    known: &[&'static str],
    expressions: &mut Expressions,
    fields: &mut Fields,
) -> Draft {
    let mut draft = Draft::default();
    let header = fields.style == Style::Header;
    let known: Vec<&'static str> =
        known.iter().copied().filter(|key| !(header && *key == "runbook")).collect();
    for (key, (_, _, value)) in fields.table(written, what, &known) {
        match key {
            "runbook" => draft.runbook = fields.text(value).map(|path| (path, value.place.clone())),
            "when" => {
                draft.says_when = true;
                draft.when = when(value, expressions, fields);
                draft.when_at = value.place.clone();
            }
            "zone" => draft.zone = fields.zone(value),
            "target" => draft.target = fields.text(value).map(|target| (target, value.place.clone())),
            "params" => draft.params = Some(value.clone()),
            "jitter" => draft.jitter = fields.length(value),
            "overlap" => draft.overlap = fields.word(value, Overlap::WORDS),
            "missed" => draft.missed = fields.word(value, Missed::WORDS),
            "catch-up" => draft.catch_up = fields.length(value),
            "skipped-hour" => draft.skipped = fields.word(value, Skipped::WORDS),
            "doubled-hour" => draft.doubled = fields.word(value, Doubled::WORDS),
            "from" => draft.from = Some(value.clone()),
            "until" => draft.until = Some(value.clone()),
            "paused" => draft.paused = fields.reason(value),
            "pause-after-failures" => draft.pause_after = fields.number(value, 1..=u32::MAX),
            "notify" => draft.notify = fields.notify(value).map(|notify| (notify, value.place.clone())),
            "group" => draft.group = fields.text(value),
            "priority" => draft.priority = fields.number(value, i32::MIN..=i32::MAX),
            _ => draft.others.push((key, value.clone())),
        }
    }
    draft
}

fn when(value: &Written, expressions: &mut Expressions, fields: &mut Fields) -> Option<Arc<Expression>> {
    let text = fields.text(value)?;
    expressions.read(&text).map_err(|wrong| fields.wrong(&value.place, wrong)).ok()
}

impl Draft {
    /// Its first instant and its end, by the clocks of a zone.
    pub(super) fn bounds(
        &self,
        zone: &TimeZone,
        fields: &mut Fields,
    ) -> (Option<Timestamp>, Option<Timestamp>) {
        let mut instant = |value: &Option<Written>| fields.instant(value.as_ref()?, zone);
        (instant(&self.from), instant(&self.until))
    }

    /// Refuses what never comes, whatever the clock says or by `now`.
    pub(super) fn refuse_contradiction(
        &self,
        zone: &TimeZone,
        (from, until): (Option<Timestamp>, Option<Timestamp>),
        now: Option<Timestamp>,
        fields: &mut Fields,
    ) {
        let Some(when) = &self.when else { return };
        if let Some((key, wrong)) =
            contradiction(Time { when, zone, from, until, skipped: self.skipped.unwrap_or_default() }, now)
        {
            let until = self.until.as_ref().and_then(|until| until.place.clone());
            fields.wrong(&if key == Key::Until { until } else { self.when_at.clone() }, wrong);
        }
    }
}

/// What is declared, and what stands where nothing is.
pub(super) fn policy(draft: &Draft, when: &Expression) -> Policy {
    let missed = draft.missed.unwrap_or_default();
    // Who wants all of them does not want all but the first to be in each other's way.
    // Two events are two things, and neither waits for the other.
    let overlap = match missed {
        _ if when.is_event() => Overlap::Allow,
        Missed::All => Overlap::BufferAll,
        _ => Overlap::Skip,
    };
    let doubled = if when.is_hourly() { Doubled::Both } else { Doubled::First };
    Policy {
        from: None,
        until: None,
        overlap: draft.overlap.unwrap_or(overlap),
        missed,
        catch_up: draft.catch_up.unwrap_or(CATCH_UP),
        jitter: draft.jitter.unwrap_or_default(),
        skipped: draft.skipped.unwrap_or_default(),
        doubled: draft.doubled.unwrap_or(doubled),
        pause_after: draft.pause_after,
        priority: draft.priority.unwrap_or_default(),
    }
}

/// `schedule: "0 2 * * *"` is short for `schedule: #{ when: "0 2 * * *" }`.
pub(super) fn as_table(written: &Written) -> Written {
    match &written.shape {
        Shape::Map(_) => written.clone(),
        _ => {
            let entry = ("when".to_owned(), written.place.clone(), written.clone());
            Written { place: written.place.clone(), shape: Shape::Map(vec![entry]) }
        }
    }
}
