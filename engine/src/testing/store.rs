//! A store that a test reaches into: it decides what becomes of each write, all else is as it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::journal::{
    Body, Claim, Entry, Examined, Fence, Halt, Lease, RunRecord, Standing, Store, StoreError,
};

/// Forwards everything to the store inside but `append`, which is the closure's: it is handed the store, the run
/// and what is to be written.
pub struct Interposed<Append> {
    inner: Arc<dyn Store>,
    append: Append,
}

impl<Append> Interposed<Append>
where
    Append:
        Fn(&dyn Store, &str, &[(Timestamp, Body)]) -> Result<Vec<Entry>, StoreError> + Send + Sync + 'static,
{
    /// Stands between the journal and `inner`.
    pub fn new(inner: Arc<dyn Store>, append: Append) -> Self {
        Self { inner, append }
    }
}

impl<Append> Store for Interposed<Append>
where
    Append:
        Fn(&dyn Store, &str, &[(Timestamp, Body)]) -> Result<Vec<Entry>, StoreError> + Send + Sync + 'static,
{
    fn append(&self, run: &str, bodies: &[(Timestamp, Body)]) -> Result<Vec<Entry>, StoreError> {
        (self.append)(&*self.inner, run, bodies)
    }

    fn entries(&self, run: &str, after: u64) -> Result<Vec<Entry>, StoreError> {
        self.inner.entries(run, after)
    }

    fn unlisted(&self) -> Result<Vec<String>, StoreError> {
        self.inner.unlisted()
    }

    fn examine(&self, run: &str) -> Result<Examined, StoreError> {
        self.inner.examine(run)
    }

    fn decisions(&self, run: &str, after: u64) -> Result<(Vec<Entry>, u64), StoreError> {
        self.inner.decisions(run, after)
    }

    fn standing(&self, run: &str) -> Result<Option<Standing>, StoreError> {
        self.inner.standing(run)
    }

    fn runs(&self) -> Result<Vec<RunRecord>, StoreError> {
        self.inner.runs()
    }

    fn changed(&self, since: Option<u64>) -> Result<(Vec<String>, u64), StoreError> {
        self.inner.changed(since)
    }

    fn keep_texts(&self, texts: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, StoreError> {
        self.inner.keep_texts(texts)
    }

    fn text(&self, hash: &str) -> Result<String, StoreError> {
        self.inner.text(hash)
    }

    fn claim(&self, run: &str) -> Result<Option<Box<dyn Claim>>, StoreError> {
        self.inner.claim(run)
    }

    fn executed(&self, run: &str) -> Result<bool, StoreError> {
        self.inner.executed(run)
    }

    fn halt(&self) -> Result<Option<Halt>, StoreError> {
        self.inner.halt()
    }

    fn set_halt(&self, halt: Option<&Halt>) -> Result<(), StoreError> {
        self.inner.set_halt(halt)
    }

    fn acquire(
        &self,
        name: &str,
        run: &str,
        now: Timestamp,
        time_to_live: Duration,
        fence: Option<&Fence>,
    ) -> Result<Result<Lease, Lease>, StoreError> {
        self.inner.acquire(name, run, now, time_to_live, fence)
    }

    fn release(&self, name: &str, run: &str, fence: Option<&Fence>) -> Result<(), StoreError> {
        self.inner.release(name, run, fence)
    }
}
