//! Keeps all schedules: how far each has come, what is under way, and a heap of what is due next. It decides, makes the
//! records durable, and only then says what is to be done.
//!
//! ```text
//! load (what the project says) -> tick (what is due) -> records -> orders
//!                                 ended (a run is over) --^
//! ```
//!
//! - `slot`: one schedule and how it stands; `order`: what is to be done
//! - `loading`: what the project says now; `taking`: runs out of the queue
//! - `ending`: what follows when a run is over; `event`: what comes from outside instead of by the clock
//!
//! It starts nothing and waits for nothing; time comes in with each call, so a simulated week takes seconds.

mod ending;
mod event;
mod loading;
mod order;
mod slot;
mod taking;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use aegis_engine::journal::StoreError;
use jiff::Timestamp;

use crate::calendar::Gates;
use crate::decide::{Choice, Standing, decide};
use crate::instants::Due;
use crate::record::{Outcome, Record, Why, run_id};
use crate::schedule::Schedule;
use crate::store::RecordStore;

pub use order::{Launch, Order, Promised};
use slot::Slot;

/// What instants are given: nothing. Events bring parameters along.
type Given = std::collections::BTreeMap<String, serde_json::Value>;

/// All schedules of a project.
pub struct Keeper {
    store: Arc<dyn RecordStore>,
    gates: Gates,
    slots: Vec<Slot>,
    names: HashMap<Arc<str>, usize>,
    heap: BinaryHeap<Reverse<(Timestamp, usize)>>,
    cursor: u64,
    halted: Option<String>,
}

impl Keeper {
    /// Without schedules yet.
    #[must_use]
    pub fn new(store: Arc<dyn RecordStore>) -> Self {
        Self {
            store,
            gates: Gates::default(),
            slots: Vec::new(),
            names: HashMap::new(),
            heap: BinaryHeap::new(),
            cursor: 0,
            halted: None,
        }
    }

    /// Learns how records stand.
    fn learn(&mut self, records: Vec<Record>) {
        for record in records {
            if let Some(index) = self.names.get(&*record.schedule) {
                self.slots[*index].learn(record);
            }
        }
    }

    /// Learns what others did: pauses, runs they started or saw ending, instants they decided.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn look_around(&mut self) -> Result<(), StoreError> {
        let news = self.store.news(Some(self.cursor))?;
        self.cursor = news.cursor;
        if news.whole {
            self.slots.iter_mut().for_each(Slot::forget);
        }
        for progress in news.progress {
            let Some(index) = self.names.get(&*progress.schedule).copied() else { continue };
            let slot = &mut self.slots[index];
            slot.pause = progress.pause.map(Box::new);
            if progress.decided > slot.decided {
                slot.decided = progress.decided;
                slot.next = slot.schedule.next_after(slot.decided);
            }
        }
        self.learn(news.records);
        Ok(())
    }

    /// Where records are kept.
    #[must_use]
    pub fn store(&self) -> &dyn RecordStore {
        &*self.store
    }

    /// Effects are halted, or no longer.
    pub fn set_halted(&mut self, why: Option<String>) {
        self.halted = why;
    }

    /// Schedules that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True without schedules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Every schedule, by name.
    pub fn schedules(&self) -> impl Iterator<Item = &Arc<Schedule>> {
        self.slots.iter().map(|slot| &slot.schedule)
    }

    /// A schedule that is kept.
    #[must_use]
    pub fn schedule(&self, name: &str) -> Option<&Arc<Schedule>> {
        self.names.get(name).and_then(|index| self.slots.get(*index)).map(|slot| &slot.schedule)
    }

    /// Windows and freezes.
    #[must_use]
    pub const fn gates(&self) -> &Gates {
        &self.gates
    }

    /// Runs and instants that are not at their end.
    #[must_use]
    pub fn open(&self) -> (usize, usize) {
        self.slots
            .iter()
            .fold((0, 0), |(runs, waiting), slot| (runs + slot.running.len(), waiting + slot.waiting.len()))
    }

    /// Every run that has been promised and has not ended.
    pub fn running(&self) -> impl Iterator<Item = &Launch> {
        self.slots.iter().flat_map(|slot| &slot.running)
    }

    /// When something is due next, and what.
    #[must_use]
    pub fn next(&self) -> Option<(Timestamp, &Arc<Schedule>)> {
        let Reverse((at, index)) = self.heap.peek()?;
        Some((*at, &self.slots.get(*index)?.schedule))
    }

    /// Decides on everything that is due. The clock may have gone anywhere since the last time: instants that have
    /// their record are never looked at again.
    ///
    /// # Errors
    /// When the records could not be made durable; then nothing was decided.
    pub fn tick(&mut self, now: Timestamp) -> Result<Vec<Order>, StoreError> {
        self.look_around()?;
        let mut orders = Vec::new();
        loop {
            let due = self.due(now);
            if due.is_empty() {
                return Ok(orders);
            }
            orders.extend(self.decide(&due, now)?);
        }
    }

    /// Slots with something due.
    fn due(&mut self, now: Timestamp) -> Vec<usize> {
        let mut due = Vec::new();
        while let Some(Reverse((at, index))) = self.heap.peek().copied() {
            if at > now {
                break;
            }
            self.heap.pop();
            // Another engine may have decided on it.
            let slot = &self.slots[index];
            if slot.next.is_some_and(|next| slot.schedule.start_of(next.instant) <= now) {
                due.push(index);
            } else {
                self.push(index);
            }
        }
        due.sort_unstable();
        due
    }

    fn decide(&mut self, slots: &[usize], now: Timestamp) -> Result<Vec<Order>, StoreError> {
        let mut batch = Vec::new();
        for index in slots {
            let slot = &self.slots[*index];
            let (due, more) = slot.portion(now);
            let standing = Standing { more, ..slot.standing(now, self.halted.as_deref()) };
            let choices = decide(&slot.schedule, &due, standing, &self.gates);
            batch.push((*index, due, choices));
        }
        let records: Vec<Record> = batch.iter().flat_map(|entry| self.records(entry, now)).collect();
        let until: Vec<(&str, Timestamp)> = batch
            .iter()
            .filter_map(|(index, due, _)| Some((&*self.slots[*index].schedule.name, due.last()?.instant)))
            .collect();
        let new = match self.store.decided(&records, &until) {
            Ok(new) => new,
            Err(error) => {
                slots.iter().for_each(|index| self.push(*index));
                return Err(error);
            }
        };
        let mut decided = records.into_iter().zip(new);
        let mut orders = Vec::new();
        for (index, due, choices) in batch {
            for (due, choice) in due.iter().zip(choices) {
                let Some((record, new)) = decided.next() else { break };
                if new {
                    self.carry_out(index, due.instant, choice, record, &mut orders)?;
                }
            }
            if let Some(last) = due.last() {
                let slot = &mut self.slots[index];
                slot.decided = last.instant;
                slot.next = slot.schedule.next_after(last.instant);
            }
            self.push(index);
        }
        Ok(orders)
    }

    fn records(&self, (index, due, choices): &(usize, Vec<Due>, Vec<Choice>), now: Timestamp) -> Vec<Record> {
        let schedule = &self.slots[*index].schedule;
        let record = |(due, choice): (&Due, &Choice)| {
            let (outcome, note) = match choice {
                Choice::Start => {
                    let run = run_id(&schedule.name, due.instant);
                    (Outcome::Started { run, verdict: None }, String::new())
                }
                Choice::Wait | Choice::Replace => (Outcome::Waiting, String::new()),
                Choice::Not(why, note) => (Outcome::NotStarted { why: *why }, note.clone()),
            };
            let (name, given) = (schedule.name.to_string(), Given::new());
            Record { schedule: name, instant: due.instant, decided: now, outcome, given, note }
        };
        due.iter().zip(choices).map(record).collect()
    }

    /// What follows from a record that has just been made.
    fn carry_out(
        &mut self,
        index: usize,
        instant: Timestamp,
        choice: Choice,
        record: Record,
        orders: &mut Vec<Order>,
    ) -> Result<(), StoreError> {
        let slot = &mut self.slots[index];
        match choice {
            Choice::Start => {
                let run = run_id(&slot.schedule.name, instant);
                let launch = Launch { schedule: Arc::clone(&slot.schedule), instant, run };
                slot.running.push(launch.clone());
                orders.push(Order::Start(launch));
            }
            Choice::Wait => slot.waiting.push(instant),
            Choice::Replace => {
                let former = std::mem::replace(&mut slot.waiting, vec![instant]);
                let note = format!("the run of {instant} takes its place");
                let cancelled = slot.running.iter().map(|launch| launch.run.clone());
                orders.extend(cancelled.map(|run| Order::Cancel { run, note: note.clone() }));
                let name = slot.schedule.name.to_string();
                for instant in former {
                    let waiting = waiting(&name, instant, record.decided);
                    let note = "a later one took its place";
                    self.store.settle(&waiting, &Outcome::NotStarted { why: Why::Overlap }, note)?;
                }
            }
            Choice::Not(..) => orders.push(Order::NotStarted(record)),
        }
        Ok(())
    }

    fn push(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if slot.next.is_none_or(|next| next.instant <= slot.decided) {
            slot.next = slot.schedule.next_after(slot.decided);
        }
        if let Some(next) = slot.next {
            self.heap.push(Reverse((slot.schedule.start_of(next.instant), index)));
        }
    }
}

fn waiting(schedule: &str, instant: Timestamp, decided: Timestamp) -> Record {
    let schedule = schedule.to_owned();
    Record { schedule, instant, decided, outcome: Outcome::Waiting, given: Given::new(), note: String::new() }
}
