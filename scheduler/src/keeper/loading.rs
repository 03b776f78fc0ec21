//! What the project says now takes the place of what it said before.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aegis_engine::journal::StoreError;
use jiff::Timestamp;

use super::Keeper;
use super::slot::{Affairs, Slot};
use crate::calendar::Gates;
use crate::expression::Expression;
use crate::reading::{FILE, Plan};
use crate::record::Why;
use crate::schedule::{Definition, Policy, Schedule};
use crate::store::Progress;

/// What the store knew before, as far as it has to be brought in line.
#[derive(Default)]
struct Before {
    /// Slots whose definition is the one that is known.
    same: Vec<bool>,
    /// Slots that said another time: which, and how far that had come.
    others: Vec<(usize, String, String, Timestamp)>,
    /// What is no longer there, and how far it had come.
    gone: Vec<(String, Timestamp)>,
}

impl Keeper {
    /// Takes in what the project says now, in place of what it said before. A schedule that is new, or has come back,
    /// begins now; one that says another time has records for the times it said before.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn load(
        &mut self,
        schedules: Vec<Arc<Schedule>>,
        gates: Gates,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.gates = gates;
        let mut slots: Vec<Slot> =
            schedules.into_iter().map(|schedule| Slot { schedule, decided: now }).collect();
        let names = slots.iter().enumerate();
        let names: HashMap<Arc<str>, usize> =
            names.map(|(index, slot)| (Arc::clone(&slot.schedule.name), index)).collect();
        let mut affairs = BTreeMap::new();
        let mut before = Before { same: vec![false; slots.len()], ..Before::default() };
        let news = self.store.news(None, &mut |progress| match names.get(progress.schedule) {
            Some(index) => before.hear(*index, &mut slots[*index], &mut affairs, progress),
            None => before.hear_of_gone(&progress),
        })?;
        self.define(&slots, &before, now)?;
        (self.slots, self.names, self.affairs) = (slots, names, affairs);
        self.cursor = news.cursor;
        self.learn(news.records);
        self.heap = self.upcoming();
        Ok(())
    }

    /// Has the store know what is new, and that what is gone has no times: should it come back, it begins anew.
    fn define(&self, slots: &[Slot], before: &Before, now: Timestamp) -> Result<(), StoreError> {
        for (index, when, zone, decided) in &before.others {
            self.close(&slots[*index].schedule, Definition { when, zone }, *decided, now)?;
        }
        let new = slots.iter().zip(&before.same).filter(|(_, same)| !**same);
        let new = new.map(|(Slot { schedule, .. }, _)| (&*schedule.name, schedule.definition(), now));
        let gone = before.gone.iter().map(|(name, decided)| (name.as_str(), Definition::NONE, *decided));
        let defined: Vec<_> = new.chain(gone).collect();
        if defined.is_empty() { Ok(()) } else { self.store.define(&defined) }
    }

    /// What an earlier definition left without records has missed its time.
    fn close(
        &self,
        schedule: &Schedule,
        before: Definition<'_>,
        decided: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (Ok(when), Ok(zone)) = (Expression::read(before.when), crate::zone::find(before.zone)) else {
            return Ok(());
        };
        // What would only have started later has missed its time as well: nobody looks at it again.
        let policy = Arc::new(Policy { jitter: Duration::ZERO, ..*schedule.policy });
        let former = Schedule { when: Arc::new(when), zone, policy, ..schedule.clone() };
        let note = "the schedule was changed before anybody was there to start it";
        Self::give_up(&*self.store, &former, decided, now, &|_| (Why::EngineDown, note.to_owned()))
    }

    /// When each slot is due first. Those that are written alike come one after the other, so that each text is read
    /// once.
    fn upcoming(&self) -> BinaryHeap<Reverse<(Timestamp, usize)>> {
        let mut order: Vec<usize> = (0..self.slots.len()).collect();
        order.sort_unstable_by_key(|index| Arc::as_ptr(&self.slots[*index].schedule.when).addr());
        let first = |index: usize| {
            let slot = &self.slots[index];
            Some(Reverse((slot.start(slot.schedule.next_after(slot.decided))?, index)))
        };
        order.into_iter().filter_map(first).collect::<Vec<_>>().into()
    }

    /// What a project says now, with what stood before in the place of what it says wrongly.
    #[must_use]
    pub fn mended(&mut self, mut plan: Plan) -> Plan {
        let written =
            |schedule: &Schedule| schedule.place.as_ref().is_some_and(|place| &*place.source == FILE);
        let stands = |schedule: &Schedule| {
            plan.refused.iter().any(|name| **name == *schedule.name) || plan.unreadable && written(schedule)
        };
        let kept: Vec<Arc<Schedule>> =
            self.schedules().filter(|schedule| stands(schedule)).map(Arc::clone).collect();
        plan.schedules.extend(kept);
        if plan.gates_refused {
            plan.gates = std::mem::take(&mut self.gates);
        }
        plan
    }
}

impl Before {
    fn hear(
        &mut self,
        index: usize,
        slot: &mut Slot,
        affairs: &mut BTreeMap<usize, Affairs>,
        progress: Progress<'_>,
    ) {
        if progress.definition == slot.schedule.definition() {
            slot.decided = progress.decided;
            self.same[index] = true;
        } else {
            let Definition { when, zone } = progress.definition;
            self.others.push((index, when.to_owned(), zone.to_owned(), progress.decided));
        }
        if progress.pause.is_some() {
            affairs.entry(index).or_default().pause = progress.pause;
        }
    }

    fn hear_of_gone(&mut self, progress: &Progress<'_>) {
        if progress.definition != Definition::NONE {
            self.gone.push((progress.schedule.to_owned(), progress.decided));
        }
    }
}
