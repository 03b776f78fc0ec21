//! `schedule pause` and `resume`.

use std::sync::Arc;

use aegis_engine::clock::{Clock, SystemClock};
use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_scheduler::store::{Pause as Paused, RecordStore};
use aegis_scheduler::{Keeper, Schedule};
use clap::Args;

use super::find;
use crate::context::Context;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::{say, table};

#[derive(Debug, Args)]
pub(super) struct Pause {
    /// The schedule.
    schedule: String,
    /// Why; every instant that is kept back says it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The schedule.
    schedule: String,
}

/// A schedule, and the store that knows it.
fn known(context: &Context, name: &str) -> Result<(Arc<Schedule>, Arc<dyn RecordStore>), Failure> {
    let plan = context.plan(false)?;
    let schedule = find(context, &plan, name)?;
    let store: Arc<dyn RecordStore> = context.records()?;
    if !store.knows(name)? {
        // Nobody has served it yet: it begins now.
        store.define(&[(&schedule.name, schedule.definition(), SystemClock.now())])?;
    }
    Ok((schedule, store))
}

impl Pause {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        if self.reason.trim().is_empty() {
            let hint = "`--reason WHY`: who finds it paused wants to know";
            return Err(CallError::argument("a pause needs a reason").hint(hint).into());
        }
        let (_, store) = known(context, &self.schedule)?;
        let pause = Paused { person: context.person(), reason: self.reason, at: SystemClock.now() };
        store.set_pause(&self.schedule, Some(&pause))?;
        if context.global.json() {
            table::json(&pause);
        } else {
            say(&format!("`{}` is paused\n  next: aegis schedule resume {}", self.schedule, self.schedule));
        }
        Ok(Exit::Ok)
    }
}

impl Resume {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let (schedule, store) = known(context, &self.schedule)?;
        if let Some(why) = &schedule.paused {
            let problem = format!("`{}` says itself that it is paused: {why}", self.schedule);
            let hint = "take `paused` out of where the schedule is written";
            return Err(CallError::new(codes::SCHEDULE, problem).hint(hint).into());
        }
        // What it kept back while nobody served it gets its record now: it is not caught up.
        Keeper::settle_paused(&*store, &schedule, SystemClock.now())?;
        store.set_pause(&self.schedule, None)?;
        if context.global.json() {
            table::json(&serde_json::json!({ "schedule": self.schedule, "paused": null }));
        } else {
            say(&format!("`{}` goes on\n  next: aegis schedule explain {}", self.schedule, self.schedule));
        }
        Ok(Exit::Ok)
    }
}
