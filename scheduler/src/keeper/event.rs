//! Events of triggers: decided by the same rules as instants that are due, and kept in the same records.

use aegis_engine::journal::StoreError;
use jiff::Timestamp;

use super::{Keeper, Order};
use crate::decide::{Choice, decide};
use crate::instants::{Due, Kind};
use crate::record::{Outcome, Record, Why};
use crate::trigger::Event;

impl Keeper {
    /// Decides on an event. One that has its record keeps it.
    ///
    /// # Errors
    /// When the record could not be made durable; then nothing was decided.
    pub fn fire(&mut self, event: &Event, now: Timestamp) -> Result<(Record, Vec<Order>), StoreError> {
        self.look_around()?;
        let instant = event.instant.unwrap_or(now);
        let Some(index) = self.names.get(&event.trigger).copied() else {
            return self.homeless(event, instant, now);
        };
        let slot = &self.slots[index];
        let due = Due { instant, wall: slot.schedule.zone.to_datetime(instant), kind: Kind::Plain };
        let choice = match event.hindered.clone() {
            Some((why, note)) => Choice::Not(why, note),
            None => {
                let standing = self.affairs(index).standing(&slot.schedule, now, self.halted.as_deref());
                decide(&slot.schedule, &[due], standing, &self.gates).remove(0)
            }
        };
        let mut record = self.records(index, &[due], std::slice::from_ref(&choice), now).remove(0);
        record.given.clone_from(&event.given);
        if self.store.decided(std::slice::from_ref(&record), &[])?.first() != Some(&true) {
            let known = self.store.find(&record.schedule, instant)?;
            return Ok((known.unwrap_or(record), Vec::new()));
        }
        let mut orders = Vec::new();
        self.carry_out(index, choice, record.clone(), &mut orders)?;
        Ok((record, orders))
    }

    /// Its trigger has just been taken out of the project.
    fn homeless(
        &self,
        event: &Event,
        instant: Timestamp,
        now: Timestamp,
    ) -> Result<(Record, Vec<Order>), StoreError> {
        let record = Record {
            schedule: event.trigger.to_string(),
            instant,
            decided: now,
            outcome: Outcome::NotStarted { why: Why::Refused },
            given: event.given.clone(),
            note: "there is no such trigger any more".to_owned(),
        };
        self.store.decided(std::slice::from_ref(&record), &[])?;
        Ok((record.clone(), vec![Order::NotStarted(record)]))
    }
}
