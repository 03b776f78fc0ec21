//! What follows when runs are over, cannot begin, or a pause ends: records learn it, and what waited may go.

use std::collections::BTreeSet;
use std::sync::Arc;

use aegis_engine::journal::{Person, StoreError, Verdict};
use jiff::Timestamp;

use super::slot::PORTION;
use super::{Keeper, Launch, Order, waiting};
use crate::record::{Outcome, Record, Why, run_id};
use crate::schedule::Schedule;
use crate::store::{Change, Ended, Pause, RecordStore};

/// The person in whose name a schedule that keeps failing is paused.
const SELF: &str = "scheduler";

impl Keeper {
    /// Runs have ended: their records learn it, all in one transaction, and what waited for them may go. Answers for
    /// each whether it is news, and what follows.
    ///
    /// # Errors
    /// When the store cannot be used: the ends are not noted. When they are and what follows is not durable, that
    /// follows later, with [`Keeper::promote_all`].
    #[expect(clippy::type_complexity, reason = "two answers, of which the second may be missing")]
    pub fn ended(
        &mut self,
        ended: &[Ended<'_>],
        now: Timestamp,
    ) -> Result<(Vec<bool>, Result<Vec<Order>, StoreError>), StoreError> {
        let failures = self.store.ended(ended)?;
        let mut followed = BTreeSet::new();
        let mut failing = Vec::new();
        for (ended, failures) in ended.iter().zip(&failures) {
            let Some(index) = self.names.get(ended.schedule).copied() else { continue };
            self.change(index, |affairs| affairs.running.retain(|launch| launch.instant != ended.instant));
            if let Some(failures) = failures {
                followed.insert(index);
                failing.extend((ended.verdict == Verdict::Failed).then_some((index, *failures)));
            }
        }
        let news = failures.iter().map(Option::is_some).collect();
        Ok((news, self.follow(followed, &failing, now)))
    }

    fn follow(
        &mut self,
        ended: BTreeSet<usize>,
        failing: &[(usize, u32)],
        now: Timestamp,
    ) -> Result<Vec<Order>, StoreError> {
        let mut orders = Vec::new();
        for (index, failures) in failing {
            orders.extend(self.pause_what_fails(*index, *failures, now)?);
        }
        orders.extend(self.promote(ended.into_iter().collect(), now)?);
        Ok(orders)
    }

    fn pause_what_fails(
        &mut self,
        index: usize,
        failures: u32,
        now: Timestamp,
    ) -> Result<Option<Order>, StoreError> {
        let schedule = Arc::clone(&self.slots[index].schedule);
        let most = schedule.policy.pause_after.unwrap_or(u32::MAX);
        if failures < most || self.affairs(index).pause.is_some() {
            return Ok(None);
        }
        let reason = format!("{failures} runs in a row have failed");
        let pause = Pause { person: Person(SELF.to_owned()), reason, at: now };
        self.store.set_pause(&schedule.name, Some(&pause))?;
        self.change(index, |affairs| affairs.pause = Some(pause.clone()));
        Ok(Some(Order::Paused { schedule, pause }))
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
            outcome: Outcome::Started { run: launch.run.clone(), verdict: None },
            ..waiting(&launch.schedule.name, launch.instant, now)
        };
        let change = Change { record: promised, outcome: Outcome::NotStarted { why }, note: note.to_owned() };
        let mut orders = Vec::new();
        if self.store.settle(std::slice::from_ref(&change))?.contains(&true) {
            orders.push(Order::NotStarted(settled(change)));
        }
        if let Some(index) = self.names.get(&launch.schedule.name).copied() {
            self.change(index, |affairs| affairs.running.retain(|running| running.instant != launch.instant));
            orders.extend(self.promote(vec![index], now)?);
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
        let mut found = None;
        store.progress(Some(&schedule.name), &mut |progress| {
            found = progress.pause.map(|pause| (progress.decided, pause));
        })?;
        let Some((decided, pause)) = found else { return Ok(()) };
        let why = |instant: Timestamp| {
            if instant >= pause.at {
                (Why::Paused, pause.reason.clone())
            } else {
                (Why::EngineDown, "nobody was there to start it in time".to_owned())
            }
        };
        Self::give_up(store, schedule, decided, now, &why)
    }

    /// Gives everything that is due after an instant a record that says why it has no run.
    pub(super) fn give_up(
        store: &dyn RecordStore,
        schedule: &Schedule,
        mut decided: Timestamp,
        now: Timestamp,
        why: &dyn Fn(Timestamp) -> (Why, String),
    ) -> Result<(), StoreError> {
        loop {
            let mut records = Vec::new();
            while let Some(due) = schedule
                .next_after(decided)
                .filter(|due| records.len() < PORTION && schedule.start_of(due.instant) <= now)
            {
                decided = due.instant;
                let (why, note) = why(decided);
                let outcome = Outcome::NotStarted { why };
                records.push(Record { outcome, note, ..waiting(&schedule.name, decided, now) });
            }
            if records.is_empty() {
                return Ok(());
            }
            store.decided(&records, &[(&schedule.name, decided)])?;
        }
    }

    /// Starts what waits, once nothing is under way any more.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn promote_all(&mut self, now: Timestamp) -> Result<Vec<Order>, StoreError> {
        self.promote(self.affairs.keys().copied().collect(), now)
    }

    /// Of each slot in which something waits and nothing is under way, the oldest goes, all in one transaction; again
    /// where that one is not to run.
    fn promote(&mut self, mut slots: Vec<usize>, now: Timestamp) -> Result<Vec<Order>, StoreError> {
        let mut orders = Vec::new();
        loop {
            slots.retain(|index| self.affairs(*index).is_ready());
            if slots.is_empty() {
                return Ok(orders);
            }
            let changes: Vec<Change> = slots.iter().filter_map(|index| self.promotion(*index, now)).collect();
            let kept = self.store.settle(&changes)?;
            for ((index, change), kept) in slots.iter().zip(changes).zip(kept) {
                let instant = change.record.instant;
                self.change(*index, |affairs| affairs.waiting.retain(|waiting| *waiting != instant));
                orders.extend(kept.then(|| self.promoted(*index, change)));
            }
        }
    }

    /// What becomes of the oldest instant that waits in a slot.
    fn promotion(&self, index: usize, now: Timestamp) -> Option<Change> {
        let (schedule, affairs) = (&self.slots[index].schedule, self.affairs(index));
        let record = waiting(&schedule.name, *affairs.waiting.first()?, now);
        let (outcome, note) = match affairs.hindered(schedule, now, self.halted.as_deref(), &self.gates) {
            Some((why, note)) => (Outcome::NotStarted { why }, note),
            None => {
                let run = run_id(&schedule.name, record.instant);
                (Outcome::Started { run, verdict: None }, String::new())
            }
        };
        Some(Change { record, outcome, note })
    }

    fn promoted(&mut self, index: usize, change: Change) -> Order {
        let record = settled(change);
        let Some(launch) = Launch::of(&self.slots[index].schedule, &record) else {
            return Order::NotStarted(record);
        };
        self.change(index, |affairs| affairs.running.push(launch.clone()));
        Order::Start(launch)
    }
}

/// A record as it stands after its change.
fn settled(Change { record, outcome, note }: Change) -> Record {
    Record { outcome, note, ..record }
}
