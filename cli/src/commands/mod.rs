//! The verbs, one file each, in one visible list with the examples of their help. Each is a struct of its
//! arguments with a `run`.

mod admission;
mod approve;
mod cancel;
mod check;
mod completions;
mod config;
mod deciding;
mod docs;
mod execute;
mod explain;
mod following;
mod fork;
mod halt;
mod leftovers;
mod logs;
mod mark_done;
mod new;
mod next;
mod plan;
mod reject;
mod replay;
mod resume;
mod retry;
mod run;
mod running;
mod runs;
mod sandbox;
mod schedule;
mod serve;
mod show;
mod skip;
mod stepping;
mod subject;
mod targets;
mod token;
mod trigger;
mod undo;
mod unhalt;
mod verify;

use clap::Subcommand;

pub(crate) use next::typed_line;

use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;

macro_rules! verbs {
    ($($(#[$about:meta])* $verb:ident = $module:ident, [$($example:literal),* $(,)?];)*) => {
        /// What aegis can do.
        #[derive(Subcommand)]
        pub(crate) enum Command {
            $($(#[$about])* #[command(after_help = concat!("Examples:", $("\n  ", $example),*))] $verb($module::$verb),)*
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
    Run = run, [
        "aegis run runbooks/bootstrap.rhai",
        "aegis run runbooks/rotate.rhai -p name=web -p replicas=3 --target staging",
        "aegis run runbooks/rotate.rhai --step",
        "aegis run runbooks/rotate.rhai --break-glass 'certificates end tonight'",
        "aegis run runbooks/rotate.rhai --output json",
    ];
    /// Show what a runbook would do, with live diffs, and change nothing.
    Plan = plan, [
        "aegis plan runbooks/bootstrap.rhai",
        "aegis plan runbooks/rotate.rhai --params prod.yaml --target prod",
    ];
    /// Go on with a run where it stands.
    Resume = resume, [
        "aegis resume last",
        "aegis resume bootstrap-20261123-020304-k3f9",
        "aegis resume last --step",
        "aegis resume last --script current",
    ];
    /// Take a run up inside the pod of its Job: what the Jobs of `aegis serve` do.
    Execute = execute, ["aegis execute nightly-20261123-020000-k3f9"];
    /// Perform what failed again, and go on.
    Retry = retry, [
        "aegis retry last",
        "aegis retry last --note 'made room on the disk'",
        "aegis retry last --script current",
    ];
    /// Start a new run that has everything an old one did before a step.
    Fork = fork, [
        "aegis fork last --from 'roll out'",
        "aegis fork k3f9 --from verify --script current",
    ];
    /// Leave a call or step of a run out.
    Skip = skip, ["aegis skip last notify --note 'told them by telephone'"];
    /// Record that a call or step was done by hand.
    MarkDone = mark_done, [
        "aegis mark-done last 'scale up' --note 'done in the console' --evidence https://tickets.example.com/7",
        "aegis mark-done last count --note 'counted by hand' --value 3",
    ];
    /// Take back what a run changed.
    Undo = undo, [
        "aegis undo last",
        "aegis undo k3f9 --note 'the release is withdrawn'",
    ];
    /// List effects of runs that did not succeed, and of drills, that could be taken back and are not.
    Leftovers = leftovers, [
        "aegis leftovers",
        "aegis leftovers last",
    ];
    /// Cancel a run: what can be undone is undone.
    Cancel = cancel, ["aegis cancel last --note 'wrong cluster'"];
    /// Stop all effects of all runs, with a reason.
    Halt = halt, ["aegis halt 'incident 7: nobody changes anything'"];
    /// Allow effects again.
    Unhalt = unhalt, ["aegis unhalt"];
    /// Say yes to an approval that a run waits for.
    Approve = approve, [
        "aegis approve last",
        "aegis approve k3f9 --note 'change 4711' --operator grace",
    ];
    /// Say no to an approval that a run waits for.
    Reject = reject, ["aegis reject last --note 'not on a Friday'"];
    /// List runs, newest first.
    Runs = runs, [
        "aegis runs",
        "aegis runs -n 100 --output json",
    ];
    /// Show how a run stands: steps, checks, what it waits for.
    Show = show, [
        "aegis show",
        "aegis show k3f9 --output json",
    ];
    /// Print the journal of a run, one line an entry.
    Logs = logs, [
        "aegis logs",
        "aegis logs last --follow",
        "aegis logs k3f9 --output json",
    ];
    /// Run a script over its journal again, with no outside at all.
    Replay = replay, ["aegis replay last"];
    /// Recompute the hash chain of runs.
    Verify = verify, [
        "aegis verify",
        "aegis verify last",
    ];
    /// Run schedules: start runs when they are due, until told to stop.
    Serve = serve, [
        "aegis serve",
        "aegis serve --output json",
    ];
    /// Look at schedules, pause them, run what they missed.
    Schedule = schedule, [
        "aegis schedule ls",
        "aegis schedule explain nightly --next 10",
        "aegis schedule history nightly",
        "aegis schedule pause nightly --reason 'the disk is being replaced'",
        "aegis schedule resume nightly",
        "aegis schedule run-now nightly",
        "aegis schedule backfill nightly --from 2026-11-01 --to 2026-11-08",
    ];
    /// Look at what starts runs beside the clock.
    Trigger = trigger, [
        "aegis trigger ls",
        "aegis trigger test disk-full alert.json",
        "aegis trigger history disk-full",
    ];
    /// Make a token for the HTTP API of `aegis serve`.
    Token = token, ["aegis token grafana --role viewer"];
    /// Check runbooks without running them.
    Check = check, [
        "aegis check",
        "aegis check runbooks/bootstrap.rhai examples",
    ];
    /// Start a new runbook from a template.
    New = new, ["aegis new rotate-keys"];
    /// Explain modules and functions.
    Docs = docs, [
        "aegis docs",
        "aegis docs k8s",
        "aegis docs k8s::scale",
        "aegis docs --markdown docs/reference",
    ];
    /// Explain an error code.
    Explain = explain, [
        "aegis explain A0105",
        "aegis explain",
    ];
    /// List targets.
    Targets = targets, ["aegis targets"];
    /// Print the configuration and where each value comes from.
    Config = config, [
        "aegis config",
        "aegis config --defaults",
    ];
    /// The embedded Kubernetes cluster.
    Sandbox = sandbox, [
        "aegis sandbox up --workers 12 --allow-processes",
        "aegis sandbox status",
        "aegis sandbox kubectl -- get pods -A",
        "aegis sandbox fault add node-kill zone=seoul-a lasts=10m",
        "aegis sandbox reach shop/web shop/db:5432",
        "aegis sandbox status --target sandbox:tokyo",
    ];
    /// Print completions for a shell.
    Completions = completions, ["aegis completions bash"];
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    /// A line of a shell, with words in single quotes.
    fn words(line: &str) -> Vec<String> {
        let parts = line.split('\'').enumerate();
        let words = parts.flat_map(|(index, part)| {
            let quoted = (index % 2 == 1).then(|| vec![part.to_owned()]);
            quoted.unwrap_or_else(|| part.split_whitespace().map(str::to_owned).collect())
        });
        words.collect()
    }

    #[test]
    fn every_verb_has_examples_that_it_understands() {
        for verb in crate::Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = help.lines().skip(1).map(str::trim).collect();
            assert!(!examples.is_empty(), "{}", verb.get_name());
            for example in examples {
                let read = crate::Cli::try_parse_from(words(example));
                assert!(read.is_ok(), "{example}: {}", read.err().map(|e| e.to_string()).unwrap_or_default());
                assert!(example.starts_with(&format!("aegis {}", verb.get_name())), "{example}");
            }
        }
    }
}
