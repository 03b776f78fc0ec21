//! A stored run as text: the step tree with timings, and its entries as log lines.

use std::fmt::Write;

use aegis_engine::journal::{Act, Body, Entry, Outcome, Placement, Status, Verdict, Wait};
use aegis_engine::report::Node;
use aegis_engine::run::stored::Placed;
use aegis_engine::text::printable;

/// The step tree with timings; what is open is under way in a run that somebody executes.
pub(crate) fn tree(nodes: &[Node], status: Status, depth: usize) -> String {
    let mut text = String::new();
    for node in nodes {
        let name = printable(if node.summary.is_empty() { &node.name } else { &node.summary });
        let time = node.milliseconds.map(|time| format!("  {}", seconds(time))).unwrap_or_default();
        let why = if node.why.is_empty() { String::new() } else { format!("  {}", printable(&node.why)) };
        let state = if node.state == "open" && status == Status::Running { "running" } else { node.state };
        let _ = writeln!(text, "{state:8}{}{name}{time}{why}", "  ".repeat(depth));
        text.push_str(&tree(&node.children, status, depth + 1));
    }
    text
}

/// One entry as one line.
pub(crate) fn line(entry: &Entry) -> String {
    let told = told(&entry.body);
    format!("{:>5}  {}  {}", entry.seq, entry.at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"), printable(&told))
}

/// What an entry says, on one line.
pub(crate) fn told(body: &Body) -> String {
    match body {
        Body::Started(started) => format!(
            "{} `{}` on `{}` by {}{}{}",
            started.mode.word(),
            started.title,
            started.target,
            started.person.0,
            started.scheduled.as_ref().map(|of| format!(" for {}", of.instant)).unwrap_or_default(),
            broken(started.break_glass.as_deref())
        ),
        Body::Resumed { person, break_glass, location, .. } => {
            let inside = location.as_ref().map(|location| format!(" in {location}")).unwrap_or_default();
            format!("resumed by {}{inside}{}", person.0, broken(break_glass.as_deref()))
        }
        Body::Placed { placement: Placement::Wanted, note, break_glass, .. } => {
            format!("wanted    in another job {note}{}", broken(break_glass.as_deref()))
        }
        Body::Placed { location, placement, note, .. } => {
            let note = if note.is_empty() { String::new() } else { format!(": {note}") };
            format!("{:9} {location}{note}", placement.word())
        }
        Body::Asked { call, function, summary, .. } => {
            let summary = if summary.is_empty() { function } else { summary };
            format!("asked     {call}  {summary}")
        }
        Body::Happened { call, outcome, milliseconds } => {
            format!("{:9} {call}  {}{}", word(outcome), seconds(*milliseconds), why(outcome))
        }
        Body::Entered { step, name, attempt, .. } => format!("entered   {step}  {name}, attempt {attempt}"),
        Body::Left { step, outcome, milliseconds, .. } => {
            format!("left      {step}  {} {}{}", word(outcome), seconds(*milliseconds), why(outcome))
        }
        Body::Waiting { call, wait } => format!("waits     {call}  {}", waiting(wait)),
        Body::Decided { person, act, note, .. } => {
            let note = if note.is_empty() { String::new() } else { format!(": {note}") };
            format!("decided   {} by {}{note}", decision(act), person.0)
        }
        Body::Undone { call, outcome } => format!("undone    {call}  {}{}", word(outcome), why(outcome)),
        Body::Noted { text, .. } => format!("log       {text}"),
        Body::Ended { verdict, failure, .. } => {
            let why = failure.as_ref().map(|failure| format!("  {}", failure.message)).unwrap_or_default();
            format!("{}{why}", verdict_word(*verdict))
        }
    }
}

/// Where a run executes, or why it does not there.
pub(crate) fn place(placed: &Placed) -> String {
    let note = if placed.note.is_empty() { String::new() } else { format!(": {}", placed.note) };
    let text = match placed.placement {
        Placement::Expected | Placement::Hindered => format!("{}{note}", placed.location),
        Placement::Wanted => format!("wanted in another job {}", placed.note),
        placement => format!("{} {}{note}", placement.word(), placed.location),
    };
    printable(&text).into_owned()
}

/// Why a run went on where a window or freeze held it back.
fn broken(reason: Option<&str>) -> String {
    reason.map(|reason| format!(", glass broken: {reason}")).unwrap_or_default()
}

/// `succeeded`, `failed` or `cancelled`.
pub(crate) const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Succeeded => "succeeded",
        Verdict::Failed => "failed",
        Verdict::Cancelled => "cancelled",
    }
}

/// What a run waits for, as a sentence.
pub(crate) fn waiting(wait: &Wait) -> String {
    match wait {
        Wait::Approval { question, quorum, .. } if *quorum > 1 => {
            format!("for {quorum} approvals: {question}")
        }
        Wait::Approval { question, .. } => format!("for an approval: {question}"),
        Wait::Unknown { error } => format!("for somebody who knows what happened: {}", error.message),
        Wait::Halt { reason } => format!("because effects are halted: {reason}"),
    }
}

fn decision(act: &Act) -> String {
    match act {
        Act::Approve { call, .. } => format!("yes to {call}"),
        Act::Reject { call } => format!("no to {call}"),
        Act::Skip { key } => format!("skip {key}"),
        Act::MarkDone { key, .. } => format!("{key} was done by hand"),
        Act::Retry { .. } => "retry".to_owned(),
        Act::Cancel => "cancel".to_owned(),
        Act::Leave => "to be left where it stands".to_owned(),
        Act::Undo => "undo".to_owned(),
    }
}

const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Ok(_) => "ok",
        Outcome::Failed(_) => "failed",
        Outcome::Unknown(_) => "unknown",
        Outcome::Skipped(_) => "skipped",
    }
}

fn why(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok(_) => String::new(),
        Outcome::Failed(error) | Outcome::Unknown(error) => format!("  {}", error.message),
        Outcome::Skipped(why) => format!("  {why}"),
    }
}

/// `0.3s`, `42s`, `3m 2s`.
pub(crate) fn seconds(milliseconds: u64) -> String {
    if milliseconds < 10_000 {
        return format!("{}.{}s", milliseconds / 1000, milliseconds % 1000 / 100);
    }
    aegis_engine::Period::seconds(milliseconds / 1000).to_string()
}
