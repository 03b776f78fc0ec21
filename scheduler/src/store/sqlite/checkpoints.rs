//! Moves the write-ahead log into the file beside the loop. SQLite would do it in the commit that makes the log long, and
//! the runs of a thousand schedules would wait for that.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use rusqlite::Connection;

/// Not more often than this.
const PAUSE: Duration = Duration::from_millis(500);

/// Hears of commits; ends when it is dropped.
pub(super) struct Checkpoints {
    commits: SyncSender<()>,
}

impl Checkpoints {
    /// For a file, by a thread with a connection of its own. Without it the log is moved by the journal's connection
    /// alone, which writes into the same file.
    pub(super) fn start(path: PathBuf) -> Self {
        let (commits, heard) = mpsc::sync_channel(1);
        let _ = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(move || {
            if let Ok(connection) = Connection::open(path) {
                run(&connection, &heard);
            }
        });
        Self { commits }
    }

    /// Something was committed.
    pub(super) fn committed(&self) {
        // Full: it is known already.
        let _ = self.commits.try_send(());
    }
}

fn run(connection: &Connection, heard: &Receiver<()>) {
    while heard.recv().is_ok() {
        std::thread::park_timeout(PAUSE);
        // Passive: nobody waits for it, and it waits for nobody.
        let _ = connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)");
    }
}
