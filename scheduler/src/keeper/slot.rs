//! One schedule and how it stands. Most schedules are idle most of the time, so what is known of the others stands
//! apart, as their [`Affairs`].

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
pub(super) const PORTION: usize = 1000;

/// A schedule, and how far it has come.
pub(super) struct Slot {
    pub(super) schedule: Arc<Schedule>,
    pub(super) decided: Timestamp,
}

/// The instants of a slot that are due, as many as are decided at once.
pub(super) struct Portion {
    pub(super) due: Vec<Due>,
    /// The one after them.
    pub(super) next: Option<Due>,
}

impl Slot {
    /// The instants that are due.
    pub(super) fn portion(&self, now: Timestamp) -> Portion {
        let mut due = Vec::new();
        let mut next = self.schedule.next_after(self.decided);
        while let Some(one) = next.filter(|one| due.len() < PORTION && self.is_due(one, now)) {
            due.push(one);
            next = self.schedule.next_after(one.instant);
        }
        Portion { due, next }
    }

    /// Whether the run of an instant is to start by now.
    pub(super) fn is_due(&self, due: &Due, now: Timestamp) -> bool {
        self.schedule.start_of(due.instant) <= now
    }

    /// When it is to be looked at again.
    pub(super) fn start(&self, next: Option<Due>) -> Option<Timestamp> {
        next.map(|next| self.schedule.start_of(next.instant))
    }
}

/// What is not at its end in a schedule.
#[derive(Default)]
pub(super) struct Affairs {
    pub(super) pause: Option<Pause>,
    pub(super) running: Vec<Launch>,
    pub(super) waiting: Vec<Timestamp>,
}

impl Affairs {
    /// Of a schedule that is idle.
    pub(super) const NONE: Self = Self { pause: None, running: Vec::new(), waiting: Vec::new() };

    pub(super) fn is_idle(&self) -> bool {
        self.pause.is_none() && self.running.is_empty() && self.waiting.is_empty()
    }

    /// Nothing is known to be under way or to wait.
    pub(super) fn forget(&mut self) {
        self.running.clear();
        self.waiting.clear();
    }

    /// How a record of the schedule stands now.
    pub(super) fn learn(&mut self, schedule: &Arc<Schedule>, record: &Record) {
        let instant = record.instant;
        self.running.retain(|launch| launch.instant != instant);
        self.waiting.retain(|waiting| *waiting != instant);
        match record.outcome {
            Outcome::Started { verdict: None, .. } => self.running.extend(Launch::of(schedule, record)),
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

    pub(super) fn standing<'a>(
        &'a self,
        schedule: &'a Schedule,
        now: Timestamp,
        halted: Option<&'a str>,
    ) -> Standing<'a> {
        Standing {
            now,
            paused: self.paused(schedule),
            halted,
            running: self.running.len(),
            waiting: self.waiting.len(),
            more: false,
        }
    }

    /// Since when and why it is paused: by a person, or by what it says itself.
    fn paused<'a>(&'a self, schedule: &'a Schedule) -> Option<(Timestamp, &'a str)> {
        let written = schedule.paused.as_deref().map(|why| (Timestamp::MIN, why));
        written.or_else(|| self.pause.as_ref().map(|pause| (pause.at, pause.reason.as_str())))
    }

    /// What keeps an instant that waited from being started now.
    pub(super) fn hindered(
        &self,
        schedule: &Schedule,
        now: Timestamp,
        halted: Option<&str>,
        gates: &Gates,
    ) -> Option<(Why, String)> {
        if let Some((_, why)) = self.paused(schedule) {
            return Some((Why::Paused, why.to_owned()));
        }
        if let Some(why) = halted {
            return Some((Why::Halted, why.to_owned()));
        }
        shut(schedule, now, gates).err()
    }
}
