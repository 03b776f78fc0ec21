//! `helm`: releases of charts, by the real helm binary; on the sandbox target stand-ins where helm or a chart
//! cannot be had.
//!
//! ```text
//! install  rollback  uninstall  test      effects: command.rs (argv) -> client.rs (process, files, locks)
//! status  history  values  list           reads: releases.rs -> release.rs (helm's own records)
//! template  diff  pull  repo_*            charts: chart.rs (where from) -> render.rs -> manifest.rs -> outlook.rs
//! pending.rs  readiness.rs  stand_in/     what a crash left; what is not ready; releases without helm
//! ```
//!
//! The cluster is reached through `k8s` and nothing else; `client.rs` (with its folder) is the only place that does IO.

mod chart;
mod client;
mod command;
mod diff;
mod errors;
mod inspect;
mod install;
mod manifest;
mod outlook;
mod pending;
mod pull;
mod readiness;
mod release;
mod releases;
mod render;
mod repositories;
mod rollback;
mod stand_in;
mod template;
mod test;
mod uninstall;

pub use client::Helm;

use aegis_engine::function::{Function, Module};

/// The author's page.
const PAGE: &str = "\
Releases are made by the `helm` binary, 3.12 or newer, 3.x and 4.x alike. `install` installs or upgrades, waits
until everything is ready, and goes back to what was there when it fails; `atomic: false` and `wait: false` turn
that off.

**Charts** are looked for in this order: a path that starts with `./`; the target's `helm.charts` folder
(`NAME-VERSION`, `NAME-VERSION.tgz`, `NAME`, `NAME.tgz`); the `repository` of the call, or `oci://`. A repository
listed under `[targets.NAME.helm.repositories]` takes the place of the one a component names. `digest` pins the
archive's SHA-256.

**helm 4** is told to compare three ways, as helm 3 does (`--server-side=false`): fields that others filled in since,
such as the `caBundle` of a webhook, stay theirs and are no conflict.

**Values** reach helm in files that only this user can read. No value stands on a command line.

**helm's own state** (repositories, caches) is kept under the state directory; the user's is neither read nor
changed. Release records are always Secrets (`HELM_DRIVER` is not honoured).

**Half-done releases** (`pending-install`, `pending-upgrade`, `pending-rollback`, `uninstalling`) are brought back to
the last deployed revision, or removed when there was none, before the next install goes on; the answer says so in
`repaired`. That is done only when nobody can be at work on it: this machine holds the release's lock that a
crashed aegis left, ten minutes have passed, or the call says `repair: true`.

**Plans** render the chart with the live cluster's version and kinds (`lookup` finds nothing then) and compare the
objects with the live release.

**Stand-ins**: on the sandbox target, where helm or the chart cannot be had, `provides` says which objects the
component brings. They become a release that helm itself can list and uninstall; `stand_in` is true in every answer.";

/// The module as the registry takes it.
#[must_use]
pub fn module() -> Module {
    Module {
        name: "helm",
        summary: "Installs, upgrades, rolls back and inspects releases of charts.",
        page: PAGE,
        functions: vec![
            Function::new::<install::Install>(),
            Function::new::<rollback::Rollback>(),
            Function::new::<uninstall::Uninstall>(),
            Function::new::<inspect::Status>(),
            Function::new::<inspect::History>(),
            Function::new::<inspect::Values>(),
            Function::new::<inspect::List>(),
            Function::new::<diff::Diff>(),
            Function::new::<template::Template>(),
            Function::new::<test::Test>(),
            Function::new::<pull::Pull>(),
            Function::new::<repositories::RepoAdd>(),
            Function::new::<repositories::RepoUpdate>(),
        ],
    }
}
