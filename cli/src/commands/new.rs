//! `aegis new`: a runbook from a template that passes `aegis check`.

use aegis_engine::error::CallError;
use clap::Args;

use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::say;
use crate::view::table;

#[derive(Debug, Args)]
pub(crate) struct New {
    /// Name of the runbook: `rotate-keys` becomes `runbooks/rotate-keys.rhai`.
    name: String,
}

const TEMPLATE: &str = include_str!("new.rhai");

impl New {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Context::new(global, None)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.name.is_empty() || !self.name.chars().all(plain) {
            let error = CallError::argument(format!("`{}` is not a name for a runbook", self.name));
            return Err(error.hint("use letters, digits, `-` and `_`").into());
        }
        let path = context.project.join("runbooks").join(format!("{}.rhai", self.name));
        let text = TEMPLATE.replace("TITLE", &title(&self.name)).replace("OWNER", &context.person().0);
        write(&path, &text).map_err(|error| {
            let wrong = CallError::argument(format!("cannot write `{}`", path.display())).because(&error);
            let taken = error.kind() == std::io::ErrorKind::AlreadyExists;
            if taken { wrong.hint("choose another name; a runbook is never overwritten") } else { wrong }
        })?;
        if global.json() {
            table::json(&serde_json::json!({ "file": path }));
        } else {
            table::text(&path.display().to_string());
            say(&format!("  next: aegis plan {}", path.display()));
        }
        Ok(Exit::Ok)
    }
}

/// Never over something that is there.
fn write(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes())
}

/// `rotate-keys` -> `Rotate keys`.
fn title(name: &str) -> String {
    let words = name.replace(['-', '_'], " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
