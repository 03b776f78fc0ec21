//! The lines that people are told to type next. Each works as it stands: it names the question where a run asks several,
//! and has what a protected target and a shut window want.

use aegis_engine::journal::{Store, Wait};
use aegis_engine::run::operate::{Pending, pending};
use aegis_engine::run::stored;
use aegis_engine::run::undo::is_half_undone;
use aegis_engine::runbook::{Risk, Runbook};
use aegis_engine::text::shell_word;

use super::admission::held_back;
use crate::context::Context;

/// What a line needs to run outside of a window.
pub(crate) const BREAK_GLASS: &str = " --break-glass 'WHY IT CANNOT WAIT'";

/// A run that somebody goes on with.
pub(crate) struct Next<'a> {
    context: &'a Context,
    run: &'a str,
    target: String,
    risk: Risk,
    pending: Vec<Pending>,
    /// It is taken back in part: that is finished first.
    half_undone: bool,
}

impl<'a> Next<'a> {
    /// As the run stands now. A journal that cannot be read has been told of already, or will be.
    pub(crate) fn of(context: &'a Context, store: &dyn Store, run: &'a str) -> Self {
        let entries = store.entries(run, 0).unwrap_or_default();
        let target = stored::started(&entries).map(|started| started.target.clone()).unwrap_or_default();
        let sources = stored::sources(store, &entries).ok();
        let runbook = sources.and_then(|sources| Runbook::from_sources(sources).ok());
        let risk = runbook.map(|runbook| runbook.header.risk).unwrap_or_default();
        Self { context, run, target, risk, pending: pending(&entries), half_undone: is_half_undone(&entries) }
    }

    /// `aegis resume RUN`, with all that it needs here and now.
    pub(crate) fn line(&self, verb: &str) -> String {
        let verb = if self.half_undone { "undo" } else { verb };
        let target = self.context.settings.config.target(&self.target);
        let yes = if target.is_ok_and(|target| target.protected) {
            format!(" --yes-on {}", shell_word(&self.target))
        } else {
            String::new()
        };
        let goes_on = matches!(verb, "resume" | "retry");
        let held = goes_on && held_back(self.context, self.risk, &self.target).is_some();
        format!("aegis {verb} {}{yes}{}", self.run, if held { BREAK_GLASS } else { "" })
    }

    /// True when nothing is asked any more.
    pub(crate) fn is_answered(&self) -> bool {
        self.pending.is_empty()
    }

    /// What answers the questions that are open, a line each; several are named.
    pub(crate) fn approvals(&self) -> Vec<String> {
        let open = |wait: &&Pending| matches!(wait.wait, Wait::Approval { .. });
        let open: Vec<&Pending> = self.pending.iter().filter(open).collect();
        open.iter().map(|wait| approval(self.run, &wait.call, open.len())).collect()
    }
}

/// What answers a question, one of several that are open.
pub(crate) fn approval(run: &str, call: &str, several: usize) -> String {
    match several {
        0 | 1 => format!("aegis approve {run}"),
        _ => format!("aegis approve {run} {}", shell_word(call)),
    }
}

/// What was typed, as a line of a shell.
pub(crate) fn typed_line() -> String {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words = words.iter().map(|word| shell_word(word));
    std::iter::once("aegis".into()).chain(words).collect::<Vec<_>>().join(" ")
}
