//! The runbooks that schedules name, each read and checked once.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use aegis_engine::diagnostic::Severity;
use aegis_engine::files::{WRITTEN, read_text};
use aegis_engine::runbook::{BUILTINS, Runbook, check};
use aegis_engine::text::did_you_mean;

use super::Surroundings;
use crate::expression::Wrong;

/// Runbooks by their path in the project.
pub(super) struct Runbooks<'a> {
    surroundings: Surroundings<'a>,
    read: HashMap<String, Result<Rc<Runbook>, Wrong>>,
}

impl<'a> Runbooks<'a> {
    pub(super) fn new(surroundings: Surroundings<'a>) -> Self {
        Self { surroundings, read: HashMap::new() }
    }

    /// A runbook that can run.
    pub(super) fn find(&mut self, path: &str) -> Result<Rc<Runbook>, Wrong> {
        if let Some(known) = self.read.get(path) {
            return known.clone();
        }
        let read = self.load(path);
        self.read.insert(path.to_owned(), read.clone());
        read
    }

    fn load(&self, path: &str) -> Result<Rc<Runbook>, Wrong> {
        if is_outside(path) {
            let hint = "copy it into the project: the path begins there, like `runbooks/backup.rhai`";
            return Err(Wrong::new(format!("the runbook `{path}` is outside of the project"), hint));
        }
        let file = self.surroundings.root.join(path);
        if !file.is_file() {
            return Err(self.missing(path));
        }
        let look = format!("`aegis check {path}` shows what");
        let mistaken = |_| Wrong::new(format!("the runbook `{path}` has mistakes"), look.clone());
        let runbook = Runbook::load(&file, self.surroundings.libraries).map_err(mistaken)?;
        let problems = check(&runbook, self.surroundings.registry, &BUILTINS);
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(mistaken(aegis_engine::diagnostic::Problems::of(
                problems[0].clone(),
                runbook.sources.clone(),
            )));
        }
        Ok(Rc::new(runbook))
    }

    fn missing(&self, path: &str) -> Wrong {
        let there = self.all();
        let names: Vec<&str> = there.iter().map(String::as_str).collect();
        let hint = did_you_mean(path, names)
            .unwrap_or_else(|| "the path begins at the project, like `runbooks/backup.rhai`".to_owned());
        Wrong::new(format!("there is no runbook `{path}`"), hint)
    }

    /// Paths of all runbooks in the project's own folder for them.
    pub(super) fn all(&self) -> Vec<String> {
        let mut files = Vec::new();
        collect(&self.surroundings.root.join("runbooks"), &mut files);
        files.sort();
        let named = |file: &PathBuf| {
            file.strip_prefix(self.surroundings.root).ok().map(|path| path.display().to_string())
        };
        files.iter().filter_map(named).collect()
    }

    /// Those whose text mentions a schedule: others need not be parsed.
    pub(super) fn scheduled(&self) -> Vec<String> {
        let mentions = |path: &String| {
            let text = read_text(&self.surroundings.root.join(path), WRITTEN);
            text.is_ok_and(|text| text.contains("schedule"))
        };
        self.all().into_iter().filter(mentions).collect()
    }
}

/// Whether a path leads out of the folder that it begins in.
fn is_outside(path: &str) -> bool {
    let mut depth = 0_usize;
    Path::new(path).components().any(|part| match part {
        Component::Normal(_) => {
            depth += 1;
            false
        }
        Component::CurDir => false,
        Component::ParentDir => match depth.checked_sub(1) {
            Some(above) => {
                depth = above;
                false
            }
            None => true,
        },
        Component::RootDir | Component::Prefix(_) => true,
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries =
        std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rhai") {
            files.push(path);
        }
    }
}
