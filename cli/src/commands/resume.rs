//! `aegis resume`: goes on with a run where it stands.

use std::path::PathBuf;
use std::sync::Arc;

use aegis_engine::clock::SystemClock;
use aegis_engine::codes;
use aegis_engine::diagnostic::{Diagnostic, Problems};
use aegis_engine::error::CallError;
use aegis_engine::run::operate::{Decider, Desk};
use aegis_engine::run::{Retry, stored, without_effect};
use aegis_engine::runbook::{Notify, Runbook};
use clap::{Args, ValueEnum};

use super::admission::Glass;
use super::following::Following;
use super::running::{Watcher, checked, conclude, interactive, wait};
use super::stepping::Stepping;
use super::subject::refuse_mistakes;
use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::notices::Bulletin;
use crate::view::failure::Failure;
use crate::view::{say, tables};

/// Which script a run goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Script {
    /// The one it was started with.
    Recorded,
    /// The file as it is now: edits below the point reached are accepted, those inside of steps that are over are told
    /// and have no effect.
    Current,
}

/// How a run goes on.
#[derive(Debug, Clone, Args)]
pub(crate) struct Going {
    /// Which script to go on with.
    #[arg(long, value_enum, default_value = "recorded")]
    script: Script,
    /// Ask before each effect: do it, leave it out, or stop.
    #[arg(long)]
    step: bool,
    #[command(flatten)]
    glass: Glass,
}

impl Going {
    /// The script as it is now, if that is wanted; refused with all its mistakes.
    fn current(&self, context: &Context, main: &str) -> Result<Option<Runbook>, Failure> {
        if self.script == Script::Recorded {
            return Ok(None);
        }
        let path: PathBuf = context.project.join(main);
        let runbook = Runbook::load(&path, &aegis_stdlib::libraries())?;
        refuse_mistakes(&runbook)?;
        Ok(Some(runbook))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The run: its id, the beginning or the end of it, or `last`.
    run: String,
    /// Let an engine put it into a Job again, as it does with runs on its target, instead of going on here.
    #[arg(long, conflicts_with_all = ["script", "step"])]
    job: bool,
    #[command(flatten)]
    going: Going,
}

impl Resume {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Arc::new(Context::new(global, None)?);
        match self.job {
            true => into_job(&context, &self.run, &self.going.glass),
            false => resume(&context, &self.run, &self.going, None),
        }
    }
}

/// Has a run put into a Job again and shows it to its end.
fn into_job(context: &Arc<Context>, run: &str, glass: &Glass) -> Result<Exit, Failure> {
    let engine = context.engine()?;
    let desk = Desk { store: &*engine.store, clock: &SystemClock };
    let record = desk.find(run)?;
    let entries = engine.store.entries(&record.id, 0)?;
    let runbook = Runbook::from_sources(stored::sources(&*engine.store, &entries)?)?;
    if context.settings.config.target(&record.target)?.executor.is_none() {
        let problem = format!("runs on `{}` do not execute as jobs", record.target);
        return Err(CallError::new(codes::NOT_POSSIBLE, problem)
            .hint(format!("`aegis resume {}` goes on with it here", record.id))
            .into());
    }
    context.guard(&record.target)?;
    let admitted = glass.admit(context, &runbook, &record.target)?;
    let person = context.person();
    let by = Decider { person: &person, note: "", evidence: "" };
    desk.into_job(&record.id, &by, admitted.broken.clone())?;
    say("an engine puts it into another job");
    let broken = admitted.broken.as_deref();
    // Told of its start and end by the engine; that the glass was broken it does not see.
    let _told = Bulletin::of(context, &engine, &Notify::default(), &record.target, &record.id, broken);
    let Some(scheduled) = stored::started(&entries)?.scheduled.clone() else { return Ok(Exit::Ok) };
    let seen = entries.last().map_or(0, |entry| entry.seq);
    Following::new(context, &record.id, seen).until_its_end((&scheduled.schedule, scheduled.instant))
}

/// Edits inside of what is over do nothing, and the run goes on all the same.
fn tell_without_effect(context: &Context, diagnostics: Vec<Diagnostic>, runbook: &Runbook) {
    if !diagnostics.is_empty() {
        let problems = Problems { diagnostics, sources: runbook.sources.clone() };
        say(problems.render(context.global.colour()).trim_end());
    }
}

/// Takes a run up and shows it to its end.
pub(crate) fn resume(
    context: &Arc<Context>,
    run: &str,
    going: &Going,
    retry: Option<Retry>,
) -> Result<Exit, Failure> {
    let engine = context.engine()?;
    let record = Desk { store: &*engine.store, clock: &SystemClock }.find(run)?;
    let entries = engine.store.entries(&record.id, 0)?;
    let current = going.current(context, &stored::started(&entries)?.main)?;
    let shown = match &current {
        Some(runbook) => {
            tell_without_effect(
                context,
                without_effect(&*engine.store, &record.id, &entries, &runbook.sources, retry.is_some()),
                runbook,
            );
            runbook.clone()
        }
        None => Runbook::from_sources(stored::sources(&*engine.store, &entries)?)?,
    };
    let target = &stored::started(&entries)?.target;
    context.guard(target)?;
    let admitted = going.glass.admit(context, &shown, target)?;
    let watcher = Watcher::new(&context.global);
    watcher.know(&entries);
    let (mut execution, _sandbox) =
        context.execution(target, Some(&shown), watcher.listener(), interactive())?;
    execution.confirm = going.step.then(|| Stepping::at(&watcher));
    let break_glass = admitted.broken.clone();
    let resume = aegis_engine::run::Resume {
        script: current,
        break_glass,
        retry,
        ..aegis_engine::run::Resume::of(record.id)
    };
    let handle = engine.resume(resume, execution)?;
    let (notify, broken) = (&shown.header.notify, admitted.broken.as_deref());
    let bulletin = Bulletin::of(context, &engine, notify, target, handle.run(), broken);
    admitted.watch(context, &handle, &watcher);
    let conclusion = wait(context, &handle, &watcher);
    watcher.close();
    bulletin.concluded(&conclusion);
    let entries = engine.store.entries(&conclusion.run, 0)?;
    let report = aegis_engine::report::Report::of(&entries);
    tables::show(&report, &context.global);
    Ok(checked(conclude(context, &conclusion, &shown), &report))
}
