//! Shows a run that engines execute to its end, or to where it needs a person. Who stops looking stops nothing.

use std::time::Duration;

use aegis_engine::journal::{Placement, Status, Store, StoreError, Verdict};
use aegis_engine::run::stored;
use jiff::Timestamp;

use super::running::ByHand;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::{say, table, tree};

/// How often the journal is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Follows the run of an instant.
pub(super) fn follow(by_hand: &ByHand<'_>, run: &str, instant: Timestamp) -> Result<Exit, Failure> {
    let journals = by_hand.context.store()?;
    let mut seen = 0;
    loop {
        let record = by_hand.store.find(&by_hand.schedule.name, instant)?;
        if let Some(why) = record.as_ref().and_then(aegis_scheduler::Record::why) {
            let note = record.map(|record| record.note).unwrap_or_default();
            say(&format!("not started, {}: {note}", why.word()));
            return Ok(Exit::Refused);
        }
        if let Some(exit) = news(by_hand, &*journals, run, &mut seen)? {
            return Ok(exit);
        }
        by_hand.context.runtime.block_on(async { tokio::time::sleep(LOOK).await });
    }
}

/// Prints what is new; answers when there is nothing more to wait for.
fn news(
    by_hand: &ByHand<'_>,
    journals: &dyn Store,
    run: &str,
    seen: &mut u64,
) -> Result<Option<Exit>, StoreError> {
    let entries = match journals.entries(run, 0) {
        Ok(entries) => entries,
        Err(StoreError::NoRun(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let before = *seen;
    for entry in entries.iter().filter(|entry| entry.seq > before) {
        match by_hand.context.global.json() {
            true => table::json(entry),
            false => say(&tree::line(entry)),
        }
        *seen = entry.seq;
    }
    if let Some(verdict) = stored::verdict(&entries) {
        return Ok(Some(match verdict {
            Verdict::Succeeded => Exit::Ok,
            Verdict::Failed => Exit::Failed,
            Verdict::Cancelled => Exit::Cancelled,
        }));
    }
    let given_up = stored::placed(&entries)
        .is_some_and(|placed| placed.placement == Placement::GivenUp && !placed.is_past);
    let status = entries.iter().rev().find_map(|entry| Status::after(&entry.body));
    if journals.executed(run)? || !(given_up || status == Some(Status::Waiting)) {
        return Ok(None);
    }
    say(&format!("it needs a person\n  next: aegis show {run}"));
    Ok(Some(Exit::Waiting))
}
