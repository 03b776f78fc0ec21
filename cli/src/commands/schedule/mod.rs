//! `aegis schedule`: what runs when, what came of it, and what people decide about it.
//!
//! | file | verbs |
//! |---|---|
//! | `looking` | `ls`, `explain`, `history` |
//! | `deciding` | `pause`, `resume` |
//! | `running` | `run-now`, `backfill` |

mod deciding;
mod looking;
mod running;

pub(super) use looking::{History, outcome};

use std::sync::Arc;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::text::{did_you_mean, list};
use aegis_scheduler::{Plan, Schedule as Planned};
use clap::{Args, Subcommand};

use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::say;

#[derive(Debug, Args)]
pub(crate) struct Schedule {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List schedules: when each runs next, and what became of it last.
    Ls,
    /// Tell when a schedule runs, and what the clocks and the calendar do to it.
    Explain(looking::Explain),
    /// List the records of instants, newest first: the run of each, or why there is none.
    History(looking::History),
    /// Start nothing of a schedule until it is resumed.
    Pause(deciding::Pause),
    /// Let a paused schedule go on; what it missed is not caught up.
    Resume(deciding::Resume),
    /// Run it here and now, whatever its time is.
    RunNow(running::RunNow),
    /// Run the instants of a time that have no run, one after the other, here.
    Backfill(running::Backfill),
}

impl Schedule {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Arc::new(Context::new(global, None)?);
        match self.verb {
            Verb::Ls => looking::ls(&context),
            Verb::Explain(explain) => explain.run(&context),
            Verb::History(history) => history.run(&context),
            Verb::Pause(pause) => pause.run(&context),
            Verb::Resume(resume) => resume.run(&context),
            Verb::RunNow(now) => now.run(&context),
            Verb::Backfill(backfill) => backfill.run(&context),
        }
    }
}

/// Tells everything that is wrong with schedules; answers how many files.
pub(super) fn tell_problems(context: &Context, plan: &Plan) -> usize {
    for problems in &plan.problems {
        if context.global.json() {
            crate::view::table::json(&serde_json::json!({ "refused": problems.diagnostics }));
        } else {
            say(problems.render(context.global.colour()).trim_end());
        }
    }
    plan.problems.len()
}

/// A schedule by its name; one that was refused says why.
fn find(context: &Context, plan: &Plan, name: &str) -> Result<Arc<Planned>, Failure> {
    if let Some(found) = plan.schedules.iter().find(|schedule| &*schedule.name == name) {
        return Ok(Arc::clone(found));
    }
    tell_problems(context, plan);
    if plan.refused.iter().any(|refused| refused == name) {
        let message = format!("the schedule `{name}` is refused for what is told of it above");
        return Err(CallError::new(codes::SCHEDULE, message)
            .hint("mend that; `aegis check` tells it again")
            .into());
    }
    let names: Vec<&str> = plan.schedules.iter().map(|schedule| &*schedule.name).collect();
    let hint = did_you_mean(name, names.iter().copied()).unwrap_or_else(|| match names.as_slice() {
        [] => "write `[schedules.NAME]` into `schedules.toml`, or `schedule:` into a runbook's header"
            .to_owned(),
        names => format!("schedules are {}", list(names)),
    });
    Err(CallError::new(codes::SCHEDULE, format!("there is no schedule `{name}`")).hint(hint).into())
}
