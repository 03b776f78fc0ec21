//! `aegis verify`: recomputes the hash chain of runs, from the stored bytes.

use aegis_engine::journal::Store;
use clap::Args;
use serde::Serialize;

use super::deciding::Case;
use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::table;

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Only this run. Default: all of them.
    run: Option<String>,
}

#[derive(Serialize)]
struct Verified {
    run: String,
    entries: usize,
    head: String,
    problem: Option<String>,
}

impl Verify {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let runs = match &self.run {
            Some(run) => vec![Case::open(global, run)?.record],
            None => Context::new(global, None)?.store()?.runs()?,
        };
        let store = Context::new(global, None)?.store()?;
        let verified: Vec<Verified> = runs.into_iter().map(|record| verify(&*store, record.id)).collect();
        table::list(global, &verified, &["RUN", "ENTRIES", "CHAIN", "HEAD"], |run| {
            let chain = run.problem.clone().unwrap_or_else(|| "holds".to_owned());
            vec![run.run.clone(), run.entries.to_string(), chain, run.head.clone()]
        });
        let broken = verified.iter().any(|run| run.problem.is_some());
        Ok(if broken { Exit::State } else { Exit::Ok })
    }
}

fn verify(store: &dyn Store, run: String) -> Verified {
    match store.entries(&run, 0) {
        Ok(entries) => {
            let head = entries.last().map(|entry| entry.hash.clone()).unwrap_or_default();
            Verified { run, entries: entries.len(), head, problem: None }
        }
        Err(error) => Verified { run, entries: 0, head: String::new(), problem: Some(error.to_string()) },
    }
}
