//! `aegis run`: starts a run and shows it to its end.

use std::sync::Arc;

use aegis_engine::run::{Mode, Occasion, Start};
use clap::Args;

use super::admission::Glass;
use super::running::{Watcher, checked, conclude, interactive, wait};
use super::stepping::Stepping;
use super::subject::Subject;
use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::notices::Bulletin;
use crate::view::failure::Failure;
use crate::view::tables;

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    subject: Subject,
    /// Ask before each effect: do it, leave it out, or stop.
    #[arg(long)]
    step: bool,
    #[command(flatten)]
    glass: Glass,
}

impl Run {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Arc::new(Context::new(global, Some(&self.subject.runbook))?);
        let (runbook, params) = self.subject.load(&context)?;
        let target = context.target_name(self.subject.target.as_deref());
        context.guard(&target)?;
        let admitted = self.glass.admit(&context, &runbook, &target)?;
        let watcher = Watcher::new(global);
        let (mut execution, _sandbox) =
            context.execution(&target, Some(&runbook), watcher.listener(), interactive())?;
        execution.confirm = self.step.then(|| Stepping::at(&watcher));
        let start = Start {
            runbook: runbook.clone(),
            name: self.subject.name(),
            project: context.project.clone(),
            params,
            mode: Mode::Run,
            occasion: Occasion { break_glass: admitted.broken.clone(), ..Occasion::default() },
        };
        let engine = context.engine()?;
        let handle = engine.start(start, execution)?;
        let (notify, broken) = (&runbook.header.notify, admitted.broken.as_deref());
        let bulletin = Bulletin::of(&context, &engine, notify, &target, handle.run(), broken);
        bulletin.started();
        admitted.watch(&context, &handle, &watcher);
        let conclusion = wait(&context, &handle, &watcher);
        watcher.close();
        bulletin.concluded(&conclusion);
        let report = watcher.report();
        tables::show(&report, global);
        Ok(checked(conclude(&context, &conclusion, &runbook), &report))
    }
}
