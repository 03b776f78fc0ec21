//! A run as plain lines: one when something begins or ends, indented by its depth. For logs and pipes; data
//! would go to stdout, so this talks on stderr.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aegis_engine::journal::{Body, Entry, Outcome, Wait};
use aegis_engine::run::Event;
use aegis_engine::text::printable;

use super::say;

/// Characters of one line of a view.
const LONGEST: usize = 4000;

/// What a reader has to remember between events.
#[derive(Default)]
pub(crate) struct Plain {
    calls: Mutex<BTreeMap<String, Shown>>,
}

struct Shown {
    label: String,
    effect: bool,
}

impl Plain {
    /// Remembers what earlier processes recorded, and shows nothing.
    pub(crate) fn know(&self, entries: &[Entry]) {
        for entry in entries {
            let _ = self.line(&entry.body);
        }
    }

    /// Shows one event.
    pub(crate) fn show(&self, event: &Event) {
        let Event::Recorded(entry) = event else { return };
        if let Some(line) = self.line(&entry.body) {
            say(&line);
        }
    }

    /// The line of an entry; `None` for what only matters to machines.
    pub(super) fn line(&self, body: &Body) -> Option<String> {
        self.words(body).map(|line| short(&printable(&line)))
    }

    fn words(&self, body: &Body) -> Option<String> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        match body {
            Body::Started(started) => Some(format!("run: {} on {}", started.title, started.target)),
            Body::Entered { step, name, attempt, branches, .. } => {
                let more = match (attempt, branches) {
                    (_, Some(branches)) => format!(" ({branches} branches)"),
                    (1, None) => String::new(),
                    (attempt, None) => format!(" (attempt {attempt})"),
                };
                calls.insert(step.clone(), Shown { label: name.clone(), effect: false });
                Some(format!("{}> {name}{more}", margin(step)))
            }
            Body::Left { step, outcome, milliseconds, .. } => {
                let name = &calls.get(step)?.label;
                Some(format!(
                    "{}{} {name}{} {}",
                    margin(step),
                    sign(outcome),
                    why(outcome),
                    took(*milliseconds)
                ))
            }
            Body::Asked { call, function, summary, effect, .. } => {
                let label = if summary.is_empty() { function.clone() } else { summary.clone() };
                calls.insert(call.clone(), Shown { label, effect: effect.is_effect() });
                None
            }
            Body::Happened { call, outcome, milliseconds } => {
                let shown = calls.get(call)?;
                let worth = shown.effect || !outcome.is_ok();
                worth.then(|| {
                    let (sign, why) = (sign(outcome), why(outcome));
                    format!("{}{sign} {}{why} {}", margin(call), shown.label, took(*milliseconds))
                })
            }
            Body::Noted { note, text, .. } => {
                let margin = margin(note);
                let lines: Vec<String> =
                    text.trim_end().lines().map(|line| format!("{margin}{line}")).collect();
                Some(lines.join("\n"))
            }
            Body::Waiting { wait, .. } => Some(match wait {
                Wait::Approval { question, .. } => format!("waiting for approval: {question}"),
                Wait::Unknown { error } => format!("waiting for a person: {}", error.message),
                Wait::Halt { reason } => format!("waiting: effects are halted: {reason}"),
            }),
            Body::Undone { call, outcome } => {
                let label = calls.get(call).map_or(call, |shown| &shown.label);
                Some(format!("{} undone: {label}{}", sign(outcome), why(outcome)))
            }
            _ => None,
        }
    }
}

/// What a screen has room for; the journal has the rest.
fn short(line: &str) -> String {
    match line.char_indices().nth(LONGEST) {
        None => line.to_owned(),
        Some((end, _)) => {
            format!("{}… ({} characters; `aegis logs` has all)", &line[..end], line.chars().count())
        }
    }
}

/// Two spaces a level, and in which branch of a parallel block it is: those of several come in any order.
fn margin(key: &str) -> String {
    let branches: String = key.split('/').filter_map(branch).collect();
    let branches = if branches.is_empty() { branches } else { format!("{branches} ") };
    format!("{}{branches}", indent(key))
}

/// `[3]` of `each#0[3]`. Names may have anything in them, what follows the last `#` is ours.
fn branch(part: &str) -> Option<&str> {
    let (_, place) = part.rsplit_once('#')?;
    place.ends_with(']').then(|| &place[place.find('[').unwrap_or(place.len())..])
}

/// Two spaces a level: a place has one `/` a level.
pub(super) fn indent(key: &str) -> String {
    "  ".repeat(key.matches('/').count())
}

const fn sign(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Ok(_) => "ok",
        Outcome::Failed(_) => "FAILED",
        Outcome::Unknown(_) => "UNKNOWN",
        Outcome::Skipped(_) => "skipped",
    }
}

fn why(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok(_) => String::new(),
        Outcome::Failed(error) | Outcome::Unknown(error) => format!(": {}", error.message),
        Outcome::Skipped(why) => format!(": {why}"),
    }
}

fn took(milliseconds: u64) -> String {
    if milliseconds < 1000 {
        format!("({milliseconds} ms)")
    } else {
        format!("({:.1} s)", milliseconds as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_in_which_branch_they_are() {
        let table = [
            ("/deploy#0", "  "),
            ("/each#0[3]/deploy#0", "    [3] "),
            ("/each#0[3]/deploy#0@2/k8s::apply#1", "      [3] "),
            ("/each#1[12]/inner#0[0]/log#0", "      [12][0] "),
            ("/a [1]#0/log#0", "    "),
            ("/a#1[1]#0/log#0", "    "),
        ];
        for (key, expected) in table {
            assert_eq!(margin(key), expected, "{key}");
        }
    }
}
