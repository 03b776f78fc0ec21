//! iCalendar files (RFC 5545): the events in them, as stretches of time.
//!
//! ```text
//! bytes -> lines (components, properties) -> zones, event -> Events::around(now)
//! ```
//!
//! - `lines`: a file as a tree, each part with its line; `times`: single values
//! - `zones`: time zones by name (`windows`: as Outlook calls them) or by definition
//! - `event`: one event with its recurrences
//!
//! Every event counts, whoever it is for and however it is shown; what is cancelled does not. A changed occurrence is an
//! event of its own and an exception of its series; one that changes all after it as well (`THISANDFUTURE`) changes the series.

mod event;
mod lines;
mod times;
mod windows;
mod zones;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;

use super::Frozen;
use event::Event;
pub use lines::Mistake;
use zones::Zones;

/// The events of a file, expanded a year at a time.
#[derive(Debug)]
pub(super) struct Events {
    events: Vec<Event>,
    years: Mutex<BTreeMap<i16, Arc<Vec<Frozen>>>>,
}

impl Events {
    /// Reads a file. Times without a zone are by the clocks of `own`, else of the calendar's, else of `usual`.
    pub(super) fn read(bytes: &[u8], own: Option<&TimeZone>, usual: &TimeZone) -> Result<Self, Mistake> {
        let mut events = Vec::new();
        for calendar in lines::calendars(bytes)? {
            let zones = Zones::of(&calendar, own, usual)?;
            let is_cancelled = calendar.text("METHOD").eq_ignore_ascii_case("CANCEL");
            for component in calendar.within("VEVENT") {
                let mut event = Event::read(component, &zones)?;
                event.is_cancelled |= is_cancelled;
                events.push(event);
            }
        }
        if events.is_empty() {
            let hint = "an iCalendar file (.ics) with the events in which nothing changes";
            return Err(Mistake::new(1, "the calendar has no event", hint));
        }
        Ok(Self { events: settled(events), years: Mutex::default() })
    }

    /// Everything of the year around an instant.
    pub(super) fn around(&self, now: Timestamp) -> Arc<Vec<Frozen>> {
        let year = now.to_zoned(TimeZone::UTC).year();
        let mut years = self.years.lock().unwrap_or_else(PoisonError::into_inner);
        let expanded = years.entry(year).or_insert_with(|| Arc::new(self.of_year(year)));
        Arc::clone(expanded)
    }

    fn of_year(&self, year: i16) -> Vec<Frozen> {
        let begins = |year: i16| TimeZone::UTC.to_timestamp(date(year, 1, 1).at(0, 0, 0, 0));
        let (from, to) = (begins(year), begins(year.saturating_add(1)));
        let (from, to) = (from.unwrap_or(Timestamp::MIN), to.unwrap_or(Timestamp::MAX));
        self.events.iter().flat_map(|event| event.between(from, to)).collect()
    }
}

/// What stands of all versions of all events: the newest of each; of series without the occurrences that are events of
/// their own; and nothing that is cancelled.
fn settled(events: Vec<Event>) -> Vec<Event> {
    let mut newest: HashMap<(String, Option<Timestamp>), i64> = HashMap::new();
    for event in &events {
        let known = newest.entry(event.version_of()).or_insert(event.sequence);
        *known = event.sequence.max(*known);
    }
    let is_newest = |event: &Event| event.uid.is_empty() || newest[&event.version_of()] == event.sequence;
    let (mut series, mut changed): (Vec<Event>, Vec<Event>) =
        events.into_iter().filter(is_newest).partition(|event| event.replaces.is_none());
    changed.retain(|change| {
        let Some(occurrence) = &change.replaces else { return false };
        let mut stands = true;
        for event in series.iter_mut().filter(|event| event.uid == change.uid) {
            if change.is_for_good {
                event.change_from(change);
                // The series has its occurrences from now on, unless it recurs by itself.
                stands = change.recurs();
            } else {
                event.leave_out(occurrence.clone());
            }
        }
        stands
    });
    series.append(&mut changed);
    series.retain(|event| !event.is_cancelled);
    series
}
