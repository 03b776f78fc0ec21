//! Killed at every journal boundary. A process of its own runs the campaign's 60 calls over a store that dies
//! by SIGKILL around its n-th durable write: before it, after it, and half-way, with a torn record at the end
//! of the write-ahead log. The real `aegis` then drives the run to its end, and the server's counts decide.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aegis_engine::clock::{SystemClock, SystemEntropy};
use aegis_engine::function::Registry;
use aegis_engine::journal::{Person, SqliteStore, Store, Verdict};
use aegis_engine::run::engine::Execution;
use aegis_engine::run::{Engine, Limits, Mode, Occasion, Start, TargetFacts};
use aegis_engine::runbook::{Params, Runbook, Sources};
use aegis_engine::testing::Interposed;
use aegis_stdlib::target::{Surroundings, Target};

use crate::campaign::{Tally, drive, judge, runbook};
use crate::process::Project;
use crate::server::Server;

/// Says to the process of its own how and when to die: `before 17`.
const DEATH: &str = "AEGIS_TEST_DEATH";

/// Says where it works.
const FOLDER: &str = "AEGIS_TEST_FOLDER";

/// The ways to die around one durable write.
const WAYS: [&str; 3] = ["before", "torn", "after"];

/// The product's store, which dies around its n-th write in one of the [`WAYS`].
fn mortal_store(folder: &Path, death: &str) -> impl Store + use<> {
    let (way, at) = death.split_once(' ').unwrap();
    let (way, at): (String, usize) = (way.to_owned(), at.parse().unwrap());
    let state = folder.join("state");
    let log = state.join("journal.db-wal");
    let writes = AtomicUsize::new(0);
    Interposed::new(Arc::new(SqliteStore::open(&state).unwrap()), move |inner, run, bodies| {
        let due = writes.fetch_add(1, Ordering::SeqCst) + 1 == at;
        if due && way == "before" {
            die();
        }
        let before = size(&log);
        let entries = inner.append(run, bodies)?;
        if due && way == "torn" {
            tear(&log, before, at);
        }
        if due {
            die();
        }
        Ok(entries)
    })
}

fn size(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |log| log.len())
}

/// Leaves only a part of what the last write added, as a power cut in the middle of it would.
fn tear(log: &Path, from: u64, at: usize) {
    let added = size(log) - from;
    assert!(added > 0, "the log began again from its start: make the runbook shorter");
    let left = from + added * (at as u64 % 7 + 1) / 8;
    File::options().write(true).open(log).and_then(|log| log.set_len(left)).unwrap();
}

fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

/// The process of its own: nothing to see unless a test of this file starts it.
#[test]
#[ignore = "the process that the campaign below starts and that dies"]
fn mortal() {
    let (Ok(death), Ok(folder)) = (std::env::var(DEATH), std::env::var(FOLDER)) else { return };
    let folder = PathBuf::from(folder);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let modules = aegis_engine::builtin::modules().into_iter().chain(aegis_stdlib::modules()).collect();
    let engine = Engine {
        store: Arc::new(mortal_store(&folder, &death)),
        registry: Arc::new(Registry::new(modules).unwrap()),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        runtime: runtime.handle().clone(),
    };
    let surroundings = Surroundings {
        name: "sandbox".to_owned(),
        state: folder.join("state"),
        project: folder.clone(),
        kubeconfig: None,
        environment: BTreeMap::new(),
    };
    let execution = Execution {
        target: TargetFacts { name: "sandbox".to_owned(), sandbox: true, protected: false },
        services: aegis_stdlib::services(&Target::default(), &surroundings),
        person: Person("ada".to_owned()),
        patient: false,
        confirm: None,
        limits: Limits::default(),
        listener: Arc::new(|_| ()),
        logs: None,
        observer: None,
        environment: BTreeMap::new(),
    };
    let text = std::fs::read_to_string(folder.join("book.rhai")).unwrap();
    let start = Start {
        runbook: Runbook::from_sources(Sources::new("book.rhai", text)).unwrap(),
        name: "book".to_owned(),
        project: folder,
        params: Params::default(),
        mode: Mode::Run,
        occasion: Occasion::default(),
    };
    let ended = engine.start(start, execution).unwrap().wait();
    assert_eq!(ended.verdict, Some(Verdict::Succeeded), "{:?}", ended.failure);
}

/// Runs until the given death. `None`: the run ended before.
fn killed(way: &str, at: usize) -> Option<Tally> {
    let server = Server::start();
    let project = Project::new(&runbook(&server));
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "boundaries::mortal", "--ignored", "--quiet"])
        .env(DEATH, format!("{way} {at}"))
        .env(FOLDER, project.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    if status.success() {
        return None;
    }
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(signal, Some(9), "{way} {at}: {status}");
    let mut tally = Tally::default();
    drive(&project, &server, &mut tally);
    judge(&server, &mut tally);
    Some(tally)
}

#[test]
fn killed_at_every_journal_boundary_nothing_is_repeated_or_lost() {
    let campaign = |way: &str| {
        let mut total = Tally::default();
        (1..).map_while(|at| killed(way, at)).for_each(|tally| total.add(&tally));
        total
    };
    std::thread::scope(|scope| {
        let threads = WAYS.map(|way| (way, scope.spawn(move || campaign(way))));
        for (way, thread) in threads {
            let total = thread.join().unwrap();
            println!("killed {way} every durable write: {total:?}");
            // The start, 40 effects asked and happened, and the end; branches may share some writes.
            assert!(total.kills >= 62, "{way}: {total:?}");
        }
    });
}
