//! The log file of a run: everything that readers of it hear, one JSON line an event, in a folder that other
//! programs may read, ship and delete. It holds every entry of the journal in order - also what another process
//! decided, or recorded before it was killed - and, between them, how far calls told they were.
//!
//! The journal stays the truth: a line that cannot be written stops no run, and nothing is read back but the
//! last position.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;

use super::handle::Event;
use crate::journal::Store;

/// Bytes at the end of a file in which the last entry is looked for before all of it is read.
const TAIL: u64 = 1 << 20;

/// The file of one run, held open while a process executes the run.
pub(super) struct Log {
    run: String,
    store: Arc<dyn Store>,
    state: Mutex<State>,
}

struct State {
    file: File,
    /// Position of the last entry in the file.
    last: u64,
    failed: bool,
}

impl Log {
    /// Opens the log of a run, `FOLDER/RUN.jsonl`, after what is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn open(folder: &Path, run: &str, store: Arc<dyn Store>) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{run}.jsonl"));
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let last = last_entry(&mut file)?;
        Ok(Self { run: run.to_owned(), store, state: Mutex::new(State { file, last, failed: false }) })
    }

    /// Writes an event, and before it the entries that came to the journal by another way.
    pub(super) fn write(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let caught_up = match event {
            Event::Recorded(entry) => self.catch_up(&mut state, entry.seq),
            Event::Progress { .. } => Ok(()),
        };
        if let Err(error) = caught_up.and_then(|()| line(&mut state.file, event))
            && !std::mem::replace(&mut state.failed, true)
        {
            tracing::warn!(%error, run = self.run, "the log file misses lines; the journal has them");
        }
    }

    fn catch_up(&self, state: &mut State, seq: u64) -> io::Result<()> {
        let after = std::mem::replace(&mut state.last, seq);
        if seq > after + 1 {
            let missed = self.store.entries(&self.run, after).unwrap_or_default();
            for entry in missed.into_iter().take_while(|entry| entry.seq < seq) {
                line(&mut state.file, &Event::Recorded(Box::new(entry)))?;
            }
        }
        Ok(())
    }
}

/// One write a line: a file that is opened to append never holds halves of two.
fn line(file: &mut File, event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// The position of the last whole entry in the file. What a killed process left of a line is ended.
fn last_entry(file: &mut File) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    for start in [length.saturating_sub(TAIL), 0] {
        file.seek(SeekFrom::Start(start))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        if text.last().is_some_and(|byte| *byte != b'\n') {
            file.write_all(b"\n")?;
        }
        if let Some(seq) = text.rsplit(|byte| *byte == b'\n').find_map(position) {
            return Ok(seq);
        }
    }
    Ok(0)
}

fn position(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Position {
        seq: u64,
    }
    serde_json::from_slice::<Position>(line).ok().map(|position| position.seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(text: &str) -> (u64, String) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let last = last_entry(&mut file).unwrap();
        let mut after = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut after).unwrap();
        (last, after)
    }

    #[test]
    fn the_last_whole_entry_is_found_behind_progress_and_torn_lines() {
        let progress = r#"{"event":"progress","call":"a","text":"1/3"}"#;
        let long = format!("{progress}\n").repeat(40_000);
        let table = [
            (String::new(), 0, ""),
            ("{\"event\":\"recorded\",\"seq\":7}\n".to_owned(), 7, ""),
            (format!("{{\"seq\":7}}\n{progress}\n"), 7, ""),
            ("{\"seq\":7}\n{\"seq\":8,\"te".to_owned(), 7, "\n"),
            (format!("{{\"seq\":9}}\n{long}"), 9, ""),
            (progress.to_owned(), 0, "\n"),
        ];
        for (text, last, more) in table {
            assert_eq!(opened(&text), (last, format!("{text}{more}")));
        }
    }
}
