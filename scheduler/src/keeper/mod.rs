//! Keeps all schedules: how far each has come, what is under way, and a heap of what is due next. It decides, makes the
//! records durable, and only then says what is to be done.
//!
//! ```text
//! load (what the project says) -> tick (what is due) -> records -> orders
//!                                 ended (a run is over) --^
//! ```
//!
//! - `slot`: one schedule, and its affairs when it is not idle; `order`: what is to be done
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
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

use aegis_engine::journal::StoreError;
use jiff::Timestamp;

use crate::calendar::Gates;
use crate::decide::{Choice, Standing, decide};
use crate::instants::Due;
use crate::record::{Outcome, Record, Why, run_id};
use crate::schedule::Schedule;
use crate::store::{Change, Progress, RecordStore};

pub use order::{Launch, Order, Promised};
use slot::{Affairs, Portion, Slot};

static IDLE: Affairs = Affairs::NONE;

/// What instants are given: nothing. Events bring parameters along.
type Given = BTreeMap<String, serde_json::Value>;

/// All schedules of a project.
pub struct Keeper {
    store: Arc<dyn RecordStore>,
    gates: Gates,
    slots: Vec<Slot>,
    names: HashMap<Arc<str>, usize>,
    /// Of the slots that are not idle.
    affairs: BTreeMap<usize, Affairs>,
    /// When each slot is to be looked at; others may have decided on it by then.
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
            affairs: BTreeMap::new(),
            heap: BinaryHeap::new(),
            cursor: 0,
            halted: None,
        }
    }

    /// Learns how records stand.
    fn learn(&mut self, records: Vec<Record>) {
        for record in records {
            if let Some(index) = self.names.get(&*record.schedule).copied() {
                let schedule = Arc::clone(&self.slots[index].schedule);
                self.change(index, |affairs| affairs.learn(&schedule, &record));
            }
        }
    }

    /// Learns what others did: pauses, runs they started or saw ending, instants they decided.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn look_around(&mut self) -> Result<(), StoreError> {
        let Self { store, slots, names, affairs, cursor, .. } = self;
        let mut hear = |progress: Progress<'_>| {
            let Some(index) = names.get(progress.schedule) else { return };
            slots[*index].decided = slots[*index].decided.max(progress.decided);
            change(affairs, *index, |affairs| affairs.pause = progress.pause);
        };
        let news = store.news(Some(*cursor), &mut hear)?;
        self.cursor = news.cursor;
        if news.whole {
            self.affairs.values_mut().for_each(Affairs::forget);
            self.affairs.retain(|_, affairs| !affairs.is_idle());
        }
        self.learn(news.records);
        Ok(())
    }

    fn affairs(&self, index: usize) -> &Affairs {
        self.affairs.get(&index).unwrap_or(&IDLE)
    }

    fn change<T>(&mut self, index: usize, work: impl FnOnce(&mut Affairs) -> T) -> T {
        change(&mut self.affairs, index, work)
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
        let open = self.affairs.values();
        open.fold((0, 0), |(runs, waiting), open| (runs + open.running.len(), waiting + open.waiting.len()))
    }

    /// Every run that has been promised and has not ended.
    pub fn running(&self) -> impl Iterator<Item = &Launch> {
        self.affairs.values().flat_map(|affairs| &affairs.running)
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
            orders.extend(self.decide(due, now)?);
        }
    }

    /// Learns what the engine that leads has decided; what it has not decided yet stays due.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stand_by(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.look_around()?;
        for (index, portion) in self.due(now) {
            self.push(index, portion.due.first().copied());
        }
        Ok(())
    }

    /// Slots to be looked at, with what is due in them.
    fn due(&mut self, now: Timestamp) -> Vec<(usize, Portion)> {
        let mut due = Vec::new();
        while let Some(Reverse((_, index))) = self.heap.peek().copied().filter(|Reverse((at, _))| *at <= now)
        {
            self.heap.pop();
            let portion = self.slots[index].portion(now);
            // Another engine may have decided on it.
            if portion.due.is_empty() {
                self.push(index, portion.next);
            } else {
                due.push((index, portion));
            }
        }
        due.sort_unstable_by_key(|(index, _)| *index);
        due
    }

    fn decide(&mut self, due: Vec<(usize, Portion)>, now: Timestamp) -> Result<Vec<Order>, StoreError> {
        let choices: Vec<Vec<Choice>> =
            due.iter().map(|(index, portion)| self.choices(*index, portion, now)).collect();
        let records: Vec<Record> = due
            .iter()
            .zip(&choices)
            .flat_map(|((index, portion), choices)| self.records(*index, &portion.due, choices, now))
            .collect();
        let until: Vec<(&str, Timestamp)> = due
            .iter()
            .filter_map(|(index, portion)| {
                Some((&*self.slots[*index].schedule.name, portion.due.last()?.instant))
            })
            .collect();
        let new = match self.store.decided(&records, &until) {
            Ok(new) => new,
            Err(error) => {
                due.iter().for_each(|(index, portion)| self.push(*index, portion.due.first().copied()));
                return Err(error);
            }
        };
        for (index, Portion { due, next }) in &due {
            if let Some(last) = due.last() {
                self.slots[*index].decided = last.instant;
            }
            self.push(*index, *next);
        }
        let slots = due.iter().flat_map(|(index, portion)| portion.due.iter().map(|_| *index));
        let decided = slots.zip(choices.into_iter().flatten()).zip(records).zip(new);
        let mut orders = Vec::new();
        for (((index, choice), record), _) in decided.filter(|(_, new)| *new) {
            self.carry_out(index, choice, record, &mut orders)?;
        }
        Ok(orders)
    }

    fn choices(&self, index: usize, portion: &Portion, now: Timestamp) -> Vec<Choice> {
        let slot = &self.slots[index];
        let more = portion.next.is_some_and(|next| slot.is_due(&next, now));
        let standing = self.affairs(index).standing(&slot.schedule, now, self.halted.as_deref());
        decide(&slot.schedule, &portion.due, Standing { more, ..standing }, &self.gates)
    }

    fn records(&self, index: usize, due: &[Due], choices: &[Choice], now: Timestamp) -> Vec<Record> {
        let schedule = &self.slots[index].schedule;
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
            Record { schedule: name, instant: due.instant, decided: now, outcome, by: None, given, note }
        };
        due.iter().zip(choices).map(record).collect()
    }

    /// What follows from a record that has just been made.
    fn carry_out(
        &mut self,
        index: usize,
        choice: Choice,
        record: Record,
        orders: &mut Vec<Order>,
    ) -> Result<(), StoreError> {
        let instant = record.instant;
        match choice {
            Choice::Start => {
                let Some(launch) = Launch::of(&self.slots[index].schedule, &record) else { return Ok(()) };
                self.change(index, |affairs| affairs.running.push(launch.clone()));
                orders.push(Order::Start(launch));
            }
            Choice::Wait => self.change(index, |affairs| affairs.waiting.push(instant)),
            Choice::Replace => {
                let former =
                    self.change(index, |affairs| std::mem::replace(&mut affairs.waiting, vec![instant]));
                let note = format!("the run of {instant} takes its place");
                let cancelled = self.affairs(index).running.iter().map(|launch| launch.run.clone());
                orders.extend(cancelled.map(|run| Order::Cancel { run, note: note.clone() }));
                let overtaken = |instant: Timestamp| Change {
                    record: waiting(&record.schedule, instant, record.decided),
                    outcome: Outcome::NotStarted { why: Why::Overlap },
                    note: "a later one took its place".to_owned(),
                };
                let overtaken: Vec<Change> = former.into_iter().map(overtaken).collect();
                if !overtaken.is_empty() {
                    self.store.settle(&overtaken)?;
                }
            }
            Choice::Not(..) => orders.push(Order::NotStarted(record)),
        }
        Ok(())
    }

    fn push(&mut self, index: usize, next: Option<Due>) {
        self.heap.extend(self.slots[index].start(next).map(|at| Reverse((at, index))));
    }
}

/// Changes the affairs of a slot; one that is idle has none.
fn change<T>(all: &mut BTreeMap<usize, Affairs>, index: usize, work: impl FnOnce(&mut Affairs) -> T) -> T {
    let affairs = all.entry(index).or_default();
    let answer = work(affairs);
    if affairs.is_idle() {
        all.remove(&index);
    }
    answer
}

fn waiting(schedule: &str, instant: Timestamp, decided: Timestamp) -> Record {
    let (schedule, note) = (schedule.to_owned(), String::new());
    Record { schedule, instant, decided, outcome: Outcome::Waiting, by: None, given: Given::new(), note }
}
