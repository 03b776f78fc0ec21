//! `aegis targets`: what `--target` can name.

use clap::Args;
use serde::Serialize;

use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::table;

#[derive(Debug, Args)]
pub(crate) struct Targets;

#[derive(Serialize)]
struct Line {
    name: String,
    default: bool,
    kind: &'static str,
    protected: bool,
    /// The image that scheduled runs execute in, and where; `None`: in the engine.
    executor: Option<String>,
    description: String,
}

impl Targets {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Context::new(global, None)?;
        let config = &context.settings.config;
        let line = |(name, target): (&String, &aegis_stdlib::target::Target)| Line {
            name: name.clone(),
            default: *name == config.target,
            kind: if target.sandbox { "sandbox" } else { "cluster" },
            protected: target.protected,
            executor: target.executor.as_ref().map(|executor| {
                let cluster = executor.cluster.as_ref().unwrap_or(name);
                format!("jobs in {cluster} ({})", executor.image)
            }),
            description: target.description.clone(),
        };
        let lines: Vec<Line> = config.targets.iter().map(line).collect();
        table::list(global, &lines, &["TARGET", "KIND", "PROTECTED", "EXECUTES", "DESCRIPTION"], |line| {
            let name = if line.default { format!("{} (default)", line.name) } else { line.name.clone() };
            let protected = if line.protected { "yes" } else { "no" };
            let executes = line.executor.clone().unwrap_or_else(|| "here".to_owned());
            vec![name, line.kind.to_owned(), protected.to_owned(), executes, line.description.clone()]
        });
        Ok(Exit::Ok)
    }
}
