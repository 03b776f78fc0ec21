//! `just bench`: prints one table. Each figure stands beside its floor on this machine or its goal; nothing is
//! asserted, because these numbers are the machine's as much as ours. `aegis` is the release binary built
//! beside this one.

mod calls;
mod floor;
mod process;

use std::path::Path;

/// One row of the table.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) figure: String,
    pub(crate) against: String,
}

#[expect(clippy::print_stdout, reason = "the table is the result")]
fn main() {
    // Not the system's temporary folder: that may be memory, where syncing costs nothing.
    let directory = tempfile::tempdir_in(".").unwrap_or_else(|error| panic!("no folder to work in: {error}"));
    let mut rows = Vec::new();
    rows.extend(calls::durable(directory.path()));
    rows.extend(calls::resume(directory.path()));
    rows.extend(process::all(directory.path()));
    println!("{:<44} {:>26}   against", "what", "figure");
    for row in rows {
        println!("{:<44} {:>26}   {}", row.what, row.figure, row.against);
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
