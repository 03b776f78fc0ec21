//! Runs that were promised are a queue in the store; whoever has room takes some.

use aegis_engine::journal::StoreError;
use jiff::Timestamp;

use super::{Keeper, Launch, Promised};
use crate::queue::choose;
use crate::record::Record;
use crate::store::Waiting;

impl Keeper {
    /// Takes runs out of the queue for an engine that has room for so many.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn take(&mut self, engine: &str, room: usize, now: Timestamp) -> Result<Vec<Promised>, StoreError> {
        let known = |name: &str| self.schedule(name).map(|schedule| &**schedule);
        let mut chosen = |waiting: &[Waiting], under_way: &[String]| choose(&known, waiting, under_way, room);
        let taken = self.store.take(engine, now, &mut chosen)?;
        let promised = |record: Record| {
            let launch = Launch::of(self.schedule(&record.schedule)?, &record)?;
            Some(Promised { launch, at: record.decided })
        };
        Ok(taken.into_iter().filter_map(promised).collect())
    }

    /// Takes one run out of the queue, whoever's turn it is; answers whether nobody has it.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn take_one(&self, engine: &str, run: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut chosen = |waiting: &[Waiting], _: &[String]| {
            waiting.iter().position(|waits| waits.record.run() == Some(run)).into_iter().collect()
        };
        Ok(!self.store.take(engine, now, &mut chosen)?.is_empty())
    }
}
