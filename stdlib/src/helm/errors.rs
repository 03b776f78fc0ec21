//! What can go wrong with helm, as sentences with a code: the tool itself, the chart, and helm's own last words.

use std::path::Path;

use aegis_engine::CallError;
use aegis_engine::codes;
use semver::Version;

use super::chart::Request;
use super::command::{Line, OLDEST, Place};
use crate::exec::client::Finished;

/// Lines of helm's own words that an error quotes.
const QUOTED_LINES: usize = 6;

/// helm is not installed.
pub(super) fn missing(word: &str) -> CallError {
    CallError::new(codes::TOOL_MISSING, format!("helm is not installed: there is no program `{word}`"))
        .hint(INSTALL)
}

/// One line a platform, from <https://helm.sh/docs/intro/install/>.
const INSTALL: &str = "install helm 3.12 or newer: macOS `brew install helm`; Debian and Ubuntu `apt-get install \
     helm` with the repository of helm.sh/docs/intro/install; Fedora `dnf install helm`; Windows `winget install \
     Helm.Helm`; or name a binary as `binary` under `[targets.NAME.helm]`";

/// helm is older than what this module knows.
pub(super) fn too_old(program: &Path, version: &Version) -> CallError {
    let message = format!("`{}` is helm {version}; aegis needs {OLDEST} or newer", program.display());
    CallError::new(codes::TOOL_VERSION, message).hint(INSTALL)
}

/// The program called helm says something else.
pub(super) fn not_helm(program: &Path, told: &str) -> CallError {
    let told: String = told.chars().take(80).collect();
    let message = format!("`{}` does not tell its version as helm does but `{told}`", program.display());
    CallError::new(codes::TOOL_VERSION, message).hint(INSTALL)
}

/// A chart's bytes are not the ones the runbook pinned.
pub(super) fn digest(request: &Request<'_>, wanted: &str, found: &str) -> CallError {
    let message =
        format!("chart `{}` has digest `sha256:{found}` and not the pinned `sha256:{wanted}`", request.chart);
    CallError::new(codes::CHECKSUM, message)
        .hint("somebody published other bytes under the same version: compare them before changing `digest`")
}

/// There is no such release.
pub(super) fn no_release(place: &Place) -> CallError {
    CallError::new(codes::NOT_FOUND, format!("there is no release {place}"))
        .hint("`helm::list()` shows the releases of a namespace, `#{ all_namespaces: true }` all of them")
}

/// helm ended with an error.
pub(super) fn failed(line: &Line, finished: &Finished) -> CallError {
    let told = finished.stderr.last_lines(QUOTED_LINES).join("\n");
    let told = told.strip_prefix("Error: ").unwrap_or(&told).to_owned();
    let verb = line.words().first().map_or("", String::as_str);
    let sentence = format!("`helm {verb}` failed");
    let lower = told.to_lowercase();
    let about = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let error = if about(&["another operation (install/upgrade/rollback) is in progress"]) {
        CallError::new(codes::RELEASE_PENDING, sentence).retryable()
    } else if about(&["x509:", "tls: "]) {
        CallError::new(codes::TLS, sentence)
    } else if about(&[
        "cluster unreachable",
        "connection refused",
        "no such host",
        "i/o timeout",
        "connection reset",
    ]) {
        CallError::new(codes::UNREACHABLE, sentence).retryable()
    } else if about(&["unauthorized", "must be logged in"]) {
        CallError::new(codes::UNAUTHENTICATED, sentence)
    } else if about(&["is forbidden:"]) {
        CallError::new(codes::FORBIDDEN, sentence)
    } else {
        CallError::new(codes::HELM, sentence)
    };
    error.because(if told.is_empty() { format!("it ended with code {}", finished.code()) } else { told })
}

/// A release is in the middle of something that is not ours.
pub(super) fn pending(place: &Place, revision: u64, status: &str, since: &str) -> CallError {
    let message = format!("release {place} is `{status}` at revision {revision} since {since}");
    CallError::new(codes::RELEASE_PENDING, message).retryable().hint(
        "somebody else may be working on it; when nobody is, repeat the call with `repair: true` to bring back the \
         last deployed revision first",
    )
}
