//! The scheduler with 100,000 schedules: what they take in memory, and how late runs start when 1,000 of them are due in
//! the same second, second after second.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aegis_engine::CallError;
use aegis_engine::clock::{Clock, SystemClock};
use aegis_engine::journal::{PostgresStore, SqliteStore, StoreError, Verdict};
use aegis_engine::runbook::{AtWindowEnd, Risk};
use aegis_engine::testing::PostgresServer;
use aegis_engine::testing::postgres::opened;
use aegis_scheduler::expression::Expressions;
use aegis_scheduler::keeper::Launch;
use aegis_scheduler::service::{Launcher, Left, Look, Options, Service, Told};
use aegis_scheduler::store::{PostgresRecords, RecordStore, SqliteRecords};
use aegis_scheduler::{Doubled, Gates, Keeper, Missed, Overlap, Policy, Schedule, Skipped, zone};
use jiff::Timestamp;

use crate::{Row, fresh, percentile};

const SCHEDULES: usize = 100_000;
const DUE: usize = 1000;
const SECONDS: u64 = 10;

/// On the file of a state directory.
pub(crate) fn all(directory: &Path) -> Vec<Row> {
    let directory = fresh(directory, "scheduler");
    drop(SqliteStore::open(&directory).unwrap_or_else(|error| panic!("{error}")));
    let store = SqliteRecords::open(&directory).unwrap_or_else(|error| panic!("{error}"));
    let (mut taken, lags) = measured(Arc::new(store));
    taken.extend(lags.rows(["1,000 due in a second: lag p50", "1,000 due in a second: lag p99"]));
    taken
}

/// On the database that engines share.
pub(crate) fn database(_: &Path) -> Vec<Row> {
    let server = PostgresServer::durable();
    let database = opened(&server.create("bench"), Duration::from_secs(90));
    drop(PostgresStore::open(&database).unwrap_or_else(|error| panic!("{error}")));
    let store = PostgresRecords::open(&database).unwrap_or_else(|error| panic!("{error}"));
    let (_, lags) = measured(Arc::new(store));
    lags.rows(["the same on PostgreSQL: lag p50", "the same on PostgreSQL: lag p99"]).into()
}

/// What the schedules take, and how late their runs began.
fn measured(store: Arc<dyn RecordStore>) -> (Vec<Row>, Began) {
    let before = resident();
    let began = Instant::now();
    let mut keeper = Keeper::new(store);
    let schedules = schedules();
    let loaded = keeper.load(schedules, Gates::default(), SystemClock.now());
    loaded.unwrap_or_else(|error| panic!("{error}"));
    let (took, memory) = (began.elapsed(), resident() - before);
    let taken = vec![
        Row {
            what: "100,000 schedules: memory",
            figure: format!("{:.1} MB", memory / 1e6),
            against: "goal: 64 MB".to_owned(),
        },
        Row {
            what: "100,000 schedules: taken in",
            figure: format!("{:.2} s", took.as_secs_f64()),
            against: "with their first rows in the store".to_owned(),
        },
    ];
    (taken, served(keeper))
}

/// Serves for some seconds.
fn served(keeper: Keeper) -> Began {
    let lags = Arc::new(Lags::default());
    let options = Options { most_runs: usize::MAX, drain: Duration::from_secs(5), ..Options::of("bench") };
    let trouble = Arc::new(|told: &Told| {
        if let Told::Trouble(why) = told {
            panic!("{why}");
        }
    });
    let service =
        Service::new(keeper, Arc::clone(&lags) as Arc<dyn Launcher>, Arc::new(SystemClock), trouble, options);
    let handle = service.handle();
    let serving = SystemClock.now();
    let running = std::thread::spawn(move || service.run());
    let until = Instant::now() + Duration::from_secs(SECONDS);
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
    handle.stop();
    let _ = running.join();
    // What came while they were being taken in is as late as that took.
    let lags = lags.0.lock().unwrap_or_else(PoisonError::into_inner);
    Began(lags.iter().filter(|(instant, _)| *instant > serving).map(|(_, lag)| *lag).collect())
}

/// How late runs began, in milliseconds.
struct Began(Vec<f64>);

impl Began {
    fn rows(mut self, [half, most]: [&'static str; 2]) -> [Row; 2] {
        let started = self.0.len();
        let mut row = |what, share, against| {
            let figure = format!("{:.1} ms", percentile(&mut self.0, share));
            Row { what, figure, against }
        };
        let each = format!("{started} starts in {SECONDS} s, each with its durable record");
        [row(half, 0.5, each), row(most, 0.99, "goal: 50 ms".to_owned())]
    }
}

/// Most run once a day at one of the day's minutes; a thousand every second.
fn schedules() -> Vec<Arc<Schedule>> {
    let mut expressions = Expressions::default();
    let zone = zone::find("Asia/Seoul").unwrap_or_else(|wrong| panic!("{}", wrong.message));
    let (runbook, target): (Arc<str>, Arc<str>) = ("runbooks/a.rhai".into(), "sandbox".into());
    let policy = Arc::new(Policy {
        from: None,
        until: None,
        overlap: Overlap::Allow,
        missed: Missed::None,
        catch_up: Duration::ZERO,
        jitter: Duration::ZERO,
        skipped: Skipped::Shift,
        doubled: Doubled::Both,
        pause_after: None,
        priority: 0,
    });
    let schedule = |n: usize| {
        let text =
            if n < DUE { "* * * * * *".to_owned() } else { format!("{} {} * * *", n % 60, n / 60 % 24) };
        let when = expressions.read(&text).unwrap_or_else(|wrong| panic!("{}", wrong.message));
        Arc::new(Schedule {
            name: format!("schedule-{n}").into(),
            runbook: Arc::clone(&runbook),
            risk: Risk::Medium,
            at_window_end: AtWindowEnd::Continue,
            notify: Arc::default(),
            target: Arc::clone(&target),
            protected: false,
            most_on_target: None,
            group: None,
            params: Arc::default(),
            when,
            zone: zone.clone(),
            paused: None,
            policy: Arc::clone(&policy),
            place: None,
        })
    };
    (0..SCHEDULES).map(schedule).collect()
}

/// Runs that are over at once: when each was due, and how late it began, in milliseconds.
#[derive(Default)]
struct Lags(Mutex<Vec<(Timestamp, f64)>>);

impl Launcher for Lags {
    fn launch(&self, launch: &Launch, left: Left) -> Result<(), CallError> {
        let lag = SystemClock.now().duration_since(launch.instant).as_secs_f64() * 1000.0;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((launch.instant, lag));
        left(Some(Verdict::Succeeded));
        Ok(())
    }

    fn look(&self, _: &str) -> Result<Look, StoreError> {
        Ok(Look::Missing)
    }

    fn changed(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    fn is_glass_broken(&self, _: &str) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn cancel(&self, _: &str, _: &str) {}

    fn leave(&self, _: &str, _: &str) {}

    fn halted(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
}

fn resident() -> f64 {
    memory_stats::memory_stats().map_or(0.0, |stats| stats.physical_mem as f64)
}
