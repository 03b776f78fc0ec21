//! What `aegis serve` shows: a line an event for people, a JSON value an event for programs.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use aegis_engine::Period;
use aegis_engine::runbook::AtWindowEnd;
use aegis_engine::text::{count, printable};
use aegis_scheduler::service::Told;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::context::Global;
use crate::view::{say, table, tree};

/// What is said when windows and freezes have mistakes.
pub(super) const SHUT: &str = "the windows or freezes of schedules.toml have mistakes: nothing starts by itself until they \
                               are mended: aegis check";

/// A reader of what the scheduler tells.
pub(super) struct Screen {
    json: bool,
    /// Trouble that lasts, as it was said.
    trouble: Mutex<BTreeSet<String>>,
}

impl Screen {
    pub(super) fn new(global: &Global) -> Self {
        Self { json: global.json(), trouble: Mutex::default() }
    }

    pub(super) fn hear(&self, told: &Told) {
        if self.is_said(told) {
            return;
        }
        if self.json {
            if let Some(value) = value(told) {
                table::json(&value);
            }
        } else if let Some(line) = line(told) {
            say(&printable(&line));
        }
    }

    /// Whether it was said already: trouble is, once in each words, until it is over.
    fn is_said(&self, told: &Told) -> bool {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match told {
            Told::Trouble(why) => !trouble.insert(why.clone()),
            Told::Mended => {
                trouble.clear();
                false
            }
            _ => false,
        }
    }
}

fn line(told: &Told) -> Option<String> {
    Some(match told {
        Told::Serving { schedules, next, .. } => {
            let next =
                next.map_or_else(|| "nothing is due".to_owned(), |at| format!("next at {}", second(at)));
            format!("serving {}, {next}", count(*schedules, "schedule"))
        }
        Told::Started(launch) => {
            format!("{} {}: started {}", second(launch.instant), launch.schedule.name, launch.run)
        }
        Told::Ended(launch, verdict) => {
            format!(
                "{} {}: {} {}",
                second(launch.instant),
                launch.schedule.name,
                tree::verdict_word(*verdict),
                launch.run
            )
        }
        Told::Waiting(launch) => {
            let run = &launch.run;
            format!(
                "{} {}: waits for a person: aegis show {run}",
                second(launch.instant),
                launch.schedule.name
            )
        }
        Told::NotStarted(record, _) => {
            let why = record.why().map_or("", |why| why.word());
            format!("{} {}: not started, {why}: {}", second(record.instant), record.schedule, record.note)
        }
        Told::Paused(schedule, pause) => {
            let name = &schedule.name;
            format!("{name} is paused: {}\n  next: aegis schedule resume {name}", pause.reason)
        }
        Told::Shut(_) => SHUT.to_owned(),
        Told::Opened => "the windows and freezes are mended: runs start again".to_owned(),
        Told::Jumped(by) => {
            let length = Period::seconds(by.unsigned_abs().as_secs());
            let way = if by.is_negative() { "back" } else { "forward" };
            format!("the clock went {way} by {length}: what was missed is decided by each schedule's policy")
        }
        Told::Closing(launch, at, at_end) => {
            let next = match at_end {
                AtWindowEnd::Continue => "goes on",
                AtWindowEnd::Leave => "is left there, and goes on in the next one",
                AtWindowEnd::Cancel => "is cancelled then",
            };
            format!("the window of {} closes at {}: the run {next}", launch.run, second(*at))
        }
        Told::Leads(None) => "leads: decides on instants".to_owned(),
        Told::Leads(Some(leader)) => format!("stands by: {leader} decides on instants; runs are shared"),
        Told::Trouble(why) => format!("trouble: {why}"),
        Told::Mended => "journals and records can be used again".to_owned(),
        Told::Draining(runs) => format!("stopping: no new runs; {} under way", count(*runs, "run")),
        Told::Alive(_) | Told::Due(_) => return None,
    })
}

fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn value(told: &Told) -> Option<Value> {
    Some(match told {
        Told::Serving { schedules, next, shut } => {
            json!({ "event": "serving", "schedules": schedules, "next": next, "shut": shut })
        }
        Told::Started(launch) => json!({
            "event": "started", "schedule": &*launch.schedule.name, "instant": launch.instant, "run": launch.run,
        }),
        Told::Ended(launch, verdict) => json!({
            "event": "ended", "schedule": &*launch.schedule.name, "instant": launch.instant, "run": launch.run,
            "verdict": verdict,
        }),
        Told::Waiting(launch) => json!({
            "event": "waiting", "schedule": &*launch.schedule.name, "instant": launch.instant, "run": launch.run,
        }),
        Told::NotStarted(record, _) => json!({ "event": "not-started", "record": record }),
        Told::Paused(schedule, pause) => {
            json!({ "event": "paused", "schedule": &*schedule.name, "pause": pause })
        }
        Told::Shut(schedules) => json!({ "event": "shut", "schedules": schedules.len() }),
        Told::Opened => json!({ "event": "opened" }),
        Told::Jumped(by) => json!({ "event": "jumped", "seconds": by.as_secs_f64() }),
        Told::Closing(launch, at, _) => json!({ "event": "closing", "run": launch.run, "closes": at }),
        Told::Leads(leader) => json!({ "event": "leads", "leader": leader }),
        Told::Trouble(why) => json!({ "event": "trouble", "message": why }),
        Told::Mended => json!({ "event": "mended" }),
        Told::Draining(runs) => json!({ "event": "draining", "runs": runs }),
        Told::Alive(_) | Told::Due(_) => return None,
    })
}
