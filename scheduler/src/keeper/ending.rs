//! What follows when a run is over, cannot begin, or a pause ends: records learn it, and what waited may go.

use std::sync::Arc;

use aegis_engine::journal::{Person, StoreError, Verdict};
use jiff::Timestamp;

use super::{Keeper, Launch, Order, waiting};
use crate::record::{Outcome, Record, Why, run_id};
use crate::schedule::Schedule;
use crate::store::{Pause, RecordStore};

/// The person in whose name a schedule that keeps failing is paused.
const SELF: &str = "scheduler";

impl Keeper {
    /// A run has ended: its record learns it, and what waited for it may go. `None`: somebody noted it before.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn ended(
        &mut self,
        schedule: &str,
        instant: Timestamp,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<Option<Vec<Order>>, StoreError> {
        let failures = self.store.ended(schedule, instant, verdict)?;
        let index = self.names.get(schedule).copied();
        if let Some(index) = index {
            self.slots[index].running.retain(|launch| launch.instant != instant);
        }
        let Some(failures) = failures else { return Ok(None) };
        let Some(index) = index else { return Ok(Some(Vec::new())) };
        let slot = &mut self.slots[index];
        let mut orders = Vec::new();
        let most = slot.schedule.policy.pause_after.unwrap_or(u32::MAX);
        if verdict == Verdict::Failed && failures >= most && slot.pause.is_none() {
            let reason = format!("{failures} runs in a row have failed");
            let pause = Pause { person: Person(SELF.to_owned()), reason, at: now };
            self.store.set_pause(schedule, Some(&pause))?;
            slot.pause = Some(Box::new(pause.clone()));
            orders.push(Order::Paused { schedule: Arc::clone(&slot.schedule), pause });
        }
        orders.extend(self.promote(index, now)?);
        Ok(Some(orders))
    }

    /// A run that was promised cannot be started, and never began.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn refused(
        &mut self,
        launch: &Launch,
        why: Why,
        note: &str,
        now: Timestamp,
    ) -> Result<Vec<Order>, StoreError> {
        let promised = Record {
            schedule: launch.schedule.name.to_string(),
            instant: launch.instant,
            decided: now,
            outcome: Outcome::Started { run: launch.run.clone(), verdict: None },
            given: super::Given::new(),
            note: String::new(),
        };
        let outcome = Outcome::NotStarted { why };
        let mut orders = Vec::new();
        if self.store.settle(&promised, &outcome, note)? {
            orders.push(Order::NotStarted(Record { outcome, note: note.to_owned(), ..promised }));
        }
        if let Some(index) = self.names.get(&launch.schedule.name).copied() {
            self.slots[index].running.retain(|running| running.instant != launch.instant);
            orders.extend(self.promote(index, now)?);
        }
        Ok(orders)
    }

    /// Gives the instants that a pause kept back their records, while nobody serves the schedule: what follows its end
    /// begins then.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn settle_paused(
        store: &dyn RecordStore,
        schedule: &Schedule,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let name = &*schedule.name;
        let Some(progress) = store.progress()?.into_iter().find(|progress| progress.schedule == name) else {
            return Ok(());
        };
        let Some(pause) = progress.pause else { return Ok(()) };
        let mut last = progress.decided;
        while let Some(due) = schedule.next_after(last).filter(|due| schedule.start_of(due.instant) <= now) {
            last = due.instant;
            let (why, note) = if last >= pause.at {
                (Why::Paused, pause.reason.clone())
            } else {
                (Why::EngineDown, "nobody was there to start it in time".to_owned())
            };
            let outcome = Outcome::NotStarted { why };
            let (schedule, given) = (name.to_owned(), super::Given::new());
            let record = Record { schedule, instant: last, decided: now, outcome, given, note };
            store.decided(&[record], &[(name, last)])?;
        }
        Ok(())
    }

    /// Starts what waits, once nothing is under way any more.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn promote_all(&mut self, now: Timestamp) -> Result<Vec<Order>, StoreError> {
        let ready: Vec<usize> = (0..self.slots.len()).filter(|index| self.slots[*index].is_ready()).collect();
        let mut orders = Vec::new();
        for index in ready {
            orders.extend(self.promote(index, now)?);
        }
        Ok(orders)
    }

    fn promote(&mut self, index: usize, now: Timestamp) -> Result<Vec<Order>, StoreError> {
        let mut orders = Vec::new();
        while self.slots[index].is_ready() {
            let instant = self.slots[index].waiting.remove(0);
            let slot = &self.slots[index];
            let record = waiting(&slot.schedule.name, instant, now);
            let hindered = slot.hindered(now, self.halted.as_deref(), &self.gates);
            let run = run_id(&slot.schedule.name, instant);
            let (outcome, note) = match &hindered {
                Some((why, note)) => (Outcome::NotStarted { why: *why }, note.as_str()),
                None => (Outcome::Started { run: run.clone(), verdict: None }, ""),
            };
            if !self.store.settle(&record, &outcome, note)? {
                continue;
            }
            if let Some((why, note)) = hindered {
                orders.push(Order::NotStarted(Record {
                    outcome: Outcome::NotStarted { why },
                    note,
                    ..record
                }));
                continue;
            }
            let launch = Launch { schedule: Arc::clone(&slot.schedule), instant, run };
            self.slots[index].running.push(launch.clone());
            orders.push(Order::Start(launch));
        }
        Ok(orders)
    }
}
