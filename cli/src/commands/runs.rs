//! `aegis runs`: runs of the state directory, newest first.

use clap::Args;

use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::table;

#[derive(Debug, Args)]
pub(crate) struct Runs {
    /// At most this many.
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: usize,
}

impl Runs {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let mut runs = Context::new(global, None)?.store()?.runs()?;
        runs.truncate(self.limit);
        table::list(global, &runs, &["RUN", "STATUS", "TARGET", "BY", "STARTED", "TITLE"], |run| {
            let started = run.started.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
            let status = run.status.word().to_owned();
            vec![run.id.clone(), status, run.target.clone(), run.person.0.clone(), started, run.title.clone()]
        });
        Ok(Exit::Ok)
    }
}
