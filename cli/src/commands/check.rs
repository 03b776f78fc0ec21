//! `aegis check`: everything that can be known to be wrong with runbooks without running them, all files at
//! once.

use std::path::{Path, PathBuf};

use aegis_engine::codes;
use aegis_engine::diagnostic::Diagnostic;
use aegis_engine::error::CallError;
use aegis_engine::runbook::{BUILTINS, Runbook, examine};
use aegis_engine::text::count;
use aegis_scheduler::reading;
use clap::Args;

use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::say;
use crate::view::table;

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Runbooks, or folders with runbooks. Default: `runbooks/` of the project.
    paths: Vec<PathBuf>,
}

impl Check {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let registry = Context::registry()?;
        let files = self.files(global)?;
        let (mut checked, mut errors) = (files.len(), 0);
        for file in &files {
            let mut problems = examine(file, &aegis_stdlib::libraries(), &registry, &BUILTINS);
            problems.diagnostics.extend(schedule_of(file));
            errors += usize::from(problems.has_errors());
            if global.json() {
                table::json(&serde_json::json!({ "file": file, "diagnostics": problems.diagnostics }));
            } else if !problems.diagnostics.is_empty() {
                say(&problems.render(global.colour()));
            }
        }
        if self.paths.is_empty() {
            let context = Context::new(global, None)?;
            checked += usize::from(context.project.join(reading::FILE).exists());
            errors += schedules(&context)?;
        }
        if !global.json() {
            say(&format!("{} checked, {errors} with errors", count(checked, "file")));
        }
        Ok(if errors == 0 { Exit::Ok } else { Exit::Usage })
    }

    fn files(&self, global: &Global) -> Result<Vec<PathBuf>, Failure> {
        let mut files = Vec::new();
        if self.paths.is_empty() {
            collect(&Context::new(global, None)?.project.join("runbooks"), &mut files)?;
        }
        for path in &self.paths {
            if path.is_dir() { collect(path, &mut files)? } else { files.push(path.clone()) }
        }
        Ok(files)
    }
}

/// What is wrong with the schedule of a header that is else all right.
fn schedule_of(file: &Path) -> Vec<Diagnostic> {
    let runbook = Runbook::load(file, &aegis_stdlib::libraries());
    runbook.map(|runbook| reading::check_header(&runbook)).unwrap_or_default()
}

/// Tells what is wrong with `schedules.toml`; answers 1 when something is.
fn schedules(context: &Context) -> Result<usize, Failure> {
    let plan = context.plan(false)?;
    let own = plan.problems.iter().filter(|problems| problems.sources.main() == reading::FILE);
    let mut errors = 0;
    for problems in own {
        errors = 1;
        if context.global.json() {
            table::json(&serde_json::json!({ "file": reading::FILE, "diagnostics": problems.diagnostics }));
        } else {
            say(&problems.render(context.global.colour()));
        }
    }
    Ok(errors)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| {
        CallError::new(codes::IMPORT, format!("cannot read the folder `{}`", folder.display())).because(error)
    };
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).map_err(unreadable)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "rhai") {
            files.push(path);
        }
    }
    Ok(())
}
