//! `aegis resume`: goes on with a run where it stands.

use std::path::PathBuf;
use std::sync::Arc;

use aegis_engine::clock::SystemClock;
use aegis_engine::run::operate::Desk;
use aegis_engine::runbook::Runbook;
use clap::{Args, ValueEnum};

use super::admission::Glass;
use super::running::{Watcher, checked, conclude, interactive, wait};
use super::stepping::Stepping;
use super::subject::refuse_mistakes;
use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::notices::Bulletin;
use crate::view::failure::Failure;
use crate::view::tables;

/// Which script a run goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Script {
    /// The one it was started with.
    Recorded,
    /// The file as it is now: edits below the point reached are accepted.
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

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The run: its id, the beginning or the end of it, or `last`.
    run: String,
    #[command(flatten)]
    going: Going,
}

impl Resume {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Arc::new(Context::new(global, None)?);
        resume(&context, &self.run, &self.going)
    }
}

/// Takes a run up and shows it to its end.
pub(crate) fn resume(context: &Arc<Context>, run: &str, going: &Going) -> Result<Exit, Failure> {
    let engine = context.engine()?;
    let record = Desk { store: &*engine.store, clock: &SystemClock }.find(run)?;
    let entries = engine.store.entries(&record.id, 0)?;
    let sources = aegis_engine::run::stored::sources(&*engine.store, &entries)?;
    let current = match going.script {
        Script::Recorded => None,
        Script::Current => {
            let path: PathBuf = context.project.join(sources.main());
            let runbook = Runbook::load(&path, &aegis_stdlib::libraries())?;
            refuse_mistakes(&runbook)?;
            Some(runbook)
        }
    };
    let shown = match &current {
        Some(runbook) => runbook.clone(),
        None => Runbook::from_sources(sources)?,
    };
    context.guard(&record.target)?;
    let admitted = going.glass.admit(context, &shown, &record.target)?;
    let watcher = Watcher::new(&context.global);
    watcher.know(&entries);
    let (mut execution, _sandbox) =
        context.execution(&record.target, Some(&shown), watcher.listener(), interactive())?;
    execution.confirm = going.step.then(|| Stepping::at(&watcher));
    let break_glass = admitted.broken.clone();
    let resume = aegis_engine::run::Resume { run: record.id, script: current, break_glass, location: None };
    let handle = engine.resume(resume, execution)?;
    let (notify, broken) = (&shown.header.notify, admitted.broken.as_deref());
    let bulletin = Bulletin::of(context, &engine, notify, &record.target, handle.run(), broken);
    admitted.watch(context, &handle, &watcher);
    let conclusion = wait(context, &handle, &watcher);
    watcher.close();
    bulletin.concluded(&conclusion);
    let entries = engine.store.entries(&conclusion.run, 0)?;
    let report = aegis_engine::report::Report::of(&entries);
    tables::show(&report, &context.global);
    Ok(checked(conclude(context, &conclusion, &shown), &report))
}
