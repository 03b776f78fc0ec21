//! Shows a run that engines execute to its end, or to where it needs a person. Who stops looking stops nothing.

use std::time::Duration;

use aegis_engine::journal::{Status, Store, StoreError, Verdict};
use aegis_engine::run::stored;
use aegis_scheduler::Record;
use aegis_scheduler::store::Key;

use crate::context::Context;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::{say, table, tree};

/// How often the journal is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The run of an instant, as somebody looks at it.
pub(crate) struct Following<'a> {
    context: &'a Context,
    run: &'a str,
    /// Position of the last entry that was shown.
    seen: u64,
}

impl<'a> Following<'a> {
    /// A run, from after an entry on.
    pub(crate) const fn new(context: &'a Context, run: &'a str, seen: u64) -> Self {
        Self { context, run, seen }
    }

    /// Shows it until there is nothing more to wait for.
    pub(crate) fn until_its_end(mut self, (schedule, instant): Key<'_>) -> Result<Exit, Failure> {
        let (journals, records) = (self.context.store()?, self.context.records()?);
        loop {
            let record = records.find(schedule, instant)?;
            if let Some(why) = record.as_ref().and_then(Record::why) {
                let note = record.map(|record| record.note).unwrap_or_default();
                say(&format!("not started, {}: {note}", why.word()));
                return Ok(Exit::Refused);
            }
            if let Some(exit) = self.news(&*journals)? {
                return Ok(exit);
            }
            self.context.runtime.block_on(async { tokio::time::sleep(LOOK).await });
        }
    }

    /// Prints what is new; answers when there is nothing more to wait for.
    fn news(&mut self, journals: &dyn Store) -> Result<Option<Exit>, StoreError> {
        let entries = match journals.entries(self.run, 0) {
            Ok(entries) => entries,
            Err(StoreError::NoRun(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let before = self.seen;
        for entry in entries.iter().filter(|entry| entry.seq > before) {
            match self.context.global.json() {
                true => table::json(entry),
                false => say(&tree::line(entry)),
            }
            self.seen = entry.seq;
        }
        if let Some(verdict) = stored::verdict(&entries) {
            return Ok(Some(match verdict {
                Verdict::Succeeded => Exit::Ok,
                Verdict::Failed => Exit::Failed,
                Verdict::Cancelled => Exit::Cancelled,
            }));
        }
        let given_up = stored::is_given_up(&entries);
        let status = entries.iter().rev().find_map(|entry| Status::after(&entry.body));
        if journals.executed(self.run)? || !(given_up || status == Some(Status::Waiting)) {
            return Ok(None);
        }
        say(&format!("it needs a person\n  next: aegis show {}", self.run));
        Ok(Some(Exit::Waiting))
    }
}
