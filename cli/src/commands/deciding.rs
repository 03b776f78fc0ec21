//! What the verbs share with which people decide about runs: which run, who, and why.

use std::sync::Arc;

use aegis_engine::CallError;
use aegis_engine::clock::SystemClock;
use aegis_engine::journal::{RunRecord, Status, Store};
use aegis_engine::run::is_of_undo;
use aegis_engine::run::operate::{Answered, Decider, Desk};
use clap::Args;

use super::next::{Next, approval};
use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::say;
use crate::view::table;

/// Which run, and why.
#[derive(Debug, Args)]
pub(crate) struct Decision {
    /// The run: its id, the beginning or the end of it, or `last`.
    pub(crate) run: String,
    /// Why; kept in the journal.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub(crate) note: String,
    /// Proof, as text or a link; kept in the journal.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub(crate) evidence: String,
}

/// A run that somebody looks at or decides about.
pub(crate) struct Case {
    pub(crate) context: Arc<Context>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) record: RunRecord,
}

impl Case {
    /// Finds the run.
    pub(crate) fn open(global: &Global, run: &str) -> Result<Self, Failure> {
        Self::find(Context::new(global, None)?, run)
    }

    /// Finds the run for who only looks at it, or stops it: a mistake in the configuration is no reason not to.
    pub(crate) fn look(global: &Global, run: &str) -> Result<Self, Failure> {
        Self::find(Context::spared(global)?, run)
    }

    fn find(context: Context, run: &str) -> Result<Self, Failure> {
        let context = Arc::new(context);
        let store = context.existing_store()?;
        let record = Desk { store: &*store, clock: &SystemClock }.find(run)?;
        Ok(Self { context, store, record })
    }

    /// Records a decision about it.
    pub(crate) fn decide<T>(
        &self,
        decision: &Decision,
        act: impl FnOnce(&Desk<'_>, &str, &Decider<'_>) -> Result<T, CallError>,
    ) -> Result<T, Failure> {
        let person = self.context.person();
        let by = Decider { person: &person, note: &decision.note, evidence: &decision.evidence };
        Ok(act(&Desk { store: &*self.store, clock: &SystemClock }, &self.record.id, &by)?)
    }

    /// What people type next, as the run stands now.
    pub(crate) fn next(&self) -> Next<'_> {
        Next::of(&self.context, &*self.store, &self.record.id)
    }

    /// Tells what an answer came to: whether others are asked as well.
    pub(crate) fn tell_yes(&self, answered: &Answered) -> Exit {
        let (run, given) = (&self.record.id, answered.approved_by.len());
        if self.context.global.json() {
            let more = serde_json::to_value(answered).unwrap_or_default();
            table::json(
                &serde_json::json!({ "run": run, "act": "approved", "key": answered.call, "answer": more }),
            );
            return Exit::Ok;
        }
        if answered.is_enough() {
            return self.tell("approved", &answered.call, "resume");
        }
        let line = approval(run, &answered.call, self.next().approvals().len());
        say(&format!("approved: {run} {}", answered.call));
        say(&format!(
            "  {given} of {} approvals; somebody else has to say yes, too: {line}",
            answered.quorum
        ));
        Exit::Ok
    }

    /// Tells what was recorded, and what to do next.
    pub(crate) fn tell(&self, what: &str, key: &str, next: &str) -> Exit {
        let run = &self.record.id;
        if self.context.global.json() {
            table::json(&serde_json::json!({ "run": run, "act": what, "key": key }));
        } else {
            say(format!("{what}: {run} {key}").trim_end());
            // A run that has failed is taken up by a retry, which keeps what was decided.
            let failed = self.record.status == Status::Failed && next == "resume";
            let (now, open) = (self.next(), self.next().approvals());
            let lines = match next {
                "" => Vec::new(),
                _ if is_of_undo(key) => vec![now.line("undo")],
                _ if failed => vec![now.line("retry")],
                "resume" if !open.is_empty() => open,
                "show" => vec![format!("aegis show {run}")],
                next => vec![now.line(next)],
            };
            lines.iter().for_each(|line| say(&format!("  next: {line}")));
        }
        Exit::Ok
    }
}
