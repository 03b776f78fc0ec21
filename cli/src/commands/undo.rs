//! `aegis undo`: takes back what can be taken back of a run that no process executes, newest first.

use clap::Args;

use super::deciding::{Case, Decision};
use super::running::Watcher;
use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::say;
use crate::view::table;

#[derive(Debug, Args)]
pub(crate) struct Undo {
    #[command(flatten)]
    decision: Decision,
}

impl Undo {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let case = Case::open(global, &self.decision.run)?;
        undo(&case, &self.decision.note)
    }
}

/// Undoes a run and tells what is left.
pub(crate) fn undo(case: &Case, note: &str) -> Result<Exit, Failure> {
    let (context, run) = (&case.context, &case.record.id);
    context.guard(&case.record.target)?;
    let watcher = Watcher::new(&context.global);
    watcher.know(&case.store.entries(run, 0)?);
    let (execution, _sandbox) = context.execution(&case.record.target, None, watcher.listener(), false)?;
    let conclusion = context.engine()?.undo(run, execution, note)?;
    watcher.close();
    let left: Vec<&str> = conclusion.leftovers.iter().map(|debt| debt.undo.summary.as_str()).collect();
    if context.global.json() {
        table::json(&serde_json::json!({ "run": run, "left": left }));
    } else if left.is_empty() {
        say(&format!("undone: {run}"));
    } else {
        say(&format!("not undone: {}", left.join("; ")));
        say(&format!("  next: aegis undo {run}"));
    }
    Ok(if left.is_empty() { Exit::Ok } else { Exit::Failed })
}
