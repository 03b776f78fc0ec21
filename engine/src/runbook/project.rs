//! Which folder a runbook belongs to. Imports, relative file arguments and `aegis.toml` are looked for
//! there and never above it.

use std::path::{Path, PathBuf};

/// The folder of a runbook's project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Absolute, without symbolic links.
    pub root: PathBuf,
}

/// Any of these makes a folder the root of a project.
const MARKS: [&str; 3] = ["aegis.toml", ".git", "runbooks"];

impl Project {
    /// The nearest folder upward of a runbook that looks like a project; else the runbook's own folder.
    #[must_use]
    pub fn of(runbook: &Path) -> Self {
        let folder = runbook.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self::around(folder.unwrap_or(Path::new(".")))
    }

    /// The nearest project folder upward of a folder; else the folder itself.
    #[must_use]
    pub fn around(folder: &Path) -> Self {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let marked = |folder: &&Path| MARKS.iter().any(|mark| folder.join(mark).exists());
        let root = folder.ancestors().find(marked).unwrap_or(&folder).to_owned();
        Self { root }
    }

    /// The name of a file below the root, with `/` between folders.
    #[must_use]
    pub fn name_of(&self, file: &Path) -> String {
        let absolute = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        let relative = absolute.strip_prefix(&self.root).unwrap_or(&absolute);
        let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        parts.join("/")
    }
}
