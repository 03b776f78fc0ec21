//! The `aegis` binary in a project folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A folder with a runbook and a state directory.
pub(crate) struct Project {
    directory: tempfile::TempDir,
}

impl Project {
    pub(crate) fn new(runbook: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("book.rhai"), runbook).unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", "/nonexistent")
            .env("HOME", self.directory.path())
            .env("AEGIS_STATE_DIR", self.directory.path().join("state"))
            .env("AEGIS_OPERATOR", "ada")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a person would have seen, stdout and stderr as they came.
    pub(crate) fn transcript(&self, arguments: &[&str]) -> String {
        let path = self.path().join("transcript");
        let file = std::fs::File::create(&path).unwrap();
        let status = self.command(arguments).stdout(file.try_clone().unwrap()).stderr(file).status().unwrap();
        assert!(status.code().is_some(), "{status}");
        std::fs::read_to_string(path).unwrap()
    }

    /// The run's report as `show --output json` has it.
    pub(crate) fn show(&self) -> serde_json::Value {
        let output = self.output(&["show", "last", "--output", "json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }
}

/// Cargo puts the binary beside the test's folder when the tests of the whole workspace are built.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let binary = folder.join("aegis");
    assert!(binary.exists(), "`{}` is missing: run the tests of the whole workspace", binary.display());
    binary
}
