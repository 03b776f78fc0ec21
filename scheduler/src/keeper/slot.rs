//! One schedule and how it stands.

use std::sync::Arc;

use jiff::Timestamp;

use super::Launch;
use crate::calendar::Gates;
use crate::decide::{Standing, shut};
use crate::instants::Due;
use crate::record::{Outcome, Record, Why};
use crate::schedule::Schedule;
use crate::store::Pause;

/// Instants of one schedule that are decided at once: what a long outage left is worked through in portions.
const PORTION: usize = 1000;

/// A schedule and how it stands.
pub(super) struct Slot {
    pub(super) schedule: Arc<Schedule>,
    pub(super) decided: Timestamp,
    pub(super) next: Option<Due>,
    pub(super) pause: Option<Box<Pause>>,
    pub(super) running: Vec<Launch>,
    pub(super) waiting: Vec<Timestamp>,
}

impl Slot {
    pub(super) fn new(schedule: Schedule, decided: Timestamp, pause: Option<Box<Pause>>) -> Self {
        let schedule = Arc::new(schedule);
        Self { schedule, decided, next: None, pause, running: Vec::new(), waiting: Vec::new() }
    }

    /// Nothing is known to be under way or to wait.
    pub(super) fn forget(&mut self) {
        self.running.clear();
        self.waiting.clear();
    }

    /// How one of its records stands now.
    pub(super) fn learn(&mut self, record: Record) {
        let instant = record.instant;
        self.running.retain(|launch| launch.instant != instant);
        self.waiting.retain(|waiting| *waiting != instant);
        match record.outcome {
            Outcome::Started { run, verdict: None } => {
                self.running.push(Launch { schedule: Arc::clone(&self.schedule), instant, run });
            }
            Outcome::Waiting => {
                self.waiting.push(instant);
                self.waiting.sort_unstable();
            }
            Outcome::Started { .. } | Outcome::NotStarted { .. } => {}
        }
    }

    /// True when something waits and nothing is in its way.
    pub(super) fn is_ready(&self) -> bool {
        !self.waiting.is_empty() && self.running.is_empty()
    }

    /// The instants that are due, and whether there are more of them.
    pub(super) fn portion(&self, now: Timestamp) -> (Vec<Due>, bool) {
        let mut due = Vec::new();
        let mut next = self.next;
        while let Some(one) = next.filter(|one| self.schedule.start_of(one.instant) <= now) {
            if due.len() == PORTION {
                return (due, true);
            }
            due.push(one);
            next = self.schedule.next_after(one.instant);
        }
        (due, false)
    }

    pub(super) fn standing<'a>(&'a self, now: Timestamp, halted: Option<&'a str>) -> Standing<'a> {
        Standing {
            now,
            paused: self.paused(),
            halted,
            running: self.running.len(),
            waiting: self.waiting.len(),
            more: false,
        }
    }

    /// Since when and why it is paused: by a person, or by what it says itself.
    fn paused(&self) -> Option<(Timestamp, &str)> {
        let written = self.schedule.paused.as_deref().map(|why| (Timestamp::MIN, why));
        written.or_else(|| self.pause.as_ref().map(|pause| (pause.at, pause.reason.as_str())))
    }

    /// What keeps an instant that waited from being started now.
    pub(super) fn hindered(
        &self,
        now: Timestamp,
        halted: Option<&str>,
        gates: &Gates,
    ) -> Option<(Why, String)> {
        if let Some((_, why)) = self.paused() {
            return Some((Why::Paused, why.to_owned()));
        }
        if let Some(why) = halted {
            return Some((Why::Halted, why.to_owned()));
        }
        shut(&self.schedule, now, gates).err()
    }
}
