//! Runs inside a maintenance window: warned before it closes, and stopped at its end if they want that.

use aegis_engine::runbook::AtWindowEnd;
use jiff::{SignedDuration, Timestamp};

use super::{Service, Told};
use crate::calendar::Subject;
use crate::keeper::Launch;

/// Why a run was stopped, as its journal says it.
pub const CLOSED: &str = "its maintenance window closed";

/// A run is warned this long before its window closes.
const WARNING: SignedDuration = SignedDuration::from_mins(10);

impl Service {
    /// A run that went on in its Job while nobody watched may find its window closed.
    pub(super) fn closes(&self, launch: &Launch, now: Timestamp) -> Option<Timestamp> {
        match self.keeper.gates().admit(&subject(launch), now) {
            Ok(closes) => closes,
            Err(_) if self.is_glass_broken(launch) => None,
            Err(_) => Some(now),
        }
    }

    pub(super) fn is_admitted(&self, launch: &Launch, now: Timestamp) -> bool {
        self.keeper.gates().admit(&subject(launch), now).is_ok() || self.is_glass_broken(launch)
    }

    fn is_glass_broken(&self, launch: &Launch) -> bool {
        self.unless_trouble(self.launcher.is_glass_broken(&launch.run)).unwrap_or_default()
    }

    /// Warns runs whose window closes soon, and stops those that want it at its end.
    pub(super) fn watch_windows(&mut self, now: Timestamp) {
        for executing in self.executing.values_mut() {
            let Some(closes) = executing.closes else { continue };
            let launch = &executing.launch;
            if !executing.warned && now >= closes.checked_sub(WARNING).unwrap_or(closes) {
                executing.warned = true;
                let at_end = launch.schedule.at_window_end;
                (self.listener)(&Told::Closing(launch.clone(), closes, at_end));
            }
            if executing.stopped || now < closes {
                continue;
            }
            executing.stopped = true;
            match launch.schedule.at_window_end {
                AtWindowEnd::Continue => {}
                AtWindowEnd::Leave => self.launcher.leave(&launch.run, CLOSED),
                AtWindowEnd::Cancel => self.launcher.cancel(&launch.run, CLOSED),
            }
        }
    }
}

fn subject(launch: &Launch) -> Subject<'_> {
    let schedule = &launch.schedule;
    Subject { risk: schedule.risk, target: &schedule.target, protected: schedule.protected, scheduled: true }
}
