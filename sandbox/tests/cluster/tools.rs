//! The real command line tools against the sandbox.
//!
//! They are looked for on `PATH` and in `.tools/bin`, where `.ci/tools` puts them. A machine without them cannot
//! run these tests and says so; in CI that is a failure.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Cluster;

/// The path of a tool; none (said aloud) when it is missing outside of CI.
pub(crate) fn find(tool: &str) -> Option<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(tool));
    // What `.ci/tools` fetched counts first: its version is known.
    let mut known = [fetched.join(tool)].into_iter().chain(on_path);
    let found = known.find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "`{tool}` is not installed: run .ci/tools");
        eprintln!("NOT TESTED: `{tool}` is not installed: run .ci/tools");
    }
    found
}

/// Every kubectl there is: the oldest and the newest that must work.
pub(crate) fn kubectls() -> Vec<PathBuf> {
    ["kubectl-1.28", "kubectl"].into_iter().filter_map(find).collect()
}

/// Runs a tool in a cluster; answers what it printed, and fails when it fails.
pub(crate) fn run(tool: &Path, cluster: &Cluster, arguments: &str, input: &str) -> String {
    let (success, out, err) = attempt(tool, cluster, arguments, input);
    assert!(success, "{} {arguments}\n{out}{err}", tool.display());
    out
}

/// Runs a tool in a cluster; answers whether it worked, what it printed and what it said. Words in single
/// quotes stay together.
pub(crate) fn attempt(
    tool: &Path,
    cluster: &Cluster,
    arguments: &str,
    input: &str,
) -> (bool, String, String) {
    use std::io::Write;
    let mut child = command(tool, cluster, arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

/// A tool that is to be run in a cluster.
pub(crate) fn command(tool: &Path, cluster: &Cluster, arguments: &str) -> Command {
    let home = cluster.directory.path();
    // Every second part is quoted.
    let words = arguments.split('\'').enumerate().flat_map(|(index, part)| match index % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    let mut command = Command::new(tool);
    command
        .args(words)
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("HOME", home)
        .env("HELM_CACHE_HOME", home.join("helm"))
        .env("HELM_CONFIG_HOME", home.join("helm"))
        .env("HELM_DATA_HOME", home.join("helm"));
    command
}
