//! What runs left behind that could be taken back.

use super::{Desk, started, stored_error};
use crate::error::CallError;
use crate::journal::{Act, Body, Entry, RunRecord, Status};
use crate::run::undo::{Debt, owed};

/// What a run left behind.
#[derive(Debug)]
pub struct Left {
    /// The run.
    pub run: RunRecord,
    /// What could be undone and is not; or why nobody knows.
    pub debts: Result<Vec<Debt>, CallError>,
}

impl Desk<'_> {
    /// Effects of runs that did not succeed or were taken back, and of drills, that could be undone and are not; of runs whose journal
    /// cannot be read, why.
    ///
    /// # Errors
    /// When the runs cannot be listed.
    pub fn leftovers(&self, run: Option<&str>) -> Result<Vec<Left>, CallError> {
        let runs = self.store.runs().map_err(|error| stored_error(&error))?;
        let wanted = runs.into_iter().filter(|record| run.is_none_or(|run| run == record.id));
        let left = wanted.map(|record| Left { debts: self.debts(&record, run.is_some()), run: record });
        Ok(left.filter(|left| left.debts.as_ref().map_or(true, |debts| !debts.is_empty())).collect())
    }

    fn debts(&self, record: &RunRecord, asked_for: bool) -> Result<Vec<Debt>, CallError> {
        let entries = self.entries(&record.id)?;
        let drill = started(&entries)?.drill;
        // Who takes a run back that succeeded wants nothing of it to stay.
        let taken_back = |entry: &Entry| matches!(entry.body, Body::Decided { act: Act::Undo, .. });
        let intended = record.status == Status::Succeeded && !drill && !entries.iter().any(taken_back);
        let counts = !intended || asked_for && drill;
        Ok(if counts { owed(&entries) } else { Vec::new() })
    }
}
