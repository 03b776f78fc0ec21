//! `aegis plan`: the whole runbook with its live diffs; nothing is changed.

use aegis_engine::function::Effect;
use aegis_engine::journal::Verdict;
use aegis_engine::run::{Mode, Occasion, Start};
use aegis_engine::runbook::{Risk, Runbook};
use aegis_engine::text::count;
use clap::Args;

use super::admission::held_back;
use super::running::{Watcher, conclude, tell, wait};
use super::subject::Subject;
use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::say;
use crate::view::table;

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    subject: Subject,
}

impl Plan {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Context::new(global, Some(&self.subject.runbook))?;
        let (runbook, params) = self.subject.load(&context)?;
        let target = context.target_name(self.subject.target.as_deref());
        let watcher = Watcher::new(global);
        let (execution, _sandbox) = context.execution(&target, Some(&runbook), watcher.listener(), true)?;
        let start = Start {
            runbook: runbook.clone(),
            name: self.subject.name(),
            project: context.project.clone(),
            params,
            mode: Mode::Plan,
            occasion: Occasion::default(),
        };
        let handle = context.engine()?.start(start, execution)?;
        let conclusion = wait(&context, &handle, &watcher);
        watcher.close();
        let report = watcher.report();
        if !global.json() {
            for change in &report.changes {
                let sign = match change.effect {
                    _ if change.unchanged => "=",
                    Effect::Destroys => "-",
                    _ => "~",
                };
                table::text(&format!("{sign} {} [{}]", change.summary, change.function));
                for line in change.diff.iter().flat_map(|diff| diff.lines()) {
                    table::text(&format!("    {line}"));
                }
            }
            let unchanged = report.changes.iter().filter(|change| change.unchanged).count();
            let changes = count(report.changes.len() - unchanged, "change");
            let hash = &report.plan_hash;
            table::text(&format!(
                "{changes} to make, {unchanged} already so, plan {hash}; nothing was changed"
            ));
            notes(&context, &runbook, &target).iter().for_each(|note| table::text(&format!("note: {note}")));
        }
        if conclusion.verdict == Some(Verdict::Succeeded) {
            if global.json() {
                table::json(
                    &serde_json::json!({ "event": "planned", "changes": report.changes, "hash": report.plan_hash }),
                );
            }
            return Ok(Exit::Ok);
        }
        // A plan is not kept: there is nothing to retry or resume.
        if global.json() {
            return Ok(conclude(&context, &conclusion, &runbook));
        }
        tell(&context, &conclusion, &runbook);
        say("the plan ends here");
        Ok(Exit::of_run(&conclusion))
    }
}

/// What a run meets now before its first change, and a plan does not.
fn notes(context: &Context, runbook: &Runbook, target: &str) -> Vec<String> {
    let protected = context.settings.config.target(target).is_ok_and(|target| target.protected);
    let risk = runbook.header.risk;
    let held =
        held_back(context, risk, target).map(|why| format!("a run would be refused now: {}", why.message()));
    let yes = protected.then(|| format!("`{target}` is protected: a run wants `--yes-on {target}`"));
    let asks = (protected && risk == Risk::High)
        .then(|| "a run asks somebody else for an approval before it begins".to_owned());
    held.into_iter().chain(yes).chain(asks).collect()
}
