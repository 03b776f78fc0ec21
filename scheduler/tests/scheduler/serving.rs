//! The loop over a store with many runs that wait for people: it reads nothing of them until there is news.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aegis_engine::CallError;
use aegis_engine::clock::SystemClock;
use aegis_engine::journal::{StoreError, Verdict};
use aegis_scheduler::keeper::Launch;
use aegis_scheduler::record::run_id;
use aegis_scheduler::service::{Launcher, Left, Look, Options, Service, Told};
use aegis_scheduler::store::RecordStore;
use aegis_scheduler::{Gates, Keeper, Outcome, Record};
use jiff::{SignedDuration, Timestamp};

use crate::world::{World, schedule, shared};

const WAITING: usize = 500;

/// Runs that wait for people, until somebody answers one.
#[derive(Default)]
struct Patient {
    looks: AtomicUsize,
    asked: AtomicUsize,
    answered: Mutex<BTreeSet<String>>,
    news: Mutex<Vec<String>>,
    launched: Mutex<Vec<String>>,
}

impl Launcher for Patient {
    fn launch(&self, launch: &Launch, left: Left) -> Result<(), CallError> {
        self.launched.lock().unwrap().push(launch.run.clone());
        left(Some(Verdict::Succeeded));
        Ok(())
    }

    fn look(&self, run: &str) -> Result<Look, StoreError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let answered = self.answered.lock().unwrap().contains(run);
        // For half of them a Job was given up, which needs a person as well.
        let is_given_up = run.bytes().map(usize::from).sum::<usize>() % 2 == 0;
        Ok(match answered {
            false if is_given_up => Look::GivenUp,
            answered => Look::Waiting(answered),
        })
    }

    fn changed(&self) -> Result<Vec<String>, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(std::mem::take(&mut self.news.lock().unwrap()))
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

fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(120), "{what} does not come");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn runs_that_wait_for_people_cost_nothing_until_one_is_answered() {
    let now = Timestamp::now();
    let mut world = World::new(vec![schedule("a", "0 0 1 1 *", "UTC")], &now.to_string());
    let instant = |n: usize| now - SignedDuration::from_secs(i64::try_from(n).unwrap());
    let promised = |n: usize| Record {
        schedule: "a".into(),
        instant: instant(n),
        decided: now,
        outcome: Outcome::Started { run: run_id("a", instant(n)), verdict: None },
        by: None,
        given: BTreeMap::new(),
        note: String::new(),
    };
    let records: Vec<Record> = (0..WAITING).map(promised).collect();
    world.store.decided(&records, &[]).unwrap();
    world.keeper = Keeper::new(Arc::clone(&world.store) as Arc<dyn RecordStore>);
    world.keeper.load(shared(vec![schedule("a", "0 0 1 1 *", "UTC")]), Gates::default(), now).unwrap();

    let people = Arc::new(Patient::default());
    let options = Options { look: Duration::from_millis(20), most_runs: 64, ..Options::of("test") };
    let waiting = Arc::new(AtomicUsize::new(0));
    let listener = {
        let waiting = Arc::clone(&waiting);
        Arc::new(move |told: &Told| {
            if let Told::Alive(pulse) = told {
                waiting.store(pulse.parked, Ordering::SeqCst);
            }
        })
    };
    let launcher = Arc::clone(&people) as Arc<dyn Launcher>;
    let service = Service::new(world.keeper, launcher, Arc::new(SystemClock), listener, options);
    let handle = service.handle();
    let serving = std::thread::spawn(move || service.run());
    // Each is looked at once at the beginning and once on its way out of the queue.
    until("everything is parked", || people.looks.load(Ordering::SeqCst) == 2 * WAITING);
    let (asked, looks) = (people.asked.load(Ordering::SeqCst), people.looks.load(Ordering::SeqCst));
    until("a few more looks", || people.asked.load(Ordering::SeqCst) > asked + 3);
    assert_eq!(people.looks.load(Ordering::SeqCst), looks, "nothing is read");
    assert_eq!(waiting.load(Ordering::SeqCst), WAITING);

    // News that are no answer start nothing.
    people.news.lock().unwrap().extend((0..WAITING).map(|n| run_id("a", instant(n))));
    until("everything is looked at", || people.looks.load(Ordering::SeqCst) >= looks + WAITING);
    let asked = people.asked.load(Ordering::SeqCst);
    until("a few more looks", || people.asked.load(Ordering::SeqCst) > asked + 3);
    assert!(people.launched.lock().unwrap().is_empty());

    let answered = run_id("a", instant(7));
    people.answered.lock().unwrap().insert(answered.clone());
    people.news.lock().unwrap().push(answered.clone());
    until("the answer is heard", || !people.launched.lock().unwrap().is_empty());
    assert_eq!(*people.launched.lock().unwrap(), [answered]);
    handle.stop();
    serving.join().unwrap();
    let ended = world.store.open().unwrap().len();
    assert_eq!(ended, WAITING - 1);
}

#[test]
fn that_nothing_starts_for_mistakes_in_windows_and_freezes_is_told_once() {
    let now = Timestamp::now();
    let folder = tempfile::tempdir().unwrap();
    let plan = |text: &str| {
        std::fs::write(folder.path().join("schedules.toml"), text).unwrap();
        crate::files::plan_of(folder.path())
    };
    let mut world = World::new(Vec::new(), &now.to_string());
    let wrong = plan("[freezes.x]\nfrom = \"tomorrow\"\nuntil = \"2030-01-01\"\n");
    world.keeper.load(shared(vec![schedule("a", "0 0 1 1 *", "UTC")]), wrong.gates, now).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let heard = Arc::clone(&heard);
        Arc::new(move |told: &Told| {
            let line = match told {
                Told::Shut(schedules) => format!("shut for {}", schedules.len()),
                Told::Opened => "opened".to_owned(),
                _ => return,
            };
            heard.lock().unwrap().push(line);
        })
    };
    let options = Options { look: Duration::from_millis(20), ..Options::of("test") };
    let launcher = Arc::new(Patient::default()) as Arc<dyn Launcher>;
    let service = Service::new(world.keeper, launcher, Arc::new(SystemClock), listener, options);
    let handle = service.handle();
    let serving = std::thread::spawn(move || service.run());
    let heard = |lines: &[&str]| until(&format!("{lines:?}"), || *heard.lock().unwrap() == lines);
    heard(&["shut for 1"]);
    handle.load(plan("[freezes.x]\nfrom = \"soon\"\nuntil = \"2030-01-01\"\n"));
    handle.load(plan("windows = {}\n"));
    heard(&["shut for 1", "opened"]);
    // What was read right once stands.
    handle.load(plan("[freezes.x]\nfrom = \"soon\"\nuntil = \"2030-01-01\"\n"));
    handle.stop();
    serving.join().unwrap();
    heard(&["shut for 1", "opened"]);
}

/// Journals that can be read again after a while.
#[derive(Default)]
struct Away {
    fails: AtomicUsize,
}

impl Launcher for Away {
    fn launch(&self, _: &Launch, left: Left) -> Result<(), CallError> {
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
        let left = self.fails.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => Err(StoreError::Unreachable("db:5432/aegis".into(), "connection refused".into())),
            Err(_) => Ok(None),
        }
    }
}

#[test]
fn that_the_store_can_be_used_again_is_told_once() {
    let now = Timestamp::now();
    let world = World::new(Vec::new(), &now.to_string());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let heard = Arc::clone(&heard);
        Arc::new(move |told: &Told| match told {
            Told::Trouble(why) => heard.lock().unwrap().push(why.clone()),
            Told::Mended => heard.lock().unwrap().push("mended".to_owned()),
            _ => {}
        })
    };
    let options = Options { look: Duration::from_millis(20), ..Options::of("test") };
    let away = Arc::new(Away { fails: AtomicUsize::new(3) });
    let launcher = Arc::clone(&away) as Arc<dyn Launcher>;
    let service = Service::new(world.keeper, launcher, Arc::new(SystemClock), listener, options);
    let handle = service.handle();
    let serving = std::thread::spawn(move || service.run());
    until("the end of the trouble", || heard.lock().unwrap().contains(&"mended".to_owned()));
    away.fails.store(1, Ordering::SeqCst);
    until("the end of more", || heard.lock().unwrap().iter().filter(|line| *line == "mended").count() == 2);
    handle.stop();
    serving.join().unwrap();
    let refused = "the database `db:5432/aegis` cannot be reached: connection refused";
    assert_eq!(*heard.lock().unwrap(), [refused, refused, refused, "mended", refused, "mended"]);
}
