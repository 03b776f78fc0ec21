//! What a person reads: a table of scenarios, differences as a diff, and the page of the reference.

use std::fmt::Write;

use regex::Regex;
use serde_json::Value;

use crate::compare::Difference;
use crate::known::KNOWN;
use crate::replay::{Outcome, Scenario};

/// Longer values are cut when a person did not ask for one line.
const WIDTH: usize = 240;
/// More differences of one line are counted only.
const DIFFERENCES: usize = 12;

/// What of the differences is shown.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Only the table.
    pub summary: bool,
    /// Only this line, in full.
    pub seq: Option<u64>,
    /// Also lines that are equal, by name.
    pub equal: bool,
}

/// What differs in a scenario, line by line.
pub fn differences(scenario: &Scenario, shown: &Shown) -> String {
    let outcomes = scenario.outcomes.iter().filter(|outcome| !shown.summary && is_shown(outcome, shown));
    outcomes.map(|outcome| line(outcome, shown)).collect()
}

fn is_shown(outcome: &Outcome, shown: &Shown) -> bool {
    match shown.seq {
        Some(seq) => outcome.seq == seq,
        None => shown.equal || !outcome.differences.is_empty(),
    }
}

fn line(outcome: &Outcome, shown: &Shown) -> String {
    let mut out = format!("{} {}\n      {}\n", outcome.seq, outcome.request, outcome.step);
    if let Some(reason) = reason(outcome) {
        let _ = writeln!(out, "      known: {reason}");
    }
    let most = if shown.seq.is_some() { usize::MAX } else { DIFFERENCES };
    for difference in outcome.differences.iter().take(most) {
        let _ = writeln!(out, "    @ {}", difference.place);
        for (sign, value) in [('-', &difference.recorded), ('+', &difference.here)] {
            if let Some(value) = value {
                let _ = writeln!(out, "    {sign} {}", text(value, shown.seq.is_some()));
            }
        }
    }
    let more = outcome.differences.len().saturating_sub(most);
    if more > 0 {
        let _ = writeln!(out, "      and {more} more");
    }
    out
}

fn text(value: &Value, whole: bool) -> String {
    let text = value.to_string();
    match (whole, text.char_indices().nth(WIDTH)) {
        (false, Some((end, _))) => format!("{}...", &text[..end]),
        _ => text,
    }
}

/// How many lines of each scenario are equal.
pub fn table(scenarios: &[Scenario]) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{:<18} {:>6} {:>6} {:>8}", "scenario", "equal", "total", "%");
    for scenario in scenarios {
        let _ = writeln!(
            out,
            "{:<18} {:>6} {:>6} {:>8.1}",
            scenario.name,
            scenario.equal(),
            scenario.outcomes.len(),
            scenario.percent()
        );
    }
    let (equal, total) = totals(scenarios);
    let _ = writeln!(
        out,
        "{:<18} {equal:>6} {total:>6} {:>8.1}",
        "all",
        100.0 * equal as f64 / total.max(1) as f64
    );
    out
}

fn totals(scenarios: &[Scenario]) -> (usize, usize) {
    let equal = scenarios.iter().map(Scenario::equal).sum();
    (equal, scenarios.iter().map(|scenario| scenario.outcomes.len()).sum())
}

/// Why a line differs, when each of its differences is explained.
fn reason(outcome: &Outcome) -> Option<&'static str> {
    let reasons: Option<Vec<&str>> =
        outcome.differences.iter().map(|difference| reason_of(outcome, difference)).collect();
    reasons?.first().copied()
}

fn reason_of(outcome: &Outcome, difference: &Difference) -> Option<&'static str> {
    let value = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
    let text = format!(
        "{} {} {} {}",
        outcome.request,
        difference.place,
        value(&difference.recorded),
        value(&difference.here)
    );
    let fits = |pattern: &str| Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(&text));
    KNOWN.iter().find(|known| fits(known.pattern)).map(|known| known.reason)
}

/// The page of the reference: numbers, and every line that differs with its reason.
pub fn page(scenarios: &[Scenario]) -> String {
    let mut out = String::from(
        "# Conformance\n\nWritten by `just conformance --page`: how the sandbox answers recorded requests, held against what a real\n\
         API server answered. The recordings' own rules say what may differ (uids, times, addresses, generated names,\n\
         the node picked, the order of lists and causes, what their played kubelet wrote, reads of what a controller is\n\
         changing). Beyond them the comparison allows what is plainly chance or time:\n\n\
         - of objects on a page, or selected by their node, those with generated names: which come first is drawn;\n\
         - the order of the endpoints of a Service, which the real controllers write in none;\n\
         - the moment since when endpoints are as they are: it is told when the second turned between two states of a pod;\n\
         - how often an Event was repeated, once it was: a loop says it as often as it had time;\n\
         - status and what controllers own of an object that says itself that it is under way (pods that stop or start,\n  \
           runs that are not over), or that was read unfinished within a second of a client's change; only once waiting\n  \
           for what was recorded has not helped;\n\
         - objects of the build that was recorded, named after OpenShift;\n\
         - the host and address by which an API server names itself.\n\n",
    );
    let _ = writeln!(out, "```text\n{}```\n", table(scenarios));
    out.push_str("## What differs\n\n| line | request | place | why |\n|---|---|---|---|\n");
    for outcome in scenarios.iter().flat_map(|scenario| &scenario.outcomes) {
        let Some(first) = outcome.differences.first() else { continue };
        let why = reason(outcome).unwrap_or("open");
        let _ = writeln!(
            out,
            "| {} | `{}` | `{}` | {why} |",
            outcome.seq,
            outcome.request.replace('|', "\\|"),
            first.place
        );
    }
    out
}
