//! Events of triggers: decided by the same rules as instants that are due, and kept in the same records.

use aegis_engine::journal::StoreError;
use jiff::Timestamp;

use super::{Keeper, Order};
use crate::decide::{Choice, decide};
use crate::instants::{Due, Kind};
use crate::record::{Outcome, Record, Why};
use crate::store::{Admission, Limit};
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
        (record.given, record.by) = (event.given.clone(), event.by.clone());
        let choice = match self.admit(event, &record, choice)? {
            Some(choice) => choice,
            None => {
                let known = self.store.find(&record.schedule, instant)?;
                return Ok((known.unwrap_or(record), Vec::new()));
            }
        };
        if let Choice::Not(why, note) = &choice {
            (record.outcome, record.note) = (Outcome::NotStarted { why: *why }, note.clone());
        }
        let mut orders = Vec::new();
        self.carry_out(index, choice, record.clone(), &mut orders)?;
        Ok((record, orders))
    }

    /// Keeps the record of an event, unless its trigger has started as many runs as it may: then one that says so.
    /// `None`: its instant has one already.
    fn admit(&self, event: &Event, record: &Record, choice: Choice) -> Result<Option<Choice>, StoreError> {
        let Some(rate) = event.rate.filter(|_| record.why().is_none()) else {
            return Ok(self.keep(record)?.then_some(choice));
        };
        let since = record.decided.checked_sub(rate.per).unwrap_or(Timestamp::MIN);
        match self.store.admit(record, Limit { most: rate.most, since })? {
            Admission::Kept => Ok(Some(choice)),
            Admission::Known => Ok(None),
            Admission::Full => {
                let (why, most) = (Why::RateLimited, rate.most);
                let note = format!("it has started {most} runs in {}", aegis_engine::Period(rate.per));
                let full =
                    Record { outcome: Outcome::NotStarted { why }, note: note.clone(), ..record.clone() };
                Ok(self.keep(&full)?.then_some(Choice::Not(why, note)))
            }
        }
    }

    fn keep(&self, record: &Record) -> Result<bool, StoreError> {
        Ok(self.store.decided(std::slice::from_ref(record), &[])?.contains(&true))
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
            by: event.by.clone(),
            given: event.given.clone(),
            note: "there is no such trigger any more".to_owned(),
        };
        self.store.decided(std::slice::from_ref(&record), &[])?;
        Ok((record.clone(), vec![Order::NotStarted(record)]))
    }
}
