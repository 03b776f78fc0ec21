//! `schedule run-now` and `backfill`: runs of a schedule that people start here, or hand to the engines where they execute
//! as Jobs, with the records of any other.

use std::sync::Arc;
use std::time::Duration;

use aegis_engine::clock::{Clock, SystemClock};
use aegis_engine::codes;
use aegis_engine::diagnostic::Problems;
use aegis_engine::error::CallError;
use aegis_engine::journal::{Scheduled, Verdict};
use aegis_engine::run::{Mode, Occasion, Start};
use aegis_engine::runbook::{Notify, Params, Runbook};
use aegis_engine::text::count;
use aegis_scheduler::record::run_id;
use aegis_scheduler::store::{Ended, RecordStore, Rest};
use aegis_scheduler::{Kind, Outcome, Policy, Record, Schedule};
use clap::Args;
use jiff::Timestamp;

use super::find;
use super::looking::instant;
use crate::commands::admission::{Admitted, Glass};
use crate::commands::following::Following;
use crate::commands::running::{Watcher, checked, conclude, interactive, wait};
use crate::commands::subject::refuse_mistakes;
use crate::context::Context;
use crate::exit::Exit;
use crate::notices::Bulletin;
use crate::view::failure::Failure;
use crate::view::{say, table, tables};

#[derive(Debug, Args)]
pub(super) struct RunNow {
    /// The schedule.
    schedule: String,
    #[command(flatten)]
    glass: Glass,
}

#[derive(Debug, Args)]
pub(super) struct Backfill {
    /// The schedule.
    schedule: String,
    /// From this time on: `2026-12-24`, `2026-12-24T18:00` there, or an instant.
    #[arg(long, value_name = "TIME")]
    from: String,
    /// To before this time.
    #[arg(long, value_name = "TIME")]
    to: String,
    /// Only say which instants would run.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    glass: Glass,
}

impl RunNow {
    pub(super) fn run(self, context: &Arc<Context>) -> Result<Exit, Failure> {
        let schedule = find(context, &context.plan(true)?, &self.schedule)?;
        let store: Arc<dyn RecordStore> = context.records()?;
        let open = store.open()?.into_iter().find(|record| record.schedule == self.schedule);
        if let Some(run) = open.as_ref().and_then(Record::run) {
            say(&format!("a run of `{}` is under way: {run}", self.schedule));
        }
        let by_hand = ByHand { context, store, schedule, glass: &self.glass };
        if by_hand.executes_elsewhere()? {
            return by_hand.hand_over(SystemClock.now(), None);
        }
        by_hand.run(SystemClock.now(), None)
    }
}

impl Backfill {
    pub(super) fn run(self, context: &Arc<Context>) -> Result<Exit, Failure> {
        let schedule = find(context, &context.plan(true)?, &self.schedule)?;
        let (from, to) = (instant(&self.from, &schedule)?, instant(&self.to, &schedule)?);
        if from > to {
            let problem =
                CallError::new(codes::ARGUMENT, format!("`--from` ({from}) is after `--to` ({to})"));
            return Err(problem.hint("give the earlier time to `--from`").into());
        }
        if to > SystemClock.now() {
            let problem = CallError::new(codes::ARGUMENT, "what is still to come cannot be backfilled");
            return Err(problem
                .hint("give a `--to` that is not after now; `run-now` runs one at once")
                .into());
        }
        let store: Arc<dyn RecordStore> = context.records()?;
        let missing = missing(&*store, &schedule, from, to)?;
        if self.dry_run || missing.is_empty() {
            let instants: Vec<Timestamp> = missing.iter().map(|(instant, _)| *instant).collect();
            table::list(&context.global, &instants, &["INSTANT"], |instant| vec![instant.to_string()]);
            return Ok(Exit::Ok);
        }
        let number = missing.len();
        let by_hand = ByHand { context, store, schedule, glass: &self.glass };
        for (done, (instant, record)) in missing.into_iter().enumerate() {
            say(&format!("{instant} ({} of {})", done + 1, count(number, "instant")));
            let exit = match by_hand.executes_elsewhere()? {
                true => by_hand.hand_over(instant, record)?,
                false => by_hand.run(instant, record)?,
            };
            if exit != Exit::Ok {
                return Ok(exit);
            }
        }
        Ok(Exit::Ok)
    }
}

/// Instants of a time that have no run, with the record that says so.
fn missing(
    store: &dyn RecordStore,
    schedule: &Schedule,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<(Timestamp, Option<Record>)>, Failure> {
    // A schedule's own dates bound what it starts by itself, not what people want of it.
    let policy = Arc::new(Policy { from: None, until: None, ..*schedule.policy });
    let schedule = Schedule { policy, ..schedule.clone() };
    let before = from.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap_or(from);
    let mut found = Vec::new();
    let mut due = schedule.next_after(before);
    while let Some(one) = due.filter(|one| one.instant < to) {
        let record = store.find(&schedule.name, one.instant)?;
        let without = record.as_ref().is_none_or(|record| record.why().is_some());
        if without && one.kind != Kind::Skipped {
            found.push((one.instant, record));
        }
        due = schedule.next_after(one.instant);
    }
    Ok(found)
}

/// A schedule whose runs a person starts here.
struct ByHand<'a> {
    context: &'a Arc<Context>,
    store: Arc<dyn RecordStore>,
    schedule: Arc<Schedule>,
    glass: &'a Glass,
}

impl ByHand<'_> {
    /// Whether its runs execute as Jobs.
    fn executes_elsewhere(&self) -> Result<bool, Failure> {
        let target = self.context.settings.config.target(&self.schedule.target)?;
        Ok(target.executor.is_some())
    }

    /// Begins a run in this person's name, of which an engine makes a Job, and shows it to its end.
    fn hand_over(&self, instant: Timestamp, record: Option<Record>) -> Result<Exit, Failure> {
        let (context, schedule) = (self.context, &self.schedule);
        let (runbook, params) = self.load()?;
        context.guard(&schedule.target)?;
        let admitted = self.glass.admit(context, &runbook, &schedule.target)?;
        let run = self.promise(instant, record)?;
        let engine = context.engine()?;
        let start = self.start_of(&run, instant, runbook, params, &admitted);
        engine.register(&start, &schedule.target, &context.person())?;
        // Nobody executes it here: an engine need not wait whether somebody does.
        let key = (&*schedule.name, instant);
        self.store.put_back("", SystemClock.now(), &[(key, Rest::After(Duration::ZERO))])?;
        self.store.changed()?;
        say(&format!("promised: {run}; an engine puts it into a job"));
        let broken = admitted.broken.as_deref();
        // Told of its start and end by the engine; that the glass was broken it does not see.
        let _told = Bulletin::of(context, &engine, &Notify::default(), &schedule.target, &run, broken);
        Following::new(context, &run, 0).until_its_end(key)
    }

    fn start_of(
        &self,
        run: &str,
        instant: Timestamp,
        runbook: Runbook,
        params: Params,
        admitted: &Admitted,
    ) -> Start {
        let name = self.schedule.name.to_string();
        let scheduled = Some(Scheduled { schedule: name.clone(), instant });
        let (run, break_glass) = (Some(run.to_owned()), admitted.broken.clone());
        let (project, mode) = (self.context.project.clone(), Mode::Run);
        Start { runbook, name, project, params, mode, occasion: Occasion { run, scheduled, break_glass } }
    }

    /// Runs one instant here, to its end.
    fn run(&self, instant: Timestamp, record: Option<Record>) -> Result<Exit, Failure> {
        let (context, schedule) = (self.context, &self.schedule);
        let (runbook, params) = self.load()?;
        context.guard(&schedule.target)?;
        let admitted = self.glass.admit(context, &runbook, &schedule.target)?;
        let run = self.promise(instant, record)?;
        let watcher = Watcher::new(&context.global);
        let started = context.execution(&schedule.target, Some(&runbook), watcher.listener(), interactive());
        let start = self.start_of(&run, instant, runbook.clone(), params, &admitted);
        let (execution, _sandbox) = started?;
        let engine = context.engine()?;
        let handle = engine.start(start, execution)?;
        let broken = admitted.broken.as_deref();
        let bulletin =
            Bulletin::of(context, &engine, &schedule.notify, &schedule.target, handle.run(), broken);
        bulletin.started();
        admitted.watch(context, &handle, &watcher);
        let conclusion = wait(context, &handle, &watcher);
        watcher.close();
        bulletin.concluded(&conclusion);
        if let Some(verdict) = conclusion.verdict {
            self.ended(instant, verdict)?;
        }
        let report = watcher.report();
        tables::show(&report, &context.global);
        Ok(checked(conclude(context, &conclusion, &runbook), &report))
    }

    fn load(&self) -> Result<(Runbook, Params), Failure> {
        let path = self.context.project.join(&*self.schedule.runbook);
        let runbook = Runbook::load(&path, &aegis_stdlib::libraries())?;
        refuse_mistakes(&runbook)?;
        let params = runbook
            .header
            .bind(&self.schedule.params, &self.context.environment)
            .map_err(|diagnostics| Problems { diagnostics, sources: runbook.sources.clone() })?;
        Ok((runbook, params))
    }

    /// The record first: whoever else looks at this instant sees that it has its run.
    fn promise(&self, instant: Timestamp, record: Option<Record>) -> Result<String, Failure> {
        let run = run_id(&self.schedule.name, instant);
        let (person, now) = (self.context.person().0, SystemClock.now());
        let promised = Record {
            schedule: self.schedule.name.to_string(),
            instant,
            decided: now,
            outcome: Outcome::Started { run: run.clone(), verdict: None },
            by: Some(person),
            given: std::collections::BTreeMap::new(),
            note: record
                .as_ref()
                .and_then(Record::why)
                .map(|before| format!("after {}", before.word()))
                .unwrap_or_default(),
        };
        if self.store.promise(&promised, record.as_ref(), now)? {
            return Ok(run);
        }
        let problem = format!("somebody else has just taken {instant} of `{}`", self.schedule.name);
        Err(CallError::new(codes::CLAIMED, problem).hint("`aegis schedule history` shows its run").into())
    }

    fn ended(&self, instant: Timestamp, verdict: Verdict) -> Result<(), Failure> {
        self.store.ended(&[Ended { schedule: &self.schedule.name, instant, verdict }])?;
        self.store.changed()?;
        Ok(())
    }
}
