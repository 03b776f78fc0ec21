//! The loop: sleeps until something is due, lets the [`Keeper`] decide, takes runs out of the queue as far as there is
//! room, and has them started, taken up again, warned and stopped. One thread, whatever the number of schedules; runs
//! that wait for people cost none.
//!
//! ```text
//!  Keeper -> records in the store = the queue -> take -> Launcher (starts runs, knows how they stand)
//!  Handle ----stop----> Service::run <--left-- Launcher
//!                            | Told ----> whoever listens (screen, notifications, metrics)
//! ```
//!
//! - `launcher`: the seam to whatever executes runs; `election`: the one to who says which engine leads; `told`: what it tells
//! - `turns`: from the queue to a run that executes here, and back
//! - `parked`: runs that wait for people; `windows`: what happens when a maintenance window closes
//!
//! Any number of engines run this loop on one store. Instants are decided by whoever is first, or by the one that an
//! election made the leader; a run that was promised is taken by whoever has room.

mod election;
mod launcher;
mod parked;
mod told;
mod turns;
mod windows;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use aegis_engine::clock::Clock;
use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::journal::{StoreError, Verdict};
use jiff::{SignedDuration, Timestamp};

use crate::keeper::{Keeper, Order, Promised};
use crate::reading::Plan;
use crate::record::{Record, Why};
use crate::trigger::Event;
pub use election::{Election, Everybody};
pub use launcher::{Launcher, Left, Look};
pub use told::{Listener, Pulse, Told};
use turns::Executing;
pub use windows::CLOSED;

/// The longest sleep: after a suspend or a jump of the clock nothing is later than this.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);

/// How often the queue and the journals are looked at for what others did.
const LOOK: Duration = Duration::from_secs(2);

/// An instant that the leader has not decided on by then is decided by whoever sees it.
const OVERDUE: SignedDuration = SignedDuration::from_secs(5);

/// What the clock on the wall may drift from elapsed time between two looks without being told as a jump.
const DRIFT: Duration = Duration::from_secs(2);

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Tells this engine from others on the same store, and from the one before it.
    pub engine: String,
    /// Runs that execute at the same time; more wait their turn.
    pub most_runs: usize,
    /// How long runs may take to end once it was asked to stop; then they are left where they stand.
    pub drain: Duration,
    /// How often it looks at what others did.
    pub look: Duration,
    /// Which engine decides on instants.
    pub election: Arc<dyn Election>,
}

impl Options {
    /// The usual ones, for an engine of this name.
    #[must_use]
    pub fn of(engine: impl Into<String>) -> Self {
        let (most_runs, drain, election) = (32, Duration::from_secs(30), Arc::new(Everybody));
        Self { engine: engine.into(), most_runs, drain, look: LOOK, election }
    }
}

/// Called once with the record of an event, or why nothing could be decided.
pub type Decided = Box<dyn FnOnce(Result<Record, CallError>) + Send>;

enum Message {
    Left(String, Option<Verdict>),
    Load(Box<Plan>),
    Event(Box<Event>, Decided),
    Stop { leave: bool },
}

/// The door into a service that runs. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    messages: Sender<Message>,
}

impl Handle {
    /// Starts no more runs, waits for those under way, then returns from [`Service::run`].
    pub fn stop(&self) {
        let _ = self.messages.send(Message::Stop { leave: false });
    }

    /// Leaves all runs where they stand, then returns.
    pub fn leave(&self) {
        let _ = self.messages.send(Message::Stop { leave: true });
    }

    /// Decides on an event between two rounds.
    pub fn fire(&self, event: Event, decided: Decided) {
        if let Err(unheard) = self.messages.send(Message::Event(Box::new(event), decided))
            && let Message::Event(_, decided) = unheard.0
        {
            decided(Err(stopping()));
        }
    }

    /// Takes in what the project says now; what it says wrongly stands as it was.
    pub fn load(&self, plan: Plan) {
        let _ = self.messages.send(Message::Load(Box::new(plan)));
    }
}

/// The scheduler of one process.
pub struct Service {
    keeper: Keeper,
    launcher: Arc<dyn Launcher>,
    clock: Arc<dyn Clock>,
    listener: Listener,
    options: Options,
    messages: (Sender<Message>, Receiver<Message>),
    executing: BTreeMap<String, Executing>,
    /// When it began: what was promised before, somebody promised who may have died.
    began: Timestamp,
    /// Something may be in the queue.
    hungry: bool,
    /// Whether windows and freezes have mistakes that let nothing start, as it was told.
    shut: bool,
    /// Whether effects were halted when it last looked.
    halted: bool,
    /// The other engine that decides on instants.
    leader: Option<String>,
    /// Whether it was told who leads, as far as there is anything to tell.
    knows_leader: bool,
    looked: Option<Instant>,
    kept: Instant,
    stopping: Option<Instant>,
    /// The store could not be used: what is due stays due, and is tried again after the longest sleep.
    trouble: bool,
    /// Whether the store could not be used since the last round ended, and in the one before.
    unusable: (Cell<bool>, bool),
}

impl Service {
    /// A service over a keeper that has been loaded.
    #[must_use]
    pub fn new(
        keeper: Keeper,
        launcher: Arc<dyn Launcher>,
        clock: Arc<dyn Clock>,
        listener: Listener,
        options: Options,
    ) -> Self {
        let knows_leader = !options.election.elects();
        Self {
            keeper,
            launcher,
            began: clock.now(),
            clock,
            listener,
            options,
            messages: mpsc::channel(),
            executing: BTreeMap::new(),
            hungry: true,
            shut: false,
            halted: false,
            leader: None,
            knows_leader,
            looked: None,
            kept: Instant::now(),
            stopping: None,
            trouble: false,
            unusable: (Cell::new(false), false),
        }
    }

    /// The door.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { messages: self.messages.0.clone() }
    }

    /// Takes over what earlier processes promised, then serves until it is told to stop and its runs have ended.
    pub fn run(mut self) {
        self.look_at_all();
        let next = self.keeper.next().map(|(at, _)| at);
        let shut = self.keeper.gates().are_shut;
        self.tell(&Told::Serving { schedules: self.keeper.len(), next, shut });
        self.notice_shutting();
        let mut last = (Instant::now(), self.clock.now());
        while !self.is_over() {
            last = self.notice_jumps(last);
            self.round();
            self.sleep();
        }
        for run in self.executing.keys() {
            self.launcher.leave(run, "");
        }
        // What is left writes where it stands; its claims go with the process.
        while !self.executing.is_empty() {
            match self.messages.1.recv_timeout(Duration::from_secs(10)) {
                Ok(Message::Left(run, verdict)) => self.left(vec![(run, verdict)]),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stopping.is_some_and(|at| self.executing.is_empty() || Instant::now() >= at)
    }

    fn tell(&self, told: &Told) {
        (self.listener)(told);
    }

    /// Tells of what could not be read or written: it is tried again.
    fn unless_trouble<T>(&self, answer: Result<T, StoreError>) -> Option<T> {
        answer.map_err(|error| self.in_trouble(&error)).ok()
    }

    fn in_trouble(&self, error: &StoreError) {
        self.unusable.0.set(true);
        self.tell(&Told::Trouble(error.to_string()));
    }

    /// Every round asks the store something: one without trouble is the end of it.
    fn notice_mending(&mut self) {
        let is_unusable = self.unusable.0.replace(false);
        if self.unusable.1 && !is_unusable {
            self.tell(&Told::Mended);
        }
        self.unusable.1 = is_unusable;
    }

    fn round(&mut self) {
        let now = self.clock.now();
        self.look_at_halt();
        if self.stopping.is_none() {
            self.look_who_leads();
            if self.leader.is_none() {
                self.decide(now);
            }
            if self.looked.is_none_or(|at| at.elapsed() >= self.options.look) {
                self.looked = Some(Instant::now());
                if self.leader.is_some() {
                    self.stand_by(now);
                }
                self.look_at_changes();
                let orders = self.keeper.promote_all(now);
                self.carry_out(orders);
                self.hungry = true;
            }
            self.take_turns(now);
            if !self.trouble {
                self.options.election.works();
            }
        }
        self.keep_what_executes(now);
        self.watch_windows(now);
        self.notice_mending();
        self.pulse(now);
    }

    fn decide(&mut self, now: Timestamp) {
        let orders = self.keeper.tick(now);
        self.carry_out(orders);
    }

    /// Learns what the leader decided. One that hangs, or has just died, is not waited for.
    fn stand_by(&mut self, now: Timestamp) {
        let learned = self.keeper.stand_by(now);
        self.trouble = self.unless_trouble(learned).is_none();
        if self.keeper.next().is_some_and(|(at, _)| now.duration_since(at) > OVERDUE) {
            self.decide(now);
        }
    }

    fn look_who_leads(&mut self) {
        let leader = self.options.election.leader();
        if self.leader != leader || !self.knows_leader {
            self.tell(&Told::Leads(leader.clone()));
            (self.leader, self.knows_leader) = (leader, true);
        }
    }

    fn pulse(&self, now: Timestamp) {
        let (open, waiting) = self.keeper.open();
        self.tell(&Told::Alive(Pulse {
            at: now,
            schedules: self.keeper.len(),
            executing: self.executing.len(),
            parked: open.saturating_sub(self.executing.len()),
            waiting,
            next: self.keeper.next().map(|(at, _)| at),
            leads: self.leader.is_none(),
        }));
    }

    /// Sleeps until something is due or somebody says something.
    fn sleep(&mut self) {
        let now = self.clock.now();
        let decides = self.stopping.is_none() && self.leader.is_none();
        let due = self.keeper.next().filter(|_| decides && !self.trouble);
        let goes_on = self.hungry && self.has_room() && self.stopping.is_none();
        let until = match due {
            _ if goes_on => Duration::ZERO,
            Some((at, _)) => {
                Duration::try_from(at.duration_since(now)).unwrap_or_default().min(LONGEST_SLEEP)
            }
            None => LONGEST_SLEEP,
        };
        let first = self.messages.1.recv_timeout(until).ok();
        let messages: Vec<Message> = first.into_iter().chain(self.messages.1.try_iter()).collect();
        self.hear(messages);
    }

    /// Hears messages in their order; runs that were left one after the other are noted together.
    fn hear(&mut self, messages: Vec<Message>) {
        let mut left = Vec::new();
        for message in messages {
            if let Message::Left(run, verdict) = message {
                left.push((run, verdict));
            } else {
                self.left(std::mem::take(&mut left));
                self.hear_one(message);
            }
        }
        self.left(left);
    }

    fn hear_one(&mut self, message: Message) {
        match message {
            Message::Left(run, verdict) => self.left(vec![(run, verdict)]),
            Message::Load(plan) => {
                let Plan { schedules, gates, .. } = self.keeper.mended(*plan);
                let loaded = self.keeper.load(schedules, gates, self.clock.now());
                self.unless_trouble(loaded);
                self.notice_shutting();
            }
            Message::Event(event, decided) => self.fire(&event, decided),
            Message::Stop { leave } => {
                self.launcher.stopping();
                self.options.election.resign();
                let wait = if leave || self.stopping.is_some() { Duration::ZERO } else { self.options.drain };
                self.stopping = Some(Instant::now() + wait);
                self.tell(&Told::Draining(self.executing.len()));
            }
        }
    }

    fn fire(&mut self, event: &Event, decided: Decided) {
        if self.stopping.is_some() {
            return decided(Err(stopping()));
        }
        if let Ok(halted) = self.launcher.halted() {
            self.keeper.set_halted(halted);
        }
        match self.keeper.fire(event, self.clock.now()) {
            Ok((record, orders)) => {
                decided(Ok(record));
                self.carry_out(Ok(orders));
            }
            Err(error) => {
                self.in_trouble(&error);
                decided(Err(aegis_engine::run::Stop::Store(error).error()));
            }
        }
    }

    /// Tells once that windows and freezes with mistakes let nothing start, and once that they are mended: records of
    /// instants that are frozen are no news to anybody.
    fn notice_shutting(&mut self) {
        let shut = self.keeper.gates().are_shut;
        match (self.shut, shut) {
            (false, true) => self.tell(&Told::Shut(self.keeper.schedules().map(Arc::clone).collect())),
            (true, false) => self.tell(&Told::Opened),
            _ => {}
        }
        self.shut = shut;
    }

    /// Tells when the clock on the wall and elapsed time part ways: somebody set it, or the machine slept.
    fn notice_jumps(&self, (before, wall): (Instant, Timestamp)) -> (Instant, Timestamp) {
        let (after, now) = (Instant::now(), self.clock.now());
        let elapsed = SignedDuration::try_from(after - before).unwrap_or_default();
        let jump = now.duration_since(wall) - elapsed;
        if jump.unsigned_abs() > DRIFT {
            self.tell(&Told::Jumped(jump));
        }
        (after, now)
    }

    fn carry_out(&mut self, orders: Result<Vec<Order>, StoreError>) {
        self.trouble = orders.is_err();
        for order in self.unless_trouble(orders).unwrap_or_default() {
            match order {
                Order::Start(launch) => {
                    self.hungry = true;
                    self.tell(&Told::Due(launch));
                }
                Order::Cancel { run, note } => self.cancel(&run, &note),
                Order::NotStarted(record) => {
                    let schedule = self.keeper.schedule(&record.schedule).cloned();
                    self.tell(&Told::NotStarted(record, schedule));
                }
                Order::Paused { schedule, pause } => self.tell(&Told::Paused(schedule, pause)),
            }
        }
    }

    /// What has not begun need not begin, and its record says so; what is under way is told.
    fn cancel(&mut self, run: &str, note: &str) {
        let now = self.clock.now();
        let waits = self.keeper.take_one(&self.options.engine, run, now).unwrap_or(false);
        let launch = self.keeper.running().find(|launch| launch.run == run).cloned();
        match launch {
            Some(launch) if waits && matches!(self.launcher.look(run), Ok(Look::Missing)) => {
                let orders = self.keeper.refused(&launch, Why::Overlap, note, now);
                self.carry_out(orders);
            }
            launch => {
                self.launcher.cancel(run, note);
                let taken = launch.filter(|_| waits).map(|launch| Promised { launch, at: now });
                self.begin(taken.into_iter().collect(), now);
            }
        }
    }
}

fn stopping() -> CallError {
    CallError::new(codes::NOT_READY, "the scheduler is stopping")
        .hint("send it again: another one will take it")
}
