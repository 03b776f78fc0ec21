//! Manifests in files of the project.

use std::path::{Path, PathBuf};

use aegis_engine::error::CallError;
use aegis_engine::files::{GENERATED, read_text};

/// The text of the manifest files at a path below the project: the file, or all `.yaml`, `.yml` and `.json`
/// files of the folder by name.
pub(in crate::k8s) fn manifest_files(project: &Path, path: &str) -> Result<Vec<(String, String)>, CallError> {
    let unreadable = |path: &Path, error: &std::io::Error| {
        CallError::argument(format!("cannot read `{}`", path.display())).because(error)
    };
    let root = project.canonicalize().map_err(|error| unreadable(project, &error))?;
    let full = project.join(path).canonicalize().map_err(|error| unreadable(Path::new(path), &error))?;
    if !full.starts_with(&root) {
        let message = format!("`{path}` is outside of the runbook's project");
        return Err(CallError::argument(message).hint("keep manifests beside the runbook"));
    }
    let mut files = if full.is_dir() {
        manifests_in(&full).map_err(|error| unreadable(&full, &error))?
    } else {
        vec![full]
    };
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let text = read_text(&file, GENERATED).map_err(|error| unreadable(&file, &error))?;
            Ok((file.strip_prefix(&root).unwrap_or(&file).display().to_string(), text))
        })
        .collect()
}

fn manifests_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let entries = entries.collect::<std::io::Result<Vec<_>>>()?;
    let is_manifest = |path: &PathBuf| {
        path.is_file()
            && path
                .extension()
                .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|e| extension == *e))
    };
    Ok(entries.into_iter().filter(is_manifest).collect())
}
