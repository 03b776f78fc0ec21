//! `aegis show`: how a run stands: steps with timings, what it waits for, checks, and why it failed.

use std::fmt::Write;

use aegis_engine::journal::{Act, Body, Entry, Placement, Status, Wait};
use aegis_engine::report::Report;
use aegis_engine::run::operate::{Pending, pending};
use aegis_engine::run::stored::{self, Placed};
use aegis_engine::run::undo::owed;
use aegis_engine::text::{list, printable, shell_word};
use clap::Args;
use serde_json::json;

use super::deciding::Case;
use super::next::approval;
use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::table;
use crate::view::tables;
use crate::view::tree::{self, seconds, tree, waiting};

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The run: its id, the beginning or the end of it, or `last`.
    #[arg(default_value = "last")]
    run: String,
}

impl Show {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let case = Case::look(global, &self.run)?;
        let entries = case.store.entries(&case.record.id, 0)?;
        let report = Report::of(&entries);
        let placed = stored::placed(&entries);
        if global.json() {
            let waits: Vec<_> = pending(&entries)
                .into_iter()
                .map(|wait| {
                    let (since, by, details) = (wait.since, wait.approved_by, wait.details);
                    json!({ "call": wait.call, "wait": wait.wait, "since": since, "approved_by": by, "details": details })
                })
                .collect();
            table::json(&json!({ "run": case.record, "report": report, "waits": waits, "place": placed }));
            return Ok(Exit::Ok);
        }
        table::text(&head(&case, &entries, &report, placed.as_ref()));
        table::text(&tree(&report.tree, case.record.status, 0));
        tables::show(&report, global);
        ending(&case, &entries, &report)?;
        Ok(Exit::Ok)
    }
}

fn head(case: &Case, entries: &[Entry], report: &Report, placed: Option<&Placed>) -> String {
    let record = &case.record;
    let updated = report.updated.unwrap_or(record.updated);
    let took = updated.duration_since(record.started).as_millis().try_into().unwrap_or(0);
    let mut status = record.status.word().to_owned();
    if record.status == Status::Interrupted {
        let _ = match placed {
            Some(placed) if placed.placement.is_expected() => {
                write!(status, ": its job has to go on with it")
            }
            Some(placed) if placed.placement == Placement::GivenUp && !placed.is_past => {
                let line = case.next().line("resume");
                write!(status, ": its job was given up (next: {line} --job, or without it here)")
            }
            Some(placed) if placed.placement == Placement::Wanted => {
                write!(status, ": an engine puts it into another job")
            }
            _ => write!(status, ": {} (next: {})", left(entries), case.next().line("resume")),
        };
    }
    status.push_str(&undone(entries, owed(entries).len()));
    let by = &record.person.0;
    let plan = if report.changes.is_empty() { "none" } else { &report.plan_hash };
    let mut rows = vec![
        ("run", record.id.clone()),
        ("title", record.title.clone()),
        ("status", status),
        ("target", record.target.clone()),
        (
            "started",
            format!("{} by {by}, took {}", record.started.strftime("%Y-%m-%d %H:%M:%SZ"), seconds(took)),
        ),
        ("changes", format!("{} (hash {plan})", report.changes.len())),
    ];
    rows.extend(placed.map(|placed| ("place", tree::place(placed))));
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    table::aligned(&rows) + "\n"
}

fn ending(case: &Case, entries: &[Entry], report: &Report) -> Result<(), Failure> {
    let run = &case.record.id;
    let pending = pending(entries);
    let open = pending.iter().filter(|wait| matches!(wait.wait, Wait::Approval { .. })).count();
    for wait in &pending {
        table::text(&format!("\nwaits {} since {}", waiting(&wait.wait), wait.since.strftime("%H:%M:%SZ")));
        if !wait.approved_by.is_empty() {
            let names: Vec<&str> = wait.approved_by.iter().map(String::as_str).collect();
            table::text(&format!("  approved by {} so far", list(&names)));
        }
        if !wait.details.is_null() {
            let details = serde_json::to_string_pretty(&wait.details).unwrap_or_default();
            details.lines().for_each(|line| table::text(&format!("  {}", printable(line))));
        }
        table::text(&format!("  {}\n  next: {}", wait.call, next(wait, run, open)));
    }
    table::text(&decided(case, entries, pending.is_empty()));
    if let Some(failure) = &report.failure {
        let sources = stored::sources(&*case.store, entries)?;
        table::text(&format!("\n{}", failure.render(&sources, case.context.global.colour())));
    }
    Ok(())
}

/// What people decided since the run began to wait, and what follows when they have decided on everything.
fn decided(case: &Case, entries: &[Entry], on_everything: bool) -> String {
    if case.record.status != Status::Waiting {
        return String::new();
    }
    let since = entries.iter().rposition(|entry| matches!(entry.body, Body::Resumed { .. })).unwrap_or(0);
    let is_decision = |entry: &&Entry| matches!(entry.body, Body::Decided { .. });
    let mut text = String::new();
    for entry in entries[since..].iter().filter(is_decision) {
        let _ = write!(text, "\n{} at {}", tree::told(&entry.body), entry.at.strftime("%H:%M:%SZ"));
    }
    if on_everything && !text.is_empty() {
        let _ = write!(text, "\n  next: {}", case.next().line("resume"));
    }
    text
}

/// Why nobody executes a run.
fn left(entries: &[Entry]) -> String {
    let last = entries.iter().rev().find_map(|entry| match &entry.body {
        Body::Resumed { .. } => Some(None),
        Body::Decided { act: Act::Leave, person, note, .. } => {
            Some(Some(format!("left by {}, {note}", person.0)))
        }
        _ => None,
    });
    last.flatten().unwrap_or_else(|| "no process runs it".to_owned())
}

/// Who took an ended run back, and when.
fn undone(entries: &[Entry], left: usize) -> String {
    let last = entries.iter().rev().find_map(|entry| match &entry.body {
        Body::Resumed { .. } => Some(String::new()),
        Body::Decided { act: Act::Undo, person, .. } => {
            let at = entry.at.strftime("%Y-%m-%d %H:%M:%SZ");
            Some(match left {
                0 => format!(", undone by {} at {at}", person.0),
                left => format!(", undone in part by {} at {at}, {left} left (aegis leftovers)", person.0),
            })
        }
        _ => None,
    });
    last.unwrap_or_default()
}

fn next(wait: &Pending, run: &str, open: usize) -> String {
    match wait.wait {
        Wait::Approval { .. } => approval(run, &wait.call, open),
        Wait::Unknown { .. } => {
            let call = shell_word(&wait.call);
            format!("aegis mark-done {run} {call} --note WHY, or skip, or retry")
        }
        Wait::Halt { .. } => "aegis unhalt".to_owned(),
    }
}
