//! `aegis replay`: the script over its journal with no outside at all, to look into what happened.

use aegis_engine::run::stored;
use aegis_engine::run::{Resume, Stop};
use clap::Args;

use super::deciding::Case;
use super::running::Watcher;
use crate::context::Global;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::say;
use crate::view::tables;

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The run: its id, the beginning or the end of it, or `last`.
    #[arg(default_value = "last")]
    run: String,
}

impl Replay {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let case = Case::open(global, &self.run)?;
        let context = &case.context;
        let watcher = Watcher::new(global);
        let execution = context.offline(&case.record.target, watcher.listener());
        let resume = Resume::of(&case.record.id);
        let conclusion = context.engine()?.replay(resume, execution)?.wait();
        watcher.close();
        tables::show(&watcher.report(), global);
        if matches!(conclusion.stop, Some(Stop::EndOfJournal)) {
            say("the journal ends here");
            return Ok(Exit::Ok);
        }
        if let Some(failure) = conclusion.failure.filter(|_| !global.json()) {
            let entries = case.store.entries(&case.record.id, 0)?;
            let sources = stored::sources(&*case.store, &entries)?;
            say(failure.render(&sources, global.colour()).trim_end());
        }
        Ok(Exit::Ok)
    }
}
