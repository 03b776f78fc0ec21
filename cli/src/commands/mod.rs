//! The verbs, one file each, in one visible list. Each is a struct of its arguments with a `run`.

mod approve;
mod cancel;
mod check;
mod completions;
mod config;
mod deciding;
mod docs;
mod explain;
mod fork;
mod halt;
mod leftovers;
mod logs;
mod mark_done;
mod new;
mod plan;
mod reject;
mod replay;
mod resume;
mod retry;
mod run;
mod running;
mod runs;
mod sandbox;
mod show;
mod skip;
mod stepping;
mod targets;
mod undo;
mod unhalt;
mod verify;

use clap::Subcommand;

pub(crate) use running::say;

use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;

macro_rules! verbs {
    ($($(#[$about:meta])* $verb:ident = $module:ident;)*) => {
        /// What aegis can do.
        #[derive(Subcommand)]
        pub(crate) enum Command {
            $($(#[$about])* $verb($module::$verb),)*
        }

        impl Command {
            /// Runs the verb.
            pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
                match self {
                    $(Self::$verb(verb) => verb.run(global),)*
                }
            }
        }
    };
}

verbs! {
    /// Run a runbook.
    Run = run;
    /// Show what a runbook would do, with live diffs, and change nothing.
    Plan = plan;
    /// Go on with a run where it stands.
    Resume = resume;
    /// Perform what failed again, and go on.
    Retry = retry;
    /// Start a new run that has everything an old one did before a step.
    Fork = fork;
    /// Leave a call or step of a run out.
    Skip = skip;
    /// Record that a call or step was done by hand.
    MarkDone = mark_done;
    /// Take back what a run changed.
    Undo = undo;
    /// List effects that could be taken back and are not.
    Leftovers = leftovers;
    /// Cancel a run: what can be undone is undone.
    Cancel = cancel;
    /// Stop all effects of all runs, with a reason.
    Halt = halt;
    /// Allow effects again.
    Unhalt = unhalt;
    /// Say yes to an approval that a run waits for.
    Approve = approve;
    /// Say no to it.
    Reject = reject;
    /// List runs, newest first.
    Runs = runs;
    /// Show how a run stands: steps, checks, what it waits for.
    Show = show;
    /// Print the journal of a run, one line an entry.
    Logs = logs;
    /// Run a script over its journal again, with no outside at all.
    Replay = replay;
    /// Recompute the hash chain of runs.
    Verify = verify;
    /// Check runbooks without running them.
    Check = check;
    /// Start a new runbook from a template.
    New = new;
    /// Explain modules and functions.
    Docs = docs;
    /// Explain an error code.
    Explain = explain;
    /// List targets.
    Targets = targets;
    /// Print the configuration and where each value comes from.
    Config = config;
    /// The embedded Kubernetes cluster.
    Sandbox = sandbox;
    /// Print completions for a shell.
    Completions = completions;
}
