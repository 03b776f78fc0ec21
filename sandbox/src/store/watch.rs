//! Following the changes: a cursor over the recent events that can wait for the next ones.

use std::sync::Arc;

use super::{Event, Resource, Store, TooOld};

/// No more events than this are handed out at once: one who is slow does not pile up what it cannot send yet.
const STEP: usize = 64;

/// A place in the stream of events. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    resource: Option<Resource>,
    cursor: u64,
    wake: tokio::sync::watch::Receiver<u64>,
}

impl Watch {
    pub(super) fn start(store: Store, resource: Option<Resource>, version: u64) -> Result<Self, TooOld> {
        let wake = {
            let mut state = store.write();
            state.events_after(&resource, version, 0)?;
            state.wake(&resource)
        };
        Ok(Self { store, resource, cursor: version, wake })
    }

    /// The next few events since the last call, oldest first; waits until there is one. Safe to drop and
    /// call again (in a `select!`): no event is lost.
    pub async fn next(&mut self) -> Result<Vec<Arc<Event>>, TooOld> {
        loop {
            self.wake.mark_unchanged();
            let events = self.up_to(STEP)?;
            if !events.is_empty() {
                return Ok(events);
            }
            // The sender lives in the store, which this watch keeps alive.
            let _ = self.wake.changed().await;
        }
    }

    /// The events since the last call, oldest first; none when there is nothing new.
    pub fn try_next(&mut self) -> Result<Vec<Arc<Event>>, TooOld> {
        self.up_to(usize::MAX)
    }

    fn up_to(&mut self, most: usize) -> Result<Vec<Arc<Event>>, TooOld> {
        let events = self.store.read().events_after(&self.resource, self.cursor, most)?;
        if let Some(last) = events.last() {
            self.cursor = last.version;
        }
        Ok(events)
    }

    /// The version up to which this watch has seen everything.
    pub fn version(&self) -> u64 {
        self.cursor
    }
}
