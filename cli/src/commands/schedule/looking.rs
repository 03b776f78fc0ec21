//! `schedule ls`, `explain` and `history`: reading only.

use std::collections::HashMap;

use aegis_engine::clock::{Clock, SystemClock};
use aegis_engine::error::CallError;
use aegis_engine::journal::Verdict;
use aegis_engine::{Period, codes};
use aegis_scheduler::explain::{self, Change, Told};
use aegis_scheduler::{Outcome, Record, Schedule};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::{find, tell_problems};
use crate::context::Context;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::{table, tree};

#[derive(Serialize)]
struct Line {
    schedule: String,
    runbook: String,
    target: String,
    when: String,
    zone: String,
    next: Option<Timestamp>,
    next_local: Option<String>,
    paused: Option<String>,
    last: Option<Record>,
}

/// Every schedule of the project.
pub(super) fn ls(context: &Context) -> Result<Exit, Failure> {
    let (plan, store, now) = (context.plan(false)?, context.records()?, SystemClock.now());
    let mut pauses = HashMap::new();
    store.progress(None, &mut |progress| {
        pauses.extend(progress.pause.map(|pause| (progress.schedule.to_owned(), pause)));
    })?;
    let mut lines = Vec::new();
    for schedule in &plan.schedules {
        let pause = pauses.get(&*schedule.name);
        let written = schedule.paused.as_deref().map(str::to_owned);
        let next = schedule.next_after(now);
        lines.push(Line {
            schedule: schedule.name.to_string(),
            runbook: schedule.runbook.to_string(),
            target: schedule.target.to_string(),
            when: schedule.when.text().to_owned(),
            zone: zone(schedule),
            next: next.map(|due| due.instant),
            next_local: next.map(|due| local(schedule, due.instant)),
            paused: written.or_else(|| pause.map(|pause| pause.reason.clone())),
            last: store.history(Some(&schedule.name), 1)?.pop(),
        });
    }
    table::list(&context.global, &lines, &["SCHEDULE", "WHEN", "ZONE", "TARGET", "NEXT", "LAST"], |line| {
        let next = match (&line.paused, &line.next_local) {
            (Some(why), _) => format!("paused: {why}"),
            (None, Some(next)) => next.clone(),
            (None, None) => "never again".to_owned(),
        };
        let last = line.last.as_ref().map_or_else(|| "-".to_owned(), outcome);
        vec![line.schedule.clone(), line.when.clone(), line.zone.clone(), line.target.clone(), next, last]
    });
    Ok(if tell_problems(context, &plan) == 0 { Exit::Ok } else { Exit::Usage })
}

fn zone(schedule: &Schedule) -> String {
    schedule.zone.iana_name().unwrap_or("UTC").to_owned()
}

fn local(schedule: &Schedule, instant: Timestamp) -> String {
    instant.to_zoned(schedule.zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S").to_string()
}

/// What came of an instant, in a word.
pub(in crate::commands) fn outcome(record: &Record) -> String {
    match &record.outcome {
        Outcome::Started { verdict: Some(Verdict::Succeeded), .. } => "succeeded".to_owned(),
        Outcome::Started { verdict: Some(verdict), .. } => tree::verdict_word(*verdict).to_owned(),
        Outcome::Started { verdict: None, .. } => "started".to_owned(),
        Outcome::Waiting => "waiting".to_owned(),
        Outcome::NotStarted { why } => why.word().to_owned(),
    }
}

/// Who wanted it, and what else there is to say.
fn noted(record: &Record) -> String {
    let by = record.by.as_ref().map(|by| format!("by {by}"));
    let note = Some(record.note.clone()).filter(|note| !note.is_empty());
    by.into_iter().chain(note).collect::<Vec<_>>().join("; ")
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The schedule.
    schedule: String,
    /// How many of its next instants.
    #[arg(long, value_name = "N", default_value_t = 5)]
    next: usize,
    /// As if it were this time: `2027-03-28`, `2027-03-28T01:00` there, or an instant.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

#[derive(Serialize)]
struct Explained {
    schedule: String,
    place: Option<String>,
    runbook: String,
    target: String,
    when: String,
    rules: &'static str,
    zone: String,
    /// Why nothing of it is started.
    paused: Option<String>,
    policy: Vec<(&'static str, String)>,
    next: Vec<Told>,
    changes: Vec<Change>,
}

impl Explain {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let plan = context.plan(false)?;
        let schedule = find(context, &plan, &self.schedule)?;
        let after = match &self.at {
            Some(text) => instant(text, &schedule)?,
            None => SystemClock.now(),
        };
        let explained = Explained {
            schedule: schedule.name.to_string(),
            place: schedule.place.as_ref().map(|place| place.address()),
            runbook: schedule.runbook.to_string(),
            target: schedule.target.to_string(),
            when: schedule.when.text().to_owned(),
            rules: schedule.when.rules(),
            zone: zone(&schedule),
            paused: paused(context, &schedule)?,
            policy: policy(&schedule),
            next: explain::next(&schedule, &plan.gates, after, self.next),
            changes: explain::changes(&schedule, &plan.gates, after),
        };
        if context.global.json() {
            table::json(&explained);
        } else {
            tell(&explained);
        }
        // Nothing starts for them: what they are belongs to the answer.
        let is_shut = plan.gates_refused && tell_problems(context, &plan) > 0;
        Ok(if is_shut { Exit::Usage } else { Exit::Ok })
    }
}

/// A time as people write it, by the clocks of a schedule.
pub(super) fn instant(text: &str, schedule: &Schedule) -> Result<Timestamp, Failure> {
    let civil = || {
        let date = || text.parse::<jiff::civil::Date>().map(Into::into);
        let at = text.parse::<jiff::civil::DateTime>().or_else(|_| date()).ok()?;
        schedule.zone.to_timestamp(at).ok()
    };
    text.parse().ok().or_else(civil).ok_or_else(|| {
        CallError::new(codes::ARGUMENT, format!("`{text}` is no time"))
            .hint("write `2026-12-24`, `2026-12-24T18:00`, or an instant `2026-12-24T09:00:00Z`")
            .into()
    })
}

/// Why a schedule is paused, by its own words or a person's.
fn paused(context: &Context, schedule: &Schedule) -> Result<Option<String>, Failure> {
    let mut said = None;
    context.records()?.progress(Some(&schedule.name), &mut |progress| {
        said = progress.pause.map(|pause| format!("{} ({})", pause.reason, pause.person.0));
    })?;
    Ok(schedule.paused.as_deref().map(str::to_owned).or(said))
}

fn policy(schedule: &Schedule) -> Vec<(&'static str, String)> {
    let policy = &schedule.policy;
    let mut lines = vec![
        ("overlap", policy.overlap.word().to_owned()),
        ("missed", format!("{}, up to {} late", policy.missed.word(), Period(policy.catch_up))),
        ("skipped hour", policy.skipped.word().to_owned()),
        ("doubled hour", policy.doubled.word().to_owned()),
    ];
    if !policy.jitter.is_zero() {
        lines.push(("jitter", format!("always {} of {}", Period(schedule.delay()), Period(policy.jitter))));
    }
    lines.extend(schedule.policy.from.map(|from| ("from", from.to_string())));
    lines.extend(schedule.policy.until.map(|until| ("until", until.to_string())));
    lines.extend(policy.pause_after.map(|runs| ("pauses", format!("after {runs} failed runs in a row"))));
    lines
}

fn tell(explained: &Explained) {
    let place = explained.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    let mut text = format!("{}{place}: {} on {}\n", explained.schedule, explained.runbook, explained.target);
    let row = |name: &str, value: &str| format!("  {name:12}  {value}\n");
    text.push_str(&row("when", &format!("{} in {}", explained.when, explained.zone)));
    text.push_str(&row("", explained.rules));
    for (name, value) in &explained.policy {
        text.push_str(&row(name, value));
    }
    if let Some(why) = &explained.paused {
        text.push_str(&row("paused", &format!("nothing starts until it is resumed: {why}")));
    }
    text.push_str("\nnext\n");
    text.push_str(&instants(&explained.next));
    for change in &explained.changes {
        text.push_str(&format!("\nclocks change {} ({})\n", change.local, change.at));
        text.push_str(&format!("  {}\n", change.effect));
        text.push_str(&instants(&change.instants));
    }
    table::text(&text);
}

fn instants(told: &[Told]) -> String {
    if told.is_empty() {
        return "  none\n".to_owned();
    }
    let row = |told: &Told| {
        let starts = told.starts.map(|at| format!("starts {at}"));
        let note = [starts, Some(told.note.clone()).filter(|note| !note.is_empty())];
        let note = note.into_iter().flatten().collect::<Vec<_>>().join("; ");
        vec![format!("  {}", told.local), told.instant.to_string(), note]
    };
    format!("{}\n", table::aligned(&told.iter().map(row).collect::<Vec<_>>()))
}

#[derive(Debug, Args)]
pub(in crate::commands) struct History {
    /// The schedule; without one, all of them.
    schedule: Option<String>,
    /// At most this many.
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: usize,
}

impl History {
    pub(in crate::commands) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let store = context.records()?;
        let records = store.history(self.schedule.as_deref(), self.limit)?;
        if let (true, Some(name)) = (records.is_empty(), &self.schedule)
            && !store.knows(name)?
        {
            find(context, &context.plan(false)?, name)?;
        }
        table::list(
            &context.global,
            &records,
            &["INSTANT", "SCHEDULE", "OUTCOME", "RUN", "NOTE"],
            |record| {
                let run = record.run().unwrap_or("-").to_owned();
                vec![record.instant.to_string(), record.schedule.clone(), outcome(record), run, noted(record)]
            },
        );
        Ok(Exit::Ok)
    }
}
