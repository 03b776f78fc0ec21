//! `aegis halt`: no effect of any run in this state directory happens until `aegis unhalt`.

use aegis_engine::CallError;
use aegis_engine::clock::{Clock, SystemClock};
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
        let context = Context::new(global, None)?;
        let reason = self.why.text.or(self.why.reason).unwrap_or_default();
        if reason.trim().is_empty() {
            let hint = "`aegis halt WHY`: who finds everything halted wants to know";
            return Err(CallError::argument("a halt needs a reason").hint(hint).into());
        }
        let switch = Switch { person: context.person(), reason, at: SystemClock.now() };
        context.store()?.set_halt(Some(&switch))?;
        if global.json() {
            table::json(&switch);
        } else {
            say("effects are halted\n  next: aegis unhalt");
        }
        Ok(Exit::Ok)
    }
}
