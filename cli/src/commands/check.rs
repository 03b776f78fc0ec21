//! `aegis check`: everything that can be known to be wrong with runbooks without running them, all files at
//! once.

use std::path::{Path, PathBuf};

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::runbook::{BUILTINS, examine};
use aegis_engine::text::count;
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
        let mut errors = 0;
        for file in &files {
            let problems = examine(file, &aegis_stdlib::libraries(), &registry, BUILTINS);
            errors += usize::from(problems.has_errors());
            if global.json() {
                table::json(&serde_json::json!({ "file": file, "diagnostics": problems.diagnostics }));
            } else if !problems.diagnostics.is_empty() {
                say(&problems.render(global.colour()));
            }
        }
        if !global.json() {
            say(&format!("{} checked, {errors} with errors", count(files.len(), "runbook")));
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
