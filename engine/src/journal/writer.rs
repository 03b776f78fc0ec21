//! Prefix durability. Entries of a run are totally ordered in one queue; most ride along, and the first one
//! that must be durable takes everything before it with it in one commit. Whoever gets to write first
//! writes for all branches that wait (group commit), on its own thread: no hand-over costs a wake-up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::{Body, Entry, Fence, Store, StoreError};
use crate::clock::Clock;
use crate::secret::Vault;

/// Who is told of entries, in order, once they are durable.
pub type Listener = Arc<dyn Fn(&Entry) + Send + Sync>;

/// The writing end of one run's journal.
pub struct Journal {
    store: Arc<dyn Store>,
    run: String,
    fence: Fence,
    clock: Arc<dyn Clock>,
    vault: Vault,
    queue: Mutex<Queue>,
    writing: Mutex<()>,
    listener: Listener,
}

/// Bytes of values that may ride: a run that records much and commits nothing must not keep it all.
const RIDING: usize = 4 << 20;

#[derive(Default)]
struct Queue {
    waiting: Vec<(Timestamp, Body)>,
    /// Bytes of the values that wait, about.
    weight: usize,
    queued: u64,
    written: u64,
    failed: Option<StoreError>,
}

impl Journal {
    /// The journal of a run, written under a claim; `listener` hears every entry this process writes.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        run: impl Into<String>,
        fence: Fence,
        clock: Arc<dyn Clock>,
        vault: Vault,
        listener: Listener,
    ) -> Self {
        let (queue, writing) = (Mutex::default(), Mutex::new(()));
        Self { store, run: run.into(), fence, clock, vault, queue, writing, listener }
    }

    /// Writes along with the next durable entry, or when much rides. Lost when the process dies before; nothing depends
    /// on it then, and whoever depends on the journal next hears that it could not be written.
    pub fn ride(&self, body: Body) {
        let ticket = self.push(body);
        if self.queue().weight > RIDING {
            let _ = self.write_up_to(ticket);
        }
    }

    /// Durable, with everything before it, when this returns.
    ///
    /// # Errors
    /// When it could not be made durable. From then on nothing is written any more: the run must stop.
    pub fn commit(&self, body: Body) -> Result<(), StoreError> {
        let ticket = self.push(body);
        self.write_up_to(ticket)
    }

    /// Makes everything that rides durable.
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub fn flush(&self) -> Result<(), StoreError> {
        let ticket = self.queue().queued;
        self.write_up_to(ticket)
    }

    fn push(&self, body: Body) -> u64 {
        let body = self.masked(body);
        let mut queue = self.queue();
        queue.weight += body.weight();
        queue.waiting.push((self.clock.now(), body));
        queue.queued += 1;
        queue.queued
    }

    /// Nothing secret is written, whatever its shape: the last gate before the disk and every screen.
    fn masked(&self, body: Body) -> Body {
        if self.vault.is_empty() {
            return body;
        }
        let json = serde_json::to_value(&body).unwrap_or_default();
        serde_json::from_value(self.vault.masked_value(&json)).unwrap_or(body)
    }

    fn write_up_to(&self, ticket: u64) -> Result<(), StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (batch, last) = {
            let mut queue = self.queue();
            if let Some(error) = &queue.failed {
                return Err(error.clone());
            }
            if queue.written >= ticket {
                return Ok(());
            }
            queue.weight = 0;
            (std::mem::take(&mut queue.waiting), queue.queued)
        };
        match self.store.write(&self.run, &batch, &self.fence) {
            Ok(entries) => {
                self.queue().written = last;
                entries.iter().for_each(|entry| (self.listener)(entry));
                Ok(())
            }
            Err(error) => {
                self.queue().failed = Some(error.clone());
                Err(error)
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
