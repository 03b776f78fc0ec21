//! What happens to the instants that are due. Pure: everything it depends on comes in, nothing goes out but the
//! choices, one for each instant.

use std::time::Duration;

use jiff::Timestamp;

use crate::calendar::{Gates, Subject};
use crate::instants::{Due, Kind};
use crate::record::Why;
use crate::schedule::{Missed, Overlap, Schedule};

/// How much later than its time an instant may be looked at and still be in time: what a busy machine, a restart
/// of the service or a short suspend takes.
pub const IN_TIME: Duration = Duration::from_secs(60);

/// What is known besides the schedule.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// Now.
    pub now: Timestamp,
    /// Since when and why it is paused.
    pub paused: Option<(Timestamp, &'a str)>,
    /// Why effects are halted.
    pub halted: Option<&'a str>,
    /// Runs of the schedule that have not ended.
    pub running: usize,
    /// Instants that wait for them.
    pub waiting: usize,
    /// More instants are due than are looked at here: the newest is not among these.
    pub more: bool,
}

/// What happens to one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Its run starts.
    Start,
    /// It waits for the runs under way.
    Wait,
    /// The runs under way are cancelled, what waits gives way to it, and it waits for their end.
    Replace,
    /// It has no run.
    Not(Why, String),
}

/// Chooses for every instant that is due, oldest first.
#[must_use]
pub fn decide(schedule: &Schedule, due: &[Due], standing: Standing<'_>, gates: &Gates) -> Vec<Choice> {
    let kept = kept(schedule, due, standing);
    let mut crowd = Crowd { running: standing.running, waiting: standing.waiting };
    let newest = due.iter().rposition(|due| due.kind != Kind::Skipped).filter(|_| !standing.more);
    let choose = |(index, (due, kept)): (usize, (&Due, &bool))| {
        if let Some(not) = hindered(schedule, due, *kept, standing, gates) {
            return not;
        }
        crowd.choose(schedule.policy.overlap, newest == Some(index))
    };
    due.iter().zip(&kept).enumerate().map(choose).collect()
}

/// Which instants are in time, or may be caught up.
fn kept(schedule: &Schedule, due: &[Due], standing: Standing<'_>) -> Vec<bool> {
    let now = standing.now;
    let late = |due: &Due| now.duration_since(schedule.start_of(due.instant));
    let within = |due: &Due, most: Duration| late(due).unsigned_abs() <= most || late(due).is_negative();
    let newest = due.iter().rposition(|due| due.kind != Kind::Skipped).filter(|_| !standing.more);
    let keeps = |(index, due): (usize, &Due)| match schedule.policy.missed {
        _ if within(due, IN_TIME) => true,
        Missed::None => false,
        Missed::Last => newest == Some(index) && within(due, schedule.policy.catch_up),
        Missed::All => within(due, schedule.policy.catch_up),
    };
    due.iter().enumerate().map(keeps).collect()
}

/// What keeps an instant from being started, whatever else runs.
fn hindered(
    schedule: &Schedule,
    due: &Due,
    kept: bool,
    standing: Standing<'_>,
    gates: &Gates,
) -> Option<Choice> {
    if due.kind == Kind::Skipped {
        let note = format!("{} is on no clock that day", due.wall.strftime("%H:%M"));
        return Some(Choice::Not(Why::SkippedHour, note));
    }
    if let Some((_, why)) = standing.paused.filter(|(since, _)| due.instant >= *since) {
        return Some(Choice::Not(Why::Paused, why.to_owned()));
    }
    if !kept {
        return Some(Choice::Not(Why::EngineDown, "nobody was there to start it in time".to_owned()));
    }
    if let Some(why) = standing.halted {
        return Some(Choice::Not(Why::Halted, why.to_owned()));
    }
    shut(schedule, standing.now, gates).err().map(|(why, note)| Choice::Not(why, note))
}

/// Whether windows and freezes let a run of the schedule start now.
///
/// # Errors
/// Which of them does not.
pub fn shut(schedule: &Schedule, now: Timestamp, gates: &Gates) -> Result<(), (Why, String)> {
    let subject = Subject {
        risk: schedule.risk,
        target: &schedule.target,
        protected: schedule.protected,
        scheduled: true,
    };
    gates.admit(&subject, now).map(drop).map_err(|refusal| (refusal.why, refusal.note()))
}

/// Who is under way and who waits, as the instants of one look are chosen for.
struct Crowd {
    running: usize,
    waiting: usize,
}

impl Crowd {
    fn choose(&mut self, overlap: Overlap, newest: bool) -> Choice {
        let behind = || Choice::Not(Why::Overlap, "a run of the schedule was under way".to_owned());
        if overlap == Overlap::CancelOther && !newest {
            return Choice::Not(Why::Overlap, "a later one took its place".to_owned());
        }
        match overlap {
            _ if self.running == 0 && self.waiting == 0 => self.start(),
            Overlap::Allow => self.start(),
            Overlap::Skip => behind(),
            Overlap::BufferOne if self.waiting > 0 => behind(),
            Overlap::BufferOne | Overlap::BufferAll => {
                self.waiting += 1;
                Choice::Wait
            }
            Overlap::CancelOther => Choice::Replace,
        }
    }

    const fn start(&mut self) -> Choice {
        self.running += 1;
        Choice::Start
    }
}
