//! `aegis undo`: takes back what can be taken back of a run that no process executes, newest first.

use aegis_engine::journal::{Body, Entry};
use aegis_engine::run::{self, Conclusion, Debt, stored};
use aegis_engine::{Code, codes};
use clap::Args;
use serde_json::json;

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
    /// Perform again what nobody can say happened while the run was taken back before.
    #[arg(long)]
    again: bool,
}

impl Undo {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let case = Case::open(global, &self.decision.run)?;
        let again = self.again;
        undo(&case, run::Undo { again, ..run::Undo::of(&case.record.id, self.decision.note) })
    }
}

/// Undoes a run and tells what is left.
pub(crate) fn undo(case: &Case, undo: run::Undo) -> Result<Exit, Failure> {
    let (context, run) = (&case.context, &case.record.id);
    let before = case.store.entries(run, 0)?;
    let target = &stored::started(&before)?.target;
    context.guard(target)?;
    let watcher = Watcher::new(&context.global);
    watcher.know(&before);
    let (execution, _sandbox) = context.execution(target, None, watcher.listener(), false)?;
    let conclusion = context.engine()?.undo(undo, execution)?;
    watcher.close();
    let since = case.store.entries(run, before.last().map_or(0, |entry| entry.seq))?;
    tell(context.global.json(), &conclusion, since.iter().filter(|entry| is_undone(entry)).count());
    let left = &conclusion.leftovers;
    Ok(match left.iter().all(|debt| is_because(debt, codes::HALTED)) {
        _ if left.is_empty() => Exit::Ok,
        true => Exit::Refused,
        false => Exit::Failed,
    })
}

fn is_undone(entry: &Entry) -> bool {
    matches!(&entry.body, Body::Undone { outcome, .. } if outcome.is_ok())
}

fn tell(as_json: bool, Conclusion { run, leftovers, .. }: &Conclusion, undone: usize) {
    if as_json {
        let left: Vec<&str> = leftovers.iter().map(|debt| debt.undo.summary.as_str()).collect();
        table::json(&json!({ "run": run, "undone": undone, "left": left }));
        return;
    }
    leftovers.iter().for_each(|debt| tell_left(run, debt));
    if leftovers.is_empty() && undone == 0 {
        say(&format!("{run} has nothing to take back"));
    } else if leftovers.is_empty() {
        say(&format!("undone: {run}"));
    } else if !leftovers.iter().all(is_asked) {
        say(&format!("  next: aegis undo {run}"));
    }
}

/// A person has to say first what happened.
fn is_asked(debt: &Debt) -> bool {
    is_because(debt, codes::UNKNOWN)
}

fn is_because(debt: &Debt, code: Code) -> bool {
    debt.failure.as_ref().is_some_and(|failure| failure.code == code.0)
}

fn tell_left(run: &str, debt: &Debt) {
    say(&format!("not undone: {} ({})", debt.undo.summary, debt.call));
    if let Some(failure) = &debt.failure {
        say(&format!("  {}", failure.message));
        failure.hint.iter().for_each(|hint| say(&format!("  hint: {hint}")));
    }
    if !is_asked(debt) {
        say(&format!("  when it was done by hand: aegis mark-done {run} '{}~undo' --note WHY", debt.call));
    }
}
