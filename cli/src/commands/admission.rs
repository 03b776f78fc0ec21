//! Maintenance windows and freezes before runs that people start: refused with the line that would allow it, warned
//! before the window closes, stopped at its end when the runbook says so.

use std::sync::Arc;
use std::time::Duration;

use aegis_engine::clock::{Clock, SystemClock};
use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::run::Handle;
use aegis_engine::runbook::{AtWindowEnd, Risk, Runbook};
use aegis_scheduler::service::CLOSED;
use aegis_scheduler::{Refusal, Subject, Why, reading};
use clap::Args;
use jiff::Timestamp;

use super::next::{BREAK_GLASS, typed_line};
use super::running::Watcher;
use crate::context::Context;
use crate::view::failure::Failure;
use crate::view::say;

/// A run is warned this long before its window closes.
const WARNING: Duration = Duration::from_secs(600);

/// Leave to run outside of windows.
#[derive(Debug, Clone, Args)]
pub(crate) struct Glass {
    /// Run outside of the maintenance window or inside a freeze; the reason is kept in the run.
    #[arg(long = "break-glass", value_name = "REASON")]
    reason: Option<String>,
}

/// A run that may begin.
pub(crate) struct Admitted {
    /// Why, when the glass was broken: the window is shut, or shuts, and neither keeps it from running.
    pub(crate) broken: Option<String>,
    closes: Option<Timestamp>,
    at_end: AtWindowEnd,
}

impl Glass {
    /// Whether a runbook may run on a target now.
    pub(crate) fn admit(
        &self,
        context: &Context,
        runbook: &Runbook,
        target: &str,
    ) -> Result<Admitted, Failure> {
        let at_end = runbook.header.at_window_end;
        let broken = self.reason.clone();
        if broken.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
            let problem = CallError::argument("breaking the glass needs a reason");
            return Err(problem.hint("`--break-glass 'WHY IT CANNOT WAIT'`").into());
        }
        let gates = match reading::gates(&context.project, &context.settings.config, SystemClock.now()) {
            Ok(gates) => gates,
            Err(_) if broken.is_some() => return Ok(Admitted { broken, closes: None, at_end }),
            Err(problems) => return Err(problems.into()),
        };
        let protected = context.settings.config.target(target)?.protected;
        match gates.admit(&by_hand(runbook.header.risk, target, protected), SystemClock.now()) {
            Ok(closes) => match broken.zip(closes) {
                // It is open now, and its end is not to stop the run.
                Some((reason, closes)) => {
                    say(&format!(
                        "the glass is broken (the maintenance window closes at {closes}): {reason}"
                    ));
                    Ok(Admitted { broken: Some(reason), closes: None, at_end })
                }
                None => Ok(Admitted { broken: None, closes, at_end }),
            },
            Err(refusal) => match broken {
                Some(reason) => {
                    say(&format!("the glass is broken ({}): {reason}", refusal.note()));
                    Ok(Admitted { broken: Some(reason), closes: None, at_end })
                }
                None => Err(refused(&refusal, target).into()),
            },
        }
    }
}

/// A run that a person starts.
const fn by_hand(risk: Risk, target: &str, protected: bool) -> Subject<'_> {
    Subject { risk, target, protected, scheduled: false }
}

/// Why a person's run on a target is held back now, as its refusal says it; `None`: it is not.
pub(crate) fn held_back(context: &Context, risk: Risk, target: &str) -> Option<Failure> {
    let protected = context.settings.config.target(target).ok()?.protected;
    match reading::gates(&context.project, &context.settings.config, SystemClock.now()) {
        Ok(gates) => {
            let refusal = gates.admit(&by_hand(risk, target, protected), SystemClock.now()).err()?;
            Some(refused(&refusal, target).into())
        }
        Err(problems) => Some(problems.into()),
    }
}

fn refused(refusal: &Refusal, target: &str) -> CallError {
    let until = refusal.local.as_ref().map(|at| format!(" until {at}")).unwrap_or_default();
    let names = refusal.names.join("`, `");
    let message = match refusal.why {
        Why::Frozen => format!("changes on `{target}` are frozen by `{names}`{until}"),
        _ => format!("no maintenance window is open for `{target}`: `{names}` is closed{until}"),
    };
    CallError::new(codes::WINDOW, message).hint(format!(
        "wait, or if it cannot wait: `{}{}`",
        typed_line(),
        BREAK_GLASS
    ))
}

impl Admitted {
    /// Warns before the window closes, and does at its end what the runbook says.
    pub(crate) fn watch(&self, context: &Context, handle: &Handle, watcher: &Arc<Watcher>) {
        let Some(closes) = self.closes else { return };
        let (at_end, handle, watcher) = (self.at_end, handle.clone(), Arc::clone(watcher));
        let person = context.person();
        context.runtime.spawn(async move {
            let left = Duration::try_from(closes.duration_since(SystemClock.now())).unwrap_or_default();
            tokio::time::sleep(left.saturating_sub(WARNING)).await;
            let next = match at_end {
                AtWindowEnd::Continue => "the run goes on",
                AtWindowEnd::Leave => "the run is left there and can be resumed",
                AtWindowEnd::Cancel => "the run is cancelled then",
            };
            watcher.say(&format!("the maintenance window closes at {closes}: {next}"));
            let left = Duration::try_from(closes.duration_since(SystemClock.now())).unwrap_or_default();
            tokio::time::sleep(left).await;
            let stop = move || match at_end {
                AtWindowEnd::Continue => Ok(()),
                AtWindowEnd::Leave => handle.leave(&person, CLOSED),
                AtWindowEnd::Cancel => handle.cancel(&person, CLOSED),
            };
            let _ = tokio::task::spawn_blocking(stop).await;
        });
    }
}
