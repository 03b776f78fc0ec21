//! `just bench [GROUP ...]`: prints one table (groups: `calls`, `process`, `sandbox`, `scheduler`, `database`; all when none
//! is named). Each figure stands beside its floor on this machine or its goal; nothing is asserted, because these numbers
//! are the machine's as much as ours. `aegis` is the release binary built beside this one; `database` needs the PostgreSQL
//! that `.ci/tools` installs.

mod calls;
mod floor;
mod process;
mod sandbox;
mod scheduler;

use std::path::Path;

/// One row of the table.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) figure: String,
    pub(crate) against: String,
}

/// Measures a group's rows in a folder of its own.
type Group = fn(&Path) -> Vec<Row>;

const GROUPS: [(&str, Group); 5] = [
    ("calls", calls::all),
    ("process", process::all),
    ("sandbox", sandbox::all),
    ("scheduler", scheduler::all),
    ("database", scheduler::database),
];

#[expect(clippy::print_stdout, reason = "the table is the result")]
fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, folder] = &chosen[..]
        && mode == sandbox::SERVE
    {
        return sandbox::serve(Path::new(folder));
    }
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name);
    // Not the system's temporary folder: that may be memory, where syncing costs nothing.
    let directory = tempfile::tempdir_in(".").unwrap_or_else(|error| panic!("no folder to work in: {error}"));
    println!("{:<44} {:>26}   against", "what", "figure");
    for (_, measure) in GROUPS.into_iter().filter(|(name, _)| wanted(name)) {
        for row in measure(directory.path()) {
            println!("{:<44} {:>26}   {}", row.what, row.figure, row.against);
        }
    }
}

/// The value below which a share of the sorted values lies.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
}

/// A subfolder that does not exist yet.
pub(crate) fn fresh(directory: &Path, name: &str) -> std::path::PathBuf {
    let path = directory.join(name);
    std::fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}
