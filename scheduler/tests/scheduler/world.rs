//! What the tests share: schedules made from a line, a keeper over a store in a temporary folder.

use std::sync::Arc;
use std::time::Duration;

use aegis_engine::journal::{SqliteStore, Verdict};
use aegis_engine::runbook::{AtWindowEnd, Risk};
use aegis_scheduler::keeper::{Launch, Order};
use aegis_scheduler::store::{Ended, RecordStore, SqliteRecords};
use aegis_scheduler::{
    Doubled, Expression, Gates, Keeper, Missed, Overlap, Policy, Record, Schedule, Skipped, zone,
};
use jiff::Timestamp;

/// A schedule with the defaults of files.
pub(crate) fn schedule(name: &str, when: &str, zone_name: &str) -> Schedule {
    let when = Expression::read(when).unwrap();
    let doubled = if when.is_hourly() { Doubled::Both } else { Doubled::First };
    Schedule {
        name: name.into(),
        runbook: "runbooks/a.rhai".into(),
        risk: Risk::Medium,
        at_window_end: AtWindowEnd::Continue,
        notify: Arc::default(),
        target: "sandbox".into(),
        protected: false,
        most_on_target: None,
        group: None,
        params: Arc::default(),
        when: Arc::new(when),
        zone: zone::find(zone_name).unwrap(),
        paused: None,
        policy: Arc::new(Policy {
            from: None,
            until: None,
            overlap: Overlap::Skip,
            missed: Missed::Last,
            catch_up: Duration::from_secs(3600),
            jitter: Duration::ZERO,
            skipped: Skipped::Shift,
            doubled,
            pause_after: None,
            priority: 0,
        }),
        place: None,
    }
}

/// A schedule's policy, to be changed.
pub(crate) fn policy(schedule: &mut Schedule) -> &mut Policy {
    Arc::make_mut(&mut schedule.policy)
}

/// As keepers take them.
pub(crate) fn shared(schedules: Vec<Schedule>) -> Vec<Arc<Schedule>> {
    schedules.into_iter().map(Arc::new).collect()
}

/// An instant.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A keeper over a state directory of its own.
pub(crate) struct World {
    pub(crate) store: Arc<SqliteRecords>,
    pub(crate) keeper: Keeper,
    _directory: tempfile::TempDir,
    directory: std::path::PathBuf,
}

impl World {
    pub(crate) fn new(schedules: Vec<Schedule>, now: &str) -> Self {
        Self::gated(schedules, Gates::default(), now)
    }

    pub(crate) fn gated(schedules: Vec<Schedule>, gates: Gates, now: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        drop(SqliteStore::open(directory.path()).unwrap());
        let store = Arc::new(SqliteRecords::open(directory.path()).unwrap());
        let mut keeper = Keeper::new(Arc::clone(&store) as Arc<dyn RecordStore>);
        keeper.load(shared(schedules), gates, at(now)).unwrap();
        let path = directory.path().to_owned();
        Self { store, keeper, _directory: directory, directory: path }
    }

    /// Another process over the same state directory.
    pub(crate) fn restart(&mut self, schedules: Vec<Schedule>, now: Timestamp) {
        self.store = Arc::new(SqliteRecords::open(&self.directory).unwrap());
        self.keeper = Keeper::new(Arc::clone(&self.store) as Arc<dyn RecordStore>);
        self.keeper.load(shared(schedules), Gates::default(), now).unwrap();
    }

    /// Runs that are to be started at a time.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<Launch> {
        started(self.keeper.tick(now).unwrap())
    }

    /// The run of an instant succeeds.
    pub(crate) fn end(&mut self, launch: &Launch, verdict: Verdict, now: Timestamp) -> Vec<Launch> {
        let (schedule, instant) = launch.key();
        let (news, orders) = self.keeper.ended(&[Ended { schedule, instant, verdict }], now).unwrap();
        assert_eq!(news, [true]);
        started(orders.unwrap())
    }

    /// Ticks, and lets every run end at once, until nothing is left to start.
    pub(crate) fn work(&mut self, now: Timestamp) -> Vec<Timestamp> {
        let mut ran = Vec::new();
        let mut open = self.tick(now);
        while let Some(launch) = open.pop() {
            ran.push(launch.instant);
            open.extend(self.end(&launch, Verdict::Succeeded, now));
        }
        ran.sort();
        ran
    }

    /// Records, oldest first.
    pub(crate) fn records(&self) -> Vec<Record> {
        let mut records = self.store.history(None, usize::MAX).unwrap();
        records.reverse();
        records
    }

    /// `02:00 started`, `03:00 overlap`, one a record.
    pub(crate) fn story(&self) -> Vec<String> {
        let word = |record: &Record| match (record.run(), record.why()) {
            (Some(_), _) => "started".to_owned(),
            (_, Some(why)) => why.word().to_owned(),
            _ => "waiting".to_owned(),
        };
        self.records().iter().map(|r| format!("{} {}", r.instant.strftime("%d %H:%M"), word(r))).collect()
    }
}

pub(crate) fn started(orders: Vec<Order>) -> Vec<Launch> {
    let launch = |order| match order {
        Order::Start(launch) => Some(launch),
        _ => None,
    };
    orders.into_iter().filter_map(launch).collect()
}
