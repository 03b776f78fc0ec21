//! From the queue to a run that executes here, and back: what the process leaves is noted, parked or put back.

use std::time::{Duration, Instant};

use aegis_engine::error::CallError;
use aegis_engine::journal::Verdict;
use jiff::{SignedDuration, Timestamp};

use super::{Look, Message, Service, Told};
use crate::keeper::{Launch, Promised};
use crate::record::Why;
use crate::store::{Ended, Rest};

/// What could not be taken up is tried again after this long.
const SOON: Duration = Duration::from_secs(10);

/// A run that this process executes.
pub(super) struct Executing {
    pub(super) launch: Launch,
    /// When its maintenance window closes.
    pub(super) closes: Option<Timestamp>,
    pub(super) warned: bool,
    pub(super) stopped: bool,
}

impl Service {
    /// Takes what waits, as far as there is room.
    pub(super) fn take_turns(&mut self, now: Timestamp) {
        if !self.hungry || !self.has_room() {
            return;
        }
        let taken = self.keeper.take(&self.options.engine, self.room(), now);
        let taken = self.unless_trouble(taken).unwrap_or_default();
        // Runs that turn out to need nobody make room for others.
        self.hungry = !taken.is_empty();
        self.begin(taken, now);
    }

    fn room(&self) -> usize {
        self.options.most_runs.saturating_sub(self.executing.len())
    }

    pub(super) fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// Does what runs out of the queue need.
    pub(super) fn begin(&mut self, taken: Vec<Promised>, now: Timestamp) {
        let (mut ended, mut back) = (Vec::new(), Vec::new());
        for Promised { launch, at } in taken {
            if self.executing.contains_key(&launch.run) {
                continue;
            }
            match self.launcher.look(&launch.run) {
                Ok(Look::Missing) => back.extend(self.begin_first(launch, at, now)),
                Ok(Look::Interrupted | Look::Waiting(true)) if self.is_admitted(&launch, now) => {
                    back.extend(self.start(launch, now));
                }
                Ok(Look::Placed) => back.extend(self.start(launch, now)),
                Ok(Look::GivenUp | Look::Waiting(false)) => back.push((launch, Rest::Parked)),
                Ok(Look::Ended(verdict)) => ended.push((launch, verdict)),
                Ok(Look::Executed | Look::Interrupted | Look::Waiting(true)) => {
                    back.push((launch, Rest::After(SOON)));
                }
                Err(error) => {
                    self.in_trouble(&error);
                    back.push((launch, Rest::After(SOON)));
                }
            }
        }
        self.put_back(&back);
        self.ended(&ended);
    }

    /// A run that was promised by a process that died before it began is started if it is not too late; one that
    /// waited for room is started when it is allowed now. Answers what is to be put back.
    fn begin_first(&mut self, launch: Launch, promised: Timestamp, now: Timestamp) -> Option<(Launch, Rest)> {
        let late = now.duration_since(launch.schedule.start_of(launch.instant));
        let most = launch.schedule.policy.catch_up.max(crate::decide::IN_TIME);
        let is_late = late > SignedDuration::try_from(most).unwrap_or(SignedDuration::MAX);
        let orders = match crate::decide::shut(&launch.schedule, now, self.keeper.gates()) {
            Err((why, note)) => self.keeper.refused(&launch, why, &note, now),
            Ok(()) if is_late && promised < self.began => {
                let note = "the process that promised it died, and it was too late to begin";
                self.keeper.refused(&launch, Why::EngineDown, note, now)
            }
            Ok(()) => return self.start(launch, now),
        };
        self.carry_out(orders);
        None
    }

    fn start(&mut self, launch: Launch, now: Timestamp) -> Option<(Launch, Rest)> {
        let (run, door) = (launch.run.clone(), self.messages.0.clone());
        let left = Box::new(move |verdict| drop(door.send(Message::Left(run, verdict))));
        match self.launcher.launch(&launch, left) {
            Ok(()) => {
                let closes = self.closes(&launch, now);
                self.tell(&Told::Started(launch.clone()));
                let executing = Executing { launch, closes, warned: false, stopped: false };
                self.executing.insert(executing.launch.run.clone(), executing);
                None
            }
            Err(error) => self.not_launched(launch, &error, now),
        }
    }

    /// A run that never began is refused; one that did is tried again.
    fn not_launched(&mut self, launch: Launch, error: &CallError, now: Timestamp) -> Option<(Launch, Rest)> {
        match self.launcher.look(&launch.run) {
            Ok(Look::Missing) if !is_passing(error) => {
                let orders = self.keeper.refused(&launch, Why::Refused, &error.message, now);
                self.carry_out(orders);
                None
            }
            Ok(Look::Ended(verdict)) => {
                self.ended(&[(launch, verdict)]);
                None
            }
            _ => {
                self.tell(&Told::Trouble(format!("`{}`: {}", launch.run, error.message)));
                Some((launch, Rest::After(SOON)))
            }
        }
    }

    /// The process has left runs: what became of all of them is noted at once.
    pub(super) fn left(&mut self, runs: Vec<(String, Option<Verdict>)>) {
        let (mut ended, mut back) = (Vec::new(), Vec::new());
        for (run, verdict) in runs {
            let Some(Executing { launch, .. }) = self.executing.remove(&run) else { continue };
            self.hungry = true;
            let look = verdict.map_or_else(|| self.launcher.look(&run), |verdict| Ok(Look::Ended(verdict)));
            match look {
                Ok(Look::Ended(verdict)) => ended.push((launch, verdict)),
                Ok(Look::Waiting(decided)) => {
                    self.tell(&Told::Waiting(launch.clone()));
                    back.push((launch, if decided { Rest::After(Duration::ZERO) } else { Rest::Parked }));
                }
                Ok(Look::GivenUp) => {
                    self.tell(&Told::Waiting(launch.clone()));
                    back.push((launch, Rest::Parked));
                }
                _ => {
                    let again = if self.stopping.is_some() { Duration::ZERO } else { SOON };
                    back.push((launch, Rest::After(again)));
                }
            }
        }
        self.put_back(&back);
        self.ended(&ended);
    }

    /// What cannot be put back is free when this engine has not kept it for a while.
    pub(super) fn put_back(&self, runs: &[(Launch, Rest)]) {
        if runs.is_empty() {
            return;
        }
        let back: Vec<_> = runs.iter().map(|(launch, rest)| (launch.key(), *rest)).collect();
        let done = self.keeper.store().put_back(&self.options.engine, self.clock.now(), &back);
        self.unless_trouble(done);
    }

    /// Ends that cannot be noted are noted when the runs are taken again: their journals say so.
    pub(super) fn ended(&mut self, runs: &[(Launch, Verdict)]) {
        if runs.is_empty() {
            return;
        }
        let ended = runs.iter().map(|(launch, verdict)| (launch.key(), *verdict));
        let ended: Vec<Ended<'_>> =
            ended.map(|((schedule, instant), verdict)| Ended { schedule, instant, verdict }).collect();
        let noted = self.keeper.ended(&ended, self.clock.now());
        let Some((news, orders)) = self.unless_trouble(noted) else { return };
        for ((launch, verdict), _) in runs.iter().zip(news).filter(|(_, news)| *news) {
            self.tell(&Told::Ended(launch.clone(), *verdict));
        }
        self.carry_out(orders);
    }

    /// Says that this engine still has what it took.
    pub(super) fn keep_what_executes(&mut self, now: Timestamp) {
        if self.executing.is_empty() || self.kept.elapsed() < self.options.look {
            return;
        }
        self.kept = Instant::now();
        let runs: Vec<_> = self.executing.values().map(|executing| executing.launch.key()).collect();
        let kept = self.keeper.store().keep(&self.options.engine, now, &runs);
        self.unless_trouble(kept);
    }
}

/// True when it is not the run's fault: the store or another process is in the way.
fn is_passing(error: &CallError) -> bool {
    use aegis_engine::codes;
    [codes::UNREACHABLE, codes::CLAIMED, codes::DISK_FULL, codes::STATE]
        .iter()
        .any(|code| code.0 == error.code)
}
