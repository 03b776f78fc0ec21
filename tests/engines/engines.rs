//! `aegis serve` as processes: one project, one database, a way to it and a state directory each.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::proxy::{Proxy, Shared};

/// Long enough for any machine that is not broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// A project that acts on a server, and its database.
pub(crate) struct Project {
    folder: tempfile::TempDir,
    database: String,
}

impl Project {
    pub(crate) fn new(runbook: &str, takeover_after: &str, database: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("book.rhai"), runbook).unwrap();
        let config = format!(
            "[database]\ntakeover-after = \"{takeover_after}\"\n[serve]\nnotify = \"\"\ndrain = \"20s\"\nmost-runs = 6\n"
        );
        std::fs::write(folder.path().join("aegis.toml"), config).unwrap();
        Self { folder, database }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// The address of the database by another way.
    fn by(&self, port: u16) -> String {
        let (_, rest) = self.database.split_once("127.0.0.1:").unwrap();
        let (_, name) = rest.split_once('/').unwrap();
        format!("postgres://postgres@127.0.0.1:{port}/{name}")
    }

    pub(crate) fn command(&self, state: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", "/nonexistent")
            .env("HOME", self.path())
            .env("AEGIS_STATE_DIR", self.path().join(state))
            .env("AEGIS_OPERATOR", "ada")
            .env("AEGIS_DATABASE_URL", &self.database)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command("state", arguments).output().unwrap()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.output(&[arguments, &["--output", "json"]].concat());
        let told = || String::from_utf8_lossy(&output.stderr).into_owned();
        let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told()));
        value.as_array().cloned().unwrap_or_default()
    }

    /// How a run went, entry by entry.
    pub(crate) fn told(&self, run: &str) -> String {
        let output = self.output(&["logs", run]);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    pub(crate) fn records(&self) -> Vec<Value> {
        self.json(&["schedule", "history", "-n", "1000000"])
    }
}

/// One engine.
pub(crate) struct Engine<'a> {
    project: &'a Project,
    number: usize,
    pub(crate) way: Shared,
    child: Child,
}

impl<'a> Engine<'a> {
    pub(crate) fn start(project: &'a Project, number: usize, way: Proxy) -> Self {
        let child = served(project, number, &way);
        Self { project, number, way: Shared::new(way), child }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// As it stands in the name of the engine.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Killed in the middle of whatever it did, and started again.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = served(self.project, self.number, &self.way);
    }

    /// Stopped, so that it knows nothing of the time that passes, and continued.
    pub(crate) fn stop_for(&self, length: Duration) {
        self.signal(Signal::STOP);
        wait(length);
        self.signal(Signal::CONT);
    }

    /// Cut off from the database.
    pub(crate) fn cut_off_for(&self, length: Duration) {
        self.way.cut();
        wait(length);
        self.way.mend();
    }

    /// Told to end.
    pub(crate) fn end(&mut self) {
        self.signal(Signal::TERM);
        self.child.wait().unwrap();
    }
}

impl Drop for Engine<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn served(project: &Project, number: usize, way: &Proxy) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(project.path().join(format!("engine-{number}.log")))
        .unwrap();
    project
        .command(&format!("state-{number}"), &["serve"])
        .env("AEGIS_DATABASE_URL", project.by(way.port()))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Waits for a time: what an interruption lasts is what is tried here.
fn wait(length: Duration) {
    let until = Instant::now() + length;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} does not come");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Cargo puts the binary beside the test's folder when the tests of the whole workspace are built.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().and_then(Path::parent).unwrap().join("aegis");
    assert!(binary.exists(), "`{}` is missing: run the tests of the whole workspace", binary.display());
    binary
}
