//! `aegis halt`: no effect of any run in this state directory happens until `aegis unhalt`.

use aegis_engine::CallError;
use aegis_engine::clock::{Clock, SystemClock};
use aegis_engine::codes;
use aegis_engine::journal::Halt as Switch;
use clap::Args;

use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::say;
use crate::view::table;

#[derive(Debug, Args)]
pub(crate) struct Halt {
    #[command(flatten)]
    why: Why,
    /// Put this reason in the place of the one that effects are halted for.
    #[arg(long)]
    replace: bool,
}

/// Given in the one way or the other.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Why {
    /// Why; everybody who is stopped by it sees this.
    #[arg(value_name = "REASON")]
    text: Option<String>,
    /// The same as REASON.
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
}

impl Halt {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Context::spared(global)?;
        let reason = self.why.text.or(self.why.reason).unwrap_or_default();
        if reason.trim().is_empty() {
            let hint = "`aegis halt WHY`: who finds everything halted wants to know";
            return Err(CallError::argument("a halt needs a reason").hint(hint).into());
        }
        let switch = Switch { person: context.person(), reason, at: SystemClock.now() };
        let store = context.store()?;
        let before = store.halt()?;
        if let Some(halt) = before.as_ref().filter(|_| !self.replace) {
            return Err(halted_already(halt).into());
        }
        store.set_halt(Some(&switch))?;
        if global.json() {
            table::json(&switch);
            return Ok(Exit::Ok);
        }
        say("effects are halted");
        if let Some(halt) = before {
            say(&format!("  in the place of the reason of {}: {}", halt.person.0, halt.reason));
        }
        say("  next: aegis unhalt");
        Ok(Exit::Ok)
    }
}

/// Nothing is lost by a second halt: effects stay halted, for the first reason.
fn halted_already(halt: &Switch) -> CallError {
    let (who, at) = (&halt.person.0, halt.at.strftime("%Y-%m-%d %H:%M:%SZ"));
    let message = format!("effects are halted already, by {who} at {at}: {}", halt.reason);
    CallError::new(codes::HALTED, message)
        .hint("they stay halted; `aegis halt --replace WHY` puts your reason in the place of this one")
}
