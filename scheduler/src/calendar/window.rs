//! Maintenance windows: opened by a cron expression in a zone, for a length of time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Refusal, Scope};
use crate::record::Why;
use crate::schedule::Schedule;

/// A maintenance window.
#[derive(Debug, Clone)]
pub struct Window {
    /// Its name.
    pub name: String,
    /// When it opens: only `when`, `zone` and the dates count.
    pub opens: Schedule,
    /// How long it is open.
    pub lasts: Duration,
    /// What it is for.
    pub scope: Scope,
}

impl Window {
    /// When it closes, if it is open.
    #[must_use]
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        let lasts = SignedDuration::try_from(self.lasts).ok()?;
        let mut opened = self.opens.next_after(now.checked_sub(lasts).ok()?)?.instant;
        // Openings may overlap: the last one counts.
        let mut closes = None;
        while opened <= now {
            closes = opened.checked_add(lasts).ok();
            opened = match self.opens.next_after(opened) {
                Some(next) => next.instant,
                None => break,
            };
        }
        closes
    }

    /// When it opens next.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.opens.next_after(now).map(|due| due.instant)
    }

    pub(super) fn refusal(windows: &[&Self], now: Timestamp) -> Refusal {
        let soonest =
            windows.iter().filter_map(|window| Some((window.next(now)?, window))).min_by_key(|(at, _)| *at);
        Refusal {
            why: Why::OutsideWindow,
            names: windows.iter().map(|window| window.name.clone()).collect(),
            next: soonest.map(|(at, _)| at),
            local: soonest.map(|(at, window)| local(at, &window.opens.zone)),
        }
    }
}

/// An instant by the clock on the wall of a zone.
pub(super) fn local(at: Timestamp, zone: &jiff::tz::TimeZone) -> String {
    let name = zone.iana_name().unwrap_or("UTC");
    format!("{} ({name})", at.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M"))
}
