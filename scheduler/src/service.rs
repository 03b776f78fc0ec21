//! The loop: sleeps until something is due, lets the [`Keeper`] decide, and has runs started, taken up again, warned and
//! stopped. One thread, whatever the number of schedules; runs that wait for people cost none.
//!
//! ```text
//!  Handle ----stop----> Service::run --orders--> Launcher (starts runs, knows how they stand)
//!  Launcher --left----> (wakes it)   --Told----> whoever listens (screen, notifications, metrics)
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use aegis_engine::clock::Clock;
use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::journal::{StoreError, Verdict};
use aegis_engine::runbook::AtWindowEnd;
use jiff::{SignedDuration, Timestamp};

use crate::calendar::Subject;
use crate::keeper::{Keeper, Launch, Order};
use crate::reading::Plan;
use crate::record::{Record, Why};
use crate::schedule::Schedule;
use crate::store::Pause;
use crate::trigger::Event;

/// The longest sleep: after a suspend or a jump of the clock nothing is later than this.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);

/// How often runs that nobody here executes are looked at: whether they ended, or a person decided.
const LOOK: Duration = Duration::from_secs(2);

/// A run that somebody promised by hand begins within this time, or not at all; one that could not be taken up is
/// tried again after it.
const SOON: Duration = Duration::from_secs(10);

/// What the clock on the wall may drift from elapsed time between two looks without being told as a jump.
const DRIFT: Duration = Duration::from_secs(2);

/// A run is warned this long before its window closes.
const WARNING: SignedDuration = SignedDuration::from_mins(10);

/// How the service behaves.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Runs that execute at the same time; more wait their turn.
    pub most_runs: usize,
    /// How long runs may take to end once it was asked to stop; then they are left where they stand.
    pub drain: Duration,
}

/// Starts runs and knows how they stand.
pub trait Launcher: Send + Sync + 'static {
    /// Starts a run under its id, or takes it up if it has begun; `left` is called when this process leaves it.
    ///
    /// # Errors
    /// When it can be neither.
    fn launch(&self, launch: &Launch, left: Left) -> Result<(), CallError>;

    /// How a run stands.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn look(&self, run: &str) -> Result<Look, StoreError>;

    /// Cancels a run: what can be undone is undone.
    fn cancel(&self, run: &str, note: &str);

    /// Leaves a run where it stands.
    fn leave(&self, run: &str);

    /// Why effects are halted.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn halted(&self) -> Result<Option<String>, StoreError>;
}

/// Called once when the process leaves a run.
pub type Left = Box<dyn FnOnce(Option<Verdict>) + Send>;

/// Called once with the record of an event, or why nothing could be decided.
pub type Decided = Box<dyn FnOnce(Result<Record, CallError>) + Send>;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It never began.
    Missing,
    /// Some process executes it.
    Executed,
    /// Nobody executes it; it can be resumed.
    Interrupted,
    /// It waits for people, who have decided this often about it.
    Waiting(usize),
    /// It has ended.
    Ended(Verdict),
}

/// What the service tells.
#[derive(Debug, Clone)]
pub enum Told {
    /// It began: schedules, and what is due next.
    Serving {
        /// How many.
        schedules: usize,
        /// When the first is due.
        next: Option<Timestamp>,
    },
    /// A run is promised to an instant or event, and starts when its turn comes.
    Due(Launch),
    /// A run was started or taken up.
    Started(Launch),
    /// A run has ended.
    Ended(Launch, Verdict),
    /// A run waits for people.
    Waiting(Launch),
    /// An instant has no run; its schedule, unless the project has none of that name any more.
    NotStarted(Record, Option<Arc<Schedule>>),
    /// A schedule was paused because it kept failing.
    Paused(Arc<Schedule>, Pause),
    /// The clock on the wall went this far ahead of elapsed time, or back.
    Jumped(SignedDuration),
    /// A run's window closes at this time.
    Closing(Launch, Timestamp, AtWindowEnd),
    /// Something could not be written or read; it is tried again.
    Trouble(String),
    /// One round of the loop is over: it lives.
    Alive(Pulse),
    /// No new runs: it waits for those under way.
    Draining(usize),
}

/// How the service stands after a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// When.
    pub at: Timestamp,
    /// Schedules.
    pub schedules: usize,
    /// Runs that execute here.
    pub executing: usize,
    /// Runs that have not ended and execute nowhere here: they wait for people or for their turn.
    pub parked: usize,
    /// Instants that wait for the run before them.
    pub waiting: usize,
    /// When something is due next.
    pub next: Option<Timestamp>,
}

/// Told of everything, on the service's thread.
pub type Listener = Arc<dyn Fn(&Told) + Send + Sync>;

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
    /// Their turn comes when fewer execute.
    queue: VecDeque<Launch>,
    /// Runs that nobody here executes.
    parked: BTreeMap<String, Parked>,
    looked: Option<Instant>,
    stopping: Option<Instant>,
    /// The store could not be used: what is due stays due, and is tried again after the longest sleep.
    trouble: bool,
}

/// A run that nobody here executes.
struct Parked {
    launch: Launch,
    /// How often people had decided about it when it began to wait for them.
    decisions: Option<usize>,
    /// Since when it is left alone: somebody else may be about to begin it, or it could not be taken up.
    since: Option<Instant>,
}

struct Executing {
    launch: Launch,
    closes: Option<Timestamp>,
    warned: bool,
    stopped: bool,
}

impl Service {
    /// A service over what a keeper keeps.
    #[must_use]
    pub fn new(
        keeper: Keeper,
        launcher: Arc<dyn Launcher>,
        clock: Arc<dyn Clock>,
        listener: Listener,
        options: Options,
    ) -> Self {
        Self {
            keeper,
            launcher,
            clock,
            listener,
            options,
            messages: mpsc::channel(),
            executing: BTreeMap::new(),
            queue: VecDeque::new(),
            parked: BTreeMap::new(),
            looked: None,
            stopping: None,
            trouble: false,
        }
    }

    /// The door.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { messages: self.messages.0.clone() }
    }

    /// Takes over what earlier processes promised, then serves until it is told to stop and its runs have ended.
    pub fn run(mut self) {
        self.take_over();
        let next = self.keeper.next().map(|(at, _)| at);
        self.tell(&Told::Serving { schedules: self.keeper.len(), next });
        let mut last = (Instant::now(), self.clock.now());
        while !self.is_over() {
            last = self.notice_jumps(last);
            self.round();
            self.sleep();
        }
        for run in self.executing.keys() {
            self.launcher.leave(run);
        }
        // What is left writes where it stands; its claims go with the process.
        while !self.executing.is_empty() {
            match self.messages.1.recv_timeout(Duration::from_secs(10)) {
                Ok(Message::Left(run, verdict)) => self.left(&run, verdict),
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

    fn round(&mut self) {
        let now = self.clock.now();
        match self.launcher.halted() {
            Ok(halted) => self.keeper.set_halted(halted),
            Err(error) => self.tell(&Told::Trouble(error.to_string())),
        }
        if self.stopping.is_none() {
            let orders = self.keeper.tick(now);
            self.carry_out(orders);
            if self.looked.is_none_or(|at| at.elapsed() >= LOOK) {
                self.looked = Some(Instant::now());
                self.look_at_parked(now);
                let orders = self.keeper.promote_all(now);
                self.carry_out(orders);
            }
            self.take_turns(now);
        }
        self.watch_windows(now);
        self.pulse(now);
    }

    fn pulse(&self, now: Timestamp) {
        let (_, waiting) = self.keeper.open();
        self.tell(&Told::Alive(Pulse {
            at: now,
            schedules: self.keeper.len(),
            executing: self.executing.len(),
            parked: self.parked.len() + self.queue.len(),
            waiting,
            next: self.keeper.next().map(|(at, _)| at),
        }));
    }

    /// Sleeps until something is due or somebody says something.
    fn sleep(&mut self) {
        let now = self.clock.now();
        let due = self.keeper.next().filter(|_| self.stopping.is_none() && !self.trouble);
        let until = due.map_or(LONGEST_SLEEP, |(at, _)| {
            Duration::try_from(at.duration_since(now)).unwrap_or_default().min(LONGEST_SLEEP)
        });
        match self.messages.1.recv_timeout(until) {
            Ok(message) => self.hear(message),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        while let Ok(message) = self.messages.1.try_recv() {
            self.hear(message);
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Left(run, verdict) => self.left(&run, verdict),
            Message::Load(plan) => {
                let Plan { schedules, gates, .. } = self.keeper.mended(*plan);
                if let Err(error) = self.keeper.load(schedules, gates, self.clock.now()) {
                    self.tell(&Told::Trouble(error.to_string()));
                }
            }
            Message::Event(event, decided) => self.fire(&event, decided),
            Message::Stop { leave } => {
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
                self.tell(&Told::Trouble(error.to_string()));
                decided(Err(aegis_engine::run::Stop::Store(error).error()));
            }
        }
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

    /// Runs that were promised before this process: those that ended are noted, the others are taken up.
    fn take_over(&mut self) {
        let promised: Vec<Launch> = self.keeper.running().cloned().collect();
        for launch in promised {
            self.park(launch, None);
        }
    }

    fn carry_out(&mut self, orders: Result<Vec<Order>, StoreError>) {
        self.trouble = orders.is_err();
        let orders = match orders {
            Ok(orders) => orders,
            Err(error) => return self.tell(&Told::Trouble(error.to_string())),
        };
        for order in orders {
            match order {
                Order::Start(launch) => {
                    self.tell(&Told::Due(launch.clone()));
                    self.queue.push_back(launch);
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

    fn cancel(&mut self, run: &str, note: &str) {
        // What has not begun need not begin; its record says so.
        if let Some(at) = self.queue.iter().position(|launch| launch.run == run)
            && let Some(launch) = self.queue.remove(at)
        {
            let now = self.clock.now();
            let orders = self.keeper.refused(&launch, Why::Overlap, note, now);
            return self.carry_out(orders);
        }
        self.launcher.cancel(run, note);
    }

    /// Starts what is queued, as far as there is room.
    fn take_turns(&mut self, now: Timestamp) {
        while self.executing.len() < self.options.most_runs
            && let Some(launch) = self.queue.pop_front()
        {
            self.start(launch, now);
        }
    }

    fn start(&mut self, launch: Launch, now: Timestamp) {
        let (run, door) = (launch.run.clone(), self.messages.0.clone());
        let left = Box::new(move |verdict| drop(door.send(Message::Left(run, verdict))));
        match self.launcher.launch(&launch, left) {
            Ok(()) => {
                let closes = self.closes(&launch, now);
                self.tell(&Told::Started(launch.clone()));
                let executing = Executing { launch, closes, warned: false, stopped: false };
                self.executing.insert(executing.launch.run.clone(), executing);
            }
            Err(error) => self.not_launched(launch, &error, now),
        }
    }

    /// A run that never began is refused; one that did stays to be taken up.
    fn not_launched(&mut self, launch: Launch, error: &CallError, now: Timestamp) {
        match self.launcher.look(&launch.run) {
            Ok(Look::Missing) => {
                let orders = self.keeper.refused(&launch, Why::Refused, &error.message, now);
                self.carry_out(orders);
            }
            _ => {
                self.tell(&Told::Trouble(format!("`{}`: {}", launch.run, error.message)));
                let parked = Parked { launch, decisions: None, since: Some(Instant::now()) };
                self.parked.insert(parked.launch.run.clone(), parked);
            }
        }
    }

    fn park(&mut self, launch: Launch, decisions: Option<usize>) {
        self.parked.insert(launch.run.clone(), Parked { launch, decisions, since: None });
    }

    fn closes(&self, launch: &Launch, now: Timestamp) -> Option<Timestamp> {
        self.keeper.gates().admit(&subject(launch), now).ok().flatten()
    }

    /// The process has left a run.
    fn left(&mut self, run: &str, verdict: Option<Verdict>) {
        let Some(Executing { launch, .. }) = self.executing.remove(run) else { return };
        match verdict {
            Some(verdict) => self.ended(launch, verdict),
            None => {
                let decisions = match self.launcher.look(run) {
                    Ok(Look::Waiting(decisions)) => {
                        self.tell(&Told::Waiting(launch.clone()));
                        Some(decisions)
                    }
                    _ => None,
                };
                self.park(launch, decisions);
            }
        }
    }

    fn ended(&mut self, launch: Launch, verdict: Verdict) {
        let now = self.clock.now();
        let orders = self.keeper.ended(&launch.schedule.name, launch.instant, verdict, now);
        self.tell(&Told::Ended(launch, verdict));
        self.carry_out(orders);
    }

    /// Looks at runs that nobody here executes.
    fn look_at_parked(&mut self, now: Timestamp) {
        self.adopt();
        for (run, parked) in std::mem::take(&mut self.parked) {
            let young = parked.since.is_some_and(|since| since.elapsed() < SOON);
            let before = parked.decisions;
            match self.launcher.look(&run) {
                Ok(Look::Ended(verdict)) => self.ended(parked.launch, verdict),
                Ok(Look::Missing) if !young => self.begin_late(parked.launch, now),
                Ok(Look::Interrupted) if !young && self.is_admitted(&parked.launch, now) => {
                    self.queue.push_back(parked.launch);
                }
                Ok(Look::Waiting(made)) if before.is_some_and(|before| made > before) => {
                    self.queue.push_back(parked.launch);
                }
                Ok(Look::Waiting(made)) => {
                    self.parked.insert(run, Parked { decisions: Some(made), ..parked });
                }
                _ => drop(self.parked.insert(run, parked)),
            }
        }
    }

    /// Runs that people started by hand: should their process die, somebody has to take them up.
    fn adopt(&mut self) {
        let known = |run: &String| {
            self.executing.contains_key(run)
                || self.parked.contains_key(run)
                || self.queue.iter().any(|launch| launch.run == *run)
        };
        let strangers: Vec<Launch> =
            self.keeper.running().filter(|launch| !known(&launch.run)).cloned().collect();
        for launch in strangers {
            let parked = Parked { launch, decisions: None, since: Some(Instant::now()) };
            self.parked.insert(parked.launch.run.clone(), parked);
        }
    }

    fn is_admitted(&self, launch: &Launch, now: Timestamp) -> bool {
        self.keeper.gates().admit(&subject(launch), now).is_ok()
    }

    /// A run that was promised by a process that died before it began: started if it is not too late.
    fn begin_late(&mut self, launch: Launch, now: Timestamp) {
        let late = now.duration_since(launch.schedule.start_of(launch.instant));
        let most = launch.schedule.policy.catch_up.max(crate::decide::IN_TIME);
        let shut = crate::decide::shut(&launch.schedule, now, self.keeper.gates());
        let orders = match shut {
            Err((why, note)) => self.keeper.refused(&launch, why, &note, now),
            Ok(()) if late > SignedDuration::try_from(most).unwrap_or(SignedDuration::MAX) => {
                let note = "the process that promised it died, and it was too late to begin";
                self.keeper.refused(&launch, Why::EngineDown, note, now)
            }
            Ok(()) => return self.queue.push_back(launch),
        };
        self.carry_out(orders);
    }

    /// Warns runs whose window closes soon, and stops those that want it at its end.
    fn watch_windows(&mut self, now: Timestamp) {
        for executing in self.executing.values_mut() {
            let Some(closes) = executing.closes else { continue };
            let launch = &executing.launch;
            if !executing.warned && now >= closes.checked_sub(WARNING).unwrap_or(closes) {
                executing.warned = true;
                let at_end = launch.schedule.at_window_end;
                (self.listener)(&Told::Closing(launch.clone(), closes, at_end));
            }
            if executing.stopped || now < closes {
                continue;
            }
            executing.stopped = true;
            match launch.schedule.at_window_end {
                AtWindowEnd::Continue => {}
                AtWindowEnd::Leave => self.launcher.leave(&launch.run),
                AtWindowEnd::Cancel => self.launcher.cancel(&launch.run, "its maintenance window closed"),
            }
        }
    }
}

fn stopping() -> CallError {
    CallError::new(codes::NOT_READY, "the scheduler is stopping")
        .hint("send it again: another one will take it")
}

fn subject(launch: &Launch) -> Subject<'_> {
    let schedule = &launch.schedule;
    Subject { risk: schedule.risk, target: &schedule.target, protected: schedule.protected, scheduled: true }
}
