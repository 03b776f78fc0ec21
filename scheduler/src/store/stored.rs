//! Records as columns, and from there back to records: the same for every store.

use std::collections::BTreeMap;

use aegis_engine::journal::Verdict;
use jiff::Timestamp;
use serde_json::Value;

use crate::record::{Outcome, Record, Why};

/// An outcome as columns.
pub(super) struct Stored<'a> {
    pub(super) outcome: &'static str,
    pub(super) run: Option<&'a str>,
    pub(super) verdict: Option<&'static str>,
    pub(super) why: Option<&'static str>,
}

impl<'a> Stored<'a> {
    pub(super) fn of(outcome: &'a Outcome) -> Self {
        let none = Self { outcome: "waiting", run: None, verdict: None, why: None };
        match outcome {
            Outcome::Started { run, verdict } => {
                Self { outcome: "started", run: Some(run), verdict: verdict.map(word), ..none }
            }
            Outcome::Waiting => none,
            Outcome::NotStarted { why } => Self { outcome: "not-started", why: Some(why.word()), ..none },
        }
    }
}

pub(super) const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Succeeded => "succeeded",
        Verdict::Failed => "failed",
        Verdict::Cancelled => "cancelled",
    }
}

/// Years 1678 to 2261 fit; no schedule reaches beyond.
pub(super) fn nanoseconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(if at < Timestamp::UNIX_EPOCH { i64::MIN } else { i64::MAX })
}

/// A time from now on, as it is kept.
pub(super) fn after(now: Timestamp, length: std::time::Duration) -> i64 {
    nanoseconds(now.checked_add(length).unwrap_or(Timestamp::MAX))
}

pub(super) fn instant(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::MAX)
}

/// Columns as an outcome.
pub(super) fn outcome_of(
    outcome: &str,
    run: Option<String>,
    verdict: Option<&str>,
    why: Option<&str>,
) -> Outcome {
    let verdicts = [Verdict::Succeeded, Verdict::Failed, Verdict::Cancelled];
    let verdict = verdict.and_then(|text| verdicts.into_iter().find(|known| word(*known) == text));
    let why = why.and_then(|text| Why::ALL.into_iter().find(|known| known.word() == text));
    match outcome {
        "started" => Outcome::Started { run: run.unwrap_or_default(), verdict },
        "waiting" => Outcome::Waiting,
        _ => Outcome::NotStarted { why: why.unwrap_or(Why::Refused) },
    }
}

/// Parameters from an event as a column; nothing for instants.
pub(super) fn given_of(record: &Record) -> Option<String> {
    (!record.given.is_empty()).then(|| serde_json::to_string(&record.given).unwrap_or_default())
}

/// The column as parameters.
pub(super) fn given(text: Option<String>) -> BTreeMap<String, Value> {
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}
