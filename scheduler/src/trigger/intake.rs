//! What becomes of an event: one record, whoever tells of it, however often, and whatever dies in between.
//!
//! The first to tell of an event takes a lease on its key that holds for the trigger's window and carries the event's
//! instant. The record of trigger and instant is unique, as that of schedule and instant is:
//!
//! ```text
//! event -> its instant has a record? that one is the answer
//!       -> lease on its key: free -> a record at this instant
//!                            held -> the holder's instant has its record: what says itself when it happened has
//!                                    happened again, a duplicate with a record of its own; else it is told again,
//!                                    and that record is the answer
//!                                    it has none (who held it died): a record at the holder's instant
//! ```

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use aegis_engine::clock::Clock;
use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::journal::{Store, StoreError};
use jiff::Timestamp;

use super::{Event, Trigger};
use crate::record::{Record, Why};
use crate::service::Handle;
use crate::store::RecordStore;

/// How long the service may take to decide: it does so between two rounds of its loop.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It has been decided.
    Decided(Record),
    /// It had been, when it was told of before.
    Known(Record),
}

impl Answer {
    /// Its record.
    #[must_use]
    pub const fn record(&self) -> &Record {
        match self {
            Self::Decided(record) | Self::Known(record) => record,
        }
    }
}

/// Takes events in. Blocks while it writes: call it where that does no harm.
pub struct Intake {
    journals: Arc<dyn Store>,
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
    service: Handle,
}

impl Intake {
    /// An intake into a service.
    #[must_use]
    pub fn new(
        journals: Arc<dyn Store>,
        records: Arc<dyn RecordStore>,
        clock: Arc<dyn Clock>,
        service: Handle,
    ) -> Self {
        Self { journals, records, clock, service }
    }

    /// Decides on an event.
    ///
    /// # Errors
    /// When the store cannot be used or the service is stopping: nothing was decided, and the event should be told of
    /// again.
    pub fn take(&self, trigger: &Trigger, event: Event) -> Result<Answer, CallError> {
        let now = self.clock.now();
        let instant = event.instant.unwrap_or(now);
        if let Some(known) = self.records.find(&trigger.name, instant).map_err(stored)? {
            return Ok(Answer::Known(known));
        }
        let lease = format!("trigger/{}/{}", trigger.name, event.key);
        let says_when = event.instant.is_some();
        let holder =
            self.journals.acquire(&lease, &instant.to_string(), now, trigger.window, None).map_err(stored)?;
        let (instant, first) = match holder {
            Ok(_) => (instant, None),
            Err(holder) => self.as_the_holder(trigger, &holder.run, instant)?,
        };
        if let Some(known) = first.as_ref().filter(|_| !says_when) {
            return Ok(Answer::Known(known.clone()));
        }
        let hindered = event
            .hindered
            .clone()
            .or_else(|| first.map(|first| (Why::Duplicate, format!("the same as {}", first.instant))));
        let duplicate = hindered.as_ref().is_some_and(|(why, _)| *why == Why::Duplicate);
        let record = self.fire(Event { instant: Some(instant), hindered, ..event })?;
        // What was not started does not keep the next one from it.
        if !duplicate && record.why().is_some() {
            self.journals.release(&lease, &instant.to_string(), None).map_err(stored)?;
        }
        Ok(Answer::Decided(record))
    }

    /// Has the service decide on something that is no event of a trigger: a person wants a schedule to run.
    ///
    /// # Errors
    /// As [`Intake::take`].
    pub fn fire(&self, event: Event) -> Result<Record, CallError> {
        let (answers, answer) = mpsc::channel();
        self.service.fire(event, Box::new(move |record| drop(answers.send(record))));
        let silent = || CallError::new(codes::NOT_READY, "the scheduler does not answer").retryable();
        answer.recv_timeout(PATIENCE).map_err(|_| silent())?
    }

    /// The instant to go by when somebody holds the key, and the record of the same event.
    fn as_the_holder(
        &self,
        trigger: &Trigger,
        holder: &str,
        instant: Timestamp,
    ) -> Result<(Timestamp, Option<Record>), CallError> {
        let Ok(first) = holder.parse::<Timestamp>() else { return Ok((instant, None)) };
        match self.records.find(&trigger.name, first).map_err(stored)? {
            Some(record) => Ok((instant, Some(record))),
            None => Ok((first, None)),
        }
    }
}

fn stored(error: StoreError) -> CallError {
    aegis_engine::run::Stop::Store(error).error()
}
