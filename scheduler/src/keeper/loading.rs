//! What the project says now takes the place of what it said before.

use std::collections::HashMap;
use std::sync::Arc;

use aegis_engine::journal::StoreError;
use jiff::Timestamp;

use super::slot::Slot;
use super::{Given, Keeper};
use crate::calendar::Gates;
use crate::expression::Expression;
use crate::reading::{FILE, Plan};
use crate::record::{Outcome, Record, Why};
use crate::schedule::{Definition, Schedule};
use crate::store::Progress;

impl Keeper {
    /// Takes in what the project says now, in place of what it said before. A schedule that is new, or has come back,
    /// begins now; one that says another time has records for the times it said before.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn load(&mut self, schedules: Vec<Schedule>, gates: Gates, now: Timestamp) -> Result<(), StoreError> {
        self.gates = gates;
        let news = self.store.news(None)?;
        self.cursor = news.cursor;
        let mut known: HashMap<String, Progress> =
            news.progress.into_iter().map(|progress| (progress.schedule.clone(), progress)).collect();
        let mut slots = Vec::with_capacity(schedules.len());
        let mut defined: Vec<(Arc<str>, Definition, Timestamp)> = Vec::new();
        for schedule in schedules {
            let progress = known.remove(&*schedule.name);
            let definition = schedule.definition();
            let same = progress.as_ref().filter(|progress| progress.definition == definition);
            let decided = same.map_or(now, |progress| progress.decided);
            if same.is_none() {
                let until = self.close(&schedule, progress.as_ref(), now)?;
                defined.push((Arc::clone(&schedule.name), definition, until));
            }
            let pause = progress.and_then(|progress| progress.pause).map(Box::new);
            slots.push(Slot::new(schedule, decided, pause));
        }
        // What is no longer there has no times: should it come back, it begins anew.
        let gone = known.into_values().filter(|progress| !progress.definition.when.is_empty());
        let nothing = || Definition { when: String::new(), zone: String::new() };
        defined.extend(gone.map(|progress| (progress.schedule.into(), nothing(), progress.decided)));
        let defined: Vec<(&str, Definition, Timestamp)> =
            defined.iter().map(|(name, definition, at)| (&**name, definition.clone(), *at)).collect();
        if !defined.is_empty() {
            self.store.define(&defined)?;
        }
        self.slots = slots;
        let names = self.slots.iter().enumerate();
        self.names = names.map(|(index, slot)| (Arc::clone(&slot.schedule.name), index)).collect();
        self.learn(news.records);
        self.heap.clear();
        (0..self.slots.len()).for_each(|index| self.push(index));
        Ok(())
    }

    /// What an earlier definition left without records has missed its time.
    fn close(
        &self,
        schedule: &Schedule,
        before: Option<&Progress>,
        now: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let Some(before) = before else { return Ok(now) };
        let when = Expression::read(&before.definition.when);
        let zone = crate::zone::find(&before.definition.zone);
        if let (Ok(when), Ok(zone)) = (when, zone) {
            let former = Schedule { when: Arc::new(when), zone, ..schedule.clone() };
            let mut decided = before.decided;
            while let Some(due) = former.next_after(decided).filter(|due| due.instant <= now) {
                decided = due.instant;
                let outcome = Outcome::NotStarted { why: Why::EngineDown };
                let note = "the schedule was changed before anybody was there to start it".to_owned();
                let name = schedule.name.to_string();
                self.store.decided(
                    &[Record {
                        schedule: name,
                        instant: decided,
                        decided: now,
                        outcome,
                        given: Given::new(),
                        note,
                    }],
                    &[(&schedule.name, decided)],
                )?;
            }
        }
        Ok(now)
    }

    /// What a project says now, with what stood before in the place of what it says wrongly.
    #[must_use]
    pub fn mended(&mut self, mut plan: Plan) -> Plan {
        let written = |schedule: &Schedule| schedule.place.as_ref().is_some_and(|place| place.source == FILE);
        let stands = |schedule: &Schedule| {
            plan.refused.iter().any(|name| **name == *schedule.name) || plan.unreadable && written(schedule)
        };
        let kept: Vec<Schedule> = self
            .schedules()
            .filter(|schedule| stands(schedule))
            .map(|schedule| (**schedule).clone())
            .collect();
        plan.schedules.extend(kept);
        if plan.gates_refused {
            plan.gates = std::mem::take(&mut self.gates);
        }
        plan
    }
}
