//! Freezes: times at which nothing changes, given as a list of stretches or as an iCalendar file, whose events
//! (with their recurrences, exceptions and zones) [`super::ics`] reads.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::ics::{Events, Mistake};
use super::{Refusal, Scope};
use crate::record::Why;

/// A time at which nothing changes.
#[derive(Debug, Clone)]
pub struct Freeze {
    /// Its name.
    pub name: String,
    /// Whose clocks its times are shown by.
    pub zone: TimeZone,
    /// What it is for.
    pub scope: Scope,
    times: Times,
}

#[derive(Debug, Clone)]
enum Times {
    List(Vec<Frozen>),
    Events(Arc<Events>),
}

/// One stretch of a freeze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// From here.
    pub from: Timestamp,
    /// To before here.
    pub until: Timestamp,
    /// What it is called: the summary of an event.
    pub title: String,
}

impl Freeze {
    /// From a list.
    #[must_use]
    pub const fn listed(name: String, zone: TimeZone, scope: Scope, stretches: Vec<Frozen>) -> Self {
        Self { name, zone, scope, times: Times::List(stretches) }
    }

    /// From an iCalendar file. Times that name no zone are by the clocks of `own`, else of what the file says of itself,
    /// else of `usual`.
    ///
    /// # Errors
    /// What about it cannot be read, and in which line.
    pub fn of_calendar(
        name: String,
        (own, usual): (Option<TimeZone>, TimeZone),
        scope: Scope,
        file: &[u8],
    ) -> Result<Self, Mistake> {
        let events = Events::read(file, own.as_ref(), &usual)?;
        let zone = own.unwrap_or(usual);
        Ok(Self { name, zone, scope, times: Times::Events(Arc::new(events)) })
    }

    /// The stretch an instant is in.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Option<Frozen> {
        let within = |frozen: &&Frozen| frozen.from <= now && now < frozen.until;
        match &self.times {
            Times::List(stretches) => stretches.iter().find(within).cloned(),
            Times::Events(events) => events.around(now).iter().find(within).cloned(),
        }
    }

    pub(super) fn refusal(&self, frozen: &Frozen) -> Refusal {
        let title = if frozen.title.is_empty() { String::new() } else { format!(": {}", frozen.title) };
        Refusal {
            why: Why::Frozen,
            names: vec![format!("{}{title}", self.name)],
            next: Some(frozen.until).filter(|until| *until < Timestamp::MAX),
            local: (frozen.until < Timestamp::MAX).then(|| super::window::local(frozen.until, &self.zone)),
        }
    }
}
