//! `aegis docs`: reference pages, made from the one description of each function.

use std::path::{Path, PathBuf};

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::Registry;
use aegis_engine::runbook::BUILTINS;
use aegis_engine::text::did_you_mean;
use clap::Args;
use serde::Serialize;

use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::reference::{self, Page};
use crate::view::failure::Failure;
use crate::view::say;
use crate::view::table;

#[derive(Debug, Args)]
pub(crate) struct Docs {
    /// A module (`k8s`), a function (`k8s::scale`) or one of the script's own (`step`). Default: all modules.
    name: Option<String>,
    /// Write every page as Markdown into this folder.
    #[arg(long, value_name = "DIR")]
    markdown: Option<PathBuf>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    summary: &'static str,
}

impl Docs {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let registry = Context::registry()?;
        if let Some(folder) = &self.markdown {
            return write(&registry, folder);
        }
        match &self.name {
            None => overview(&registry, global),
            Some(name) if global.json() => table::json(&page(&registry, name)?.json()),
            Some(name) => table::text(&page(&registry, name)?.text()),
        }
        Ok(Exit::Ok)
    }
}

fn overview(registry: &Registry, global: &Global) {
    let modules = registry.modules().iter();
    let modules = modules.map(|module| Line { name: module.name.to_owned(), summary: module.summary });
    let builtins = BUILTINS.iter().map(|b| Line { name: b.name.to_owned(), summary: b.summary });
    let lines: Vec<Line> = builtins.chain(modules).collect();
    table::list(global, &lines, &["NAME", "SUMMARY"], |line| {
        vec![line.name.clone(), line.summary.to_owned()]
    });
}

fn page<'a>(registry: &'a Registry, name: &'a str) -> Result<Page<'a>, Failure> {
    if name == reference::SCRIPT {
        return Ok(Page::Script);
    }
    if let Some(builtin) = BUILTINS.iter().find(|builtin| builtin.name == name) {
        return Ok(Page::Builtin(builtin));
    }
    if let Some(module) = registry.modules().iter().find(|module| module.name == name) {
        return Ok(Page::Module(module));
    }
    if let (Some((module, _)), Some(function)) = (name.split_once("::"), registry.function(name)) {
        return Ok(Page::Function(module, function));
    }
    let modules = registry.modules().iter().map(|module| module.name);
    let known = registry.names().chain(modules).chain(BUILTINS.iter().map(|builtin| builtin.name));
    let error = CallError::new(codes::FUNCTION, format!("there is no module or function `{name}`"));
    let hint = did_you_mean(name, known).unwrap_or_else(|| "`aegis docs` lists all modules".to_owned());
    Err(error.hint(hint).into())
}

fn write(registry: &Registry, folder: &Path) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| {
        CallError::new(codes::SCRIPT, format!("cannot write to `{}`", folder.display())).because(error)
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let modules = registry.modules().iter().map(|module| (module.name, Page::Module(module)));
    let pages = modules.chain([(reference::SCRIPT, Page::Script)]);
    let mut written = 0;
    for (name, page) in pages {
        std::fs::write(folder.join(format!("{name}.md")), page.text()).map_err(failed)?;
        written += 1;
    }
    say(&format!("{} in {}", aegis_engine::text::count(written, "page"), folder.display()));
    Ok(Exit::Ok)
}
