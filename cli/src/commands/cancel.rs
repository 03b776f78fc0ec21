//! `aegis cancel`: asks the process that executes a run to undo and end it; does it here when there is none.

use std::sync::Arc;

use aegis_engine::run::Undo as Taking;
use clap::Args;

use super::deciding::{Case, Decision};
use super::undo;
use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    decision: Decision,
}

impl Cancel {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let case = Case::look(global, &self.decision.run)?;
        let store: Arc<dyn aegis_engine::journal::Store> = case.store.clone();
        let executed = store.claim(&case.record.id)?.is_none();
        if !executed && !ended(&case) {
            // What takes back needs all of the configuration.
            let case = Case::open(global, &case.record.id)?;
            return undo::undo(&case, Taking::of(&case.record.id, &self.decision.note));
        }
        case.decide(&self.decision, |desk, run, by| desk.cancel(run, by))?;
        Ok(case.tell("asked to cancel", "", "show"))
    }
}

fn ended(case: &Case) -> bool {
    use aegis_engine::journal::Status;
    matches!(case.record.status, Status::Succeeded | Status::Failed | Status::Cancelled)
}
