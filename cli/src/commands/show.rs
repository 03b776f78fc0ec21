//! `aegis show`: how a run stands: steps with timings, what it waits for, checks, and why it failed.

use std::fmt::Write;

use aegis_engine::journal::{Entry, Placement, Status};
use aegis_engine::report::Report;
use aegis_engine::run::operate::pending;
use aegis_engine::run::stored::{self, Placed};
use clap::Args;
use serde_json::json;

use super::deciding::Case;
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
        let case = Case::open(global, &self.run)?;
        let entries = case.store.entries(&case.record.id, 0)?;
        let report = Report::of(&entries);
        let placed = stored::placed(&entries);
        if global.json() {
            let waits: Vec<_> = pending(&entries)
                .into_iter()
                .map(|wait| json!({ "call": wait.call, "wait": wait.wait, "since": wait.since }))
                .collect();
            table::json(&json!({ "run": case.record, "report": report, "waits": waits, "place": placed }));
            return Ok(Exit::Ok);
        }
        table::text(&head(&case, &report, placed.as_ref()));
        table::text(&tree(&report.tree, case.record.status, 0));
        tables::show(&report, global);
        ending(&case, &entries, &report)?;
        Ok(Exit::Ok)
    }
}

fn head(case: &Case, report: &Report, placed: Option<&Placed>) -> String {
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
                let run = &record.id;
                write!(status, ": its job was given up (next: aegis resume {run} --job, or without it here)")
            }
            Some(placed) if placed.placement == Placement::Wanted => {
                write!(status, ": an engine puts it into another job")
            }
            _ => write!(status, ": no process runs it (next: aegis resume {})", record.id),
        };
    }
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
    for wait in pending(entries) {
        table::text(&format!("\nwaits {} since {}", waiting(&wait.wait), wait.since.strftime("%H:%M:%SZ")));
        table::text(&format!("  {}\n  next: {}", wait.call, next(&wait.wait, run, &wait.call)));
    }
    if let Some(failure) = &report.failure {
        let sources = stored::sources(&*case.store, entries)?;
        table::text(&format!("\n{}", failure.render(&sources, case.context.global.colour())));
    }
    Ok(())
}

fn next(wait: &aegis_engine::journal::Wait, run: &str, call: &str) -> String {
    use aegis_engine::journal::Wait;
    match wait {
        Wait::Approval { .. } => format!("aegis approve {run}"),
        Wait::Unknown { .. } => format!("aegis mark-done {run} {call} --note WHY, or skip, or retry"),
        Wait::Halt { .. } => "aegis unhalt".to_owned(),
    }
}
