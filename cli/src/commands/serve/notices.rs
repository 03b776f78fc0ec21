//! What people are told of what the scheduler does: by each schedule's own declaration, its runbook's, or the usual
//! channel of its target. What only one engine sees is told by that one; what all of them see, by one for all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aegis_engine::clock::{Clock, SystemClock};
use aegis_engine::journal::{Store, StoreError, Verdict};
use aegis_engine::runbook::{AtWindowEnd, Moment, Notify};
use aegis_scheduler::Schedule;
use aegis_scheduler::keeper::Launch;
use aegis_scheduler::service::Told;

use super::screen::SHUT;
use crate::context::Context;
use crate::notices::{Notice, channels};

/// What says that people were told of gates that are shut.
const LEASE: &str = "serve/shut";

/// Gates that are shut are told again after this long, if engines come upon them then.
const AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether people have been told that gates are shut, by any engine.
pub(super) struct Shutting {
    store: Arc<dyn Store>,
    engine: String,
}

impl Shutting {
    pub(super) fn new(store: Arc<dyn Store>, engine: String) -> Self {
        Self { store, engine }
    }

    /// Whether this engine has to tell people of something: of what it alone saw, or was the first to see.
    pub(super) fn is_ours(&self, told: &Told) -> bool {
        match told {
            // Rather twice than never.
            Told::Shut(_) => self.first().unwrap_or(true),
            Told::Opened | Told::Serving { shut: false, .. } => {
                let _ = self.over();
                true
            }
            _ => true,
        }
    }

    fn first(&self) -> Result<bool, StoreError> {
        Ok(self.store.acquire(LEASE, &self.engine, SystemClock.now(), AGAIN, None)?.is_ok())
    }

    /// Whoever told it: the next time is another one.
    fn over(&self) -> Result<(), StoreError> {
        let holder = self.store.acquire(LEASE, &self.engine, SystemClock.now(), AGAIN, None)?;
        let (Ok(lease) | Err(lease)) = holder;
        self.store.release(LEASE, &lease.run, None)
    }
}

/// What there is to tell: nothing of what nobody needs to hear of.
pub(super) fn notices(context: &Context, told: &Told) -> Vec<Notice> {
    match told {
        Told::Shut(schedules) => shut(context, schedules),
        told => one(context, told).into_iter().collect(),
    }
}

/// One for everybody who hears of missed runs of any of these schedules, once a target.
fn shut(context: &Context, schedules: &[Arc<Schedule>]) -> Vec<Notice> {
    let mut told: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for schedule in schedules {
        let who = channels(context, &schedule.target, &schedule.notify, Moment::Missed);
        told.entry(&schedule.target).or_default().extend(who);
    }
    let notice = |(target, channels): (&str, BTreeSet<String>)| Notice {
        target: target.to_owned(),
        channels: channels.into_iter().collect(),
        moment: Moment::Missed,
        text: SHUT.to_owned(),
    };
    told.into_iter().map(notice).collect()
}

fn one(context: &Context, told: &Told) -> Option<Notice> {
    match told {
        Told::NotStarted(record, schedule) => {
            let why = record.why().filter(|why| why.is_missed())?;
            let text = format!(
                "{} of {}: not started, {}: {}",
                record.schedule,
                record.instant,
                why.word(),
                record.note
            );
            Some(of(context, schedule.as_ref(), Moment::Missed, text))
        }
        Told::Paused(schedule, pause) => {
            let text = format!(
                "{}: paused, {}: aegis schedule resume {}",
                schedule.name, pause.reason, schedule.name
            );
            Some(of(context, Some(schedule), Moment::Failed, text))
        }
        Told::Closing(launch, at, at_end) => {
            let next = match at_end {
                AtWindowEnd::Continue => return None,
                AtWindowEnd::Leave => "left where it stands, and goes on in the next one",
                AtWindowEnd::Cancel => "cancelled",
            };
            let at = at.strftime("%Y-%m-%dT%H:%M:%SZ");
            Some(about(
                context,
                launch,
                Moment::Closing,
                &format!("its window closes at {at}, then it is {next}"),
            ))
        }
        Told::Started(launch) => Some(about(context, launch, Moment::Started, "started")),
        Told::Waiting(launch) => Some(about(context, launch, Moment::Waiting, "waits for a person")),
        Told::Ended(launch, verdict) => Some(match verdict {
            Verdict::Succeeded => about(context, launch, Moment::Succeeded, "succeeded"),
            Verdict::Failed => about(context, launch, Moment::Failed, "failed"),
            Verdict::Cancelled => about(context, launch, Moment::Failed, "was cancelled"),
        }),
        _ => None,
    }
}

fn about(context: &Context, launch: &Launch, moment: Moment, what: &str) -> Notice {
    let text = format!("{} of {}: {what}: aegis show {}", launch.schedule.name, launch.instant, launch.run);
    of(context, Some(&launch.schedule), moment, text)
}

/// To the people of the schedule's target; of a schedule that is gone, those of the usual target hear.
fn of(context: &Context, schedule: Option<&Arc<Schedule>>, moment: Moment, text: String) -> Notice {
    let nothing = Notify::default();
    let (target, declared) = match schedule {
        Some(schedule) => (&*schedule.target, &*schedule.notify),
        None => (context.settings.config.target.as_str(), &nothing),
    };
    Notice { target: target.to_owned(), channels: channels(context, target, declared, moment), moment, text }
}
