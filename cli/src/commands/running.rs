//! What `run`, `plan`, `resume` and `retry` share: the wait for the end of a run, Ctrl-C, and the words at the end.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use aegis_engine::codes;
use aegis_engine::journal::{Entry, Verdict};
use aegis_engine::report::{Fold, Report};
use aegis_engine::run::handle::Listener;
use aegis_engine::run::{Conclusion, Event, Handle, Stop};
use aegis_engine::runbook::Runbook;
use serde_json::Value;

use super::next::Next;
use crate::context::{Context, Global, Output};
use crate::exit::Exit;
use crate::view::live::Live;
use crate::view::plain::Plain;
use crate::view::say;
use crate::view::table;

/// Collects what a run says and shows it as it comes.
pub(crate) struct Watcher {
    heard: Mutex<Fold>,
    screen: Screen,
}

/// What a person or program looks at.
enum Screen {
    Json,
    Plain(Plain),
    Live(Live),
}

impl Watcher {
    pub(crate) fn new(global: &Global) -> Arc<Self> {
        let drawable =
            std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
        let screen = match global.output {
            Output::Json => Screen::Json,
            Output::Text if drawable => Screen::Live(Live::new(global.colour())),
            Output::Text => Screen::Plain(Plain::default()),
        };
        Arc::new(Self { heard: Mutex::default(), screen })
    }

    /// Tells it what earlier processes recorded: what they began may end in this one.
    pub(crate) fn know(&self, entries: &[Entry]) {
        match &self.screen {
            Screen::Json => {}
            Screen::Plain(plain) => plain.know(entries),
            Screen::Live(live) => live.know(entries),
        }
    }

    pub(crate) fn listener(self: &Arc<Self>) -> Listener {
        let watcher = Arc::clone(self);
        Arc::new(move |event| watcher.hear(event))
    }

    fn hear(&self, event: &Event) {
        if let Event::Recorded(entry) = event {
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).learn(entry);
        }
        match (&self.screen, event) {
            (Screen::Plain(plain), event) => plain.show(event),
            (Screen::Live(live), event) => live.show(event),
            (Screen::Json, event) => table::json(event),
        }
    }

    /// Lets a person be asked while the run goes on.
    pub(crate) fn pause<T>(&self, ask: impl FnOnce() -> T) -> T {
        match &self.screen {
            Screen::Live(live) => live.pause(ask),
            _ => ask(),
        }
    }

    /// Says something while the run goes on.
    pub(crate) fn say(&self, text: &str) {
        match &self.screen {
            Screen::Live(live) => live.say(text),
            _ => say(text),
        }
    }

    /// Nothing moves any more.
    pub(crate) fn close(&self) {
        if let Screen::Live(live) = &self.screen {
            live.close();
        }
    }

    pub(crate) fn report(&self) -> Report {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).report()
    }
}

/// Waits for the end of a run. Ctrl-C once cancels it, twice leaves it resumable, three times ends the process
/// where it stands: what is recorded is safe.
pub(crate) fn wait(context: &Context, handle: &Handle, watcher: &Arc<Watcher>) -> Conclusion {
    let (interrupted, person, watcher) = (handle.clone(), context.person(), Arc::clone(watcher));
    context.runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        watcher.say("cancelling: what was done is undone; Ctrl-C again leaves the run as it is");
        let cancelled = interrupted.clone();
        tokio::task::spawn_blocking(move || cancelled.cancel(&person, "Ctrl-C"));
        if tokio::signal::ctrl_c().await.is_ok() {
            watcher.say("leaving the run as it is; Ctrl-C again does not wait");
            interrupted.abandon();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(Exit::Cancelled as i32);
        }
    });
    handle.wait()
}

/// The words at the end, and how the process ends.
pub(crate) fn conclude(context: &Context, conclusion: &Conclusion, runbook: &Runbook) -> Exit {
    let run = &conclusion.run;
    if context.global.json() {
        table::json(&serde_json::json!({
            "event": "concluded",
            "run": run,
            "verdict": conclusion.verdict,
            "failure": conclusion.failure,
            "value": conclusion.value,
            "leftovers": conclusion.leftovers.iter().map(|debt| &debt.undo.summary).collect::<Vec<_>>(),
        }));
        return Exit::of_run(conclusion);
    }
    tell(context, conclusion, runbook);
    say(&ending(context, conclusion));
    if !conclusion.leftovers.is_empty() {
        say(&format!("  not undone: {} (aegis leftovers {run})", conclusion.leftovers.len()));
    }
    Exit::of_run(conclusion)
}

/// Why it failed, with the line of the script.
pub(crate) fn tell(context: &Context, conclusion: &Conclusion, runbook: &Runbook) {
    if let Some(failure) = &conclusion.failure {
        say(failure.render(&runbook.sources, context.global.colour()).trim_end());
        say(&format!("  see: aegis explain {}", failure.code));
    }
}

/// A run that succeeded with a check that failed, or could not be read, is not all right.
pub(crate) fn checked(exit: Exit, report: &Report) -> Exit {
    let open = |check: &Value| matches!(check["status"].as_str(), Some("fail" | "unevaluable"));
    if exit == Exit::Ok && report.checks.iter().any(open) { Exit::Checks } else { exit }
}

/// How a run ended or why it stands, and what a person types then.
fn ending(context: &Context, conclusion: &Conclusion) -> String {
    let run = &conclusion.run;
    let line = |verb| match context.store() {
        Ok(store) => Next::of(context, &*store, run).line(verb),
        Err(_) => format!("aegis {verb} {run}"),
    };
    match (&conclusion.verdict, &conclusion.stop) {
        (Some(Verdict::Succeeded), _) => format!("succeeded: {run}"),
        (Some(Verdict::Failed), _) => format!("failed: {run}\n  next: {}", line("retry")),
        (Some(Verdict::Cancelled), _) => format!("cancelled: {run}"),
        (None, Some(Stop::Waiting(error))) => {
            let answered =
                || context.store().is_ok_and(|store| Next::of(context, &*store, run).is_answered());
            let next = match codes::explain(&error.code).map(|entry| entry.code) {
                Some(codes::UNKNOWN | codes::WAITING) if answered() => {
                    return format!("{}: {run}\n  answered since; next: {}", error.message, line("resume"));
                }
                Some(codes::UNKNOWN) => format!("aegis show {run}, then aegis mark-done, skip or retry"),
                Some(codes::HALTED) => format!("aegis unhalt, then {}", line("resume")),
                Some(codes::DECLINED) => line("resume"),
                _ => asked(context, run, &line("resume")),
            };
            format!("{}: {run}\n  next: {next}", error.message)
        }
        (None, _) => format!("not finished: {run}\n  next: {}", line("resume")),
    }
}

/// What answers the questions of a run; it goes on after that.
fn asked(context: &Context, run: &str, then: &str) -> String {
    let approvals = context.store().map(|store| Next::of(context, &*store, run).approvals());
    match approvals.unwrap_or_default().as_slice() {
        [] => format!("aegis approve {run}, then {then}"),
        [only] => format!("{only}, then {then}"),
        several => format!("{}\n  then: {then}", several.join("\n  next: ")),
    }
}

/// True when a person sits in front of it.
pub(crate) fn interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
