//! The floor: what this disk takes to make a journal-sized record durable with nothing around it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// Microseconds of each append with fdatasync, of records as large as a journal entry.
pub(crate) fn synced_appends(directory: &Path, count: usize) -> Vec<f64> {
    let record = [0x61_u8; 600];
    let mut file = File::create(directory.join("floor")).unwrap_or_else(|error| panic!("{error}"));
    (0..count)
        .map(|_| {
            let began = Instant::now();
            let synced = file.write_all(&record).and_then(|()| file.sync_data());
            synced.unwrap_or_else(|error| panic!("{error}"));
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect()
}
