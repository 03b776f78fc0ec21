//! Private files: a folder that goes with the call, readable by this user only.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aegis_engine::CallError;
use aegis_engine::codes;
use serde_json::Value;
use tempfile::TempDir;

/// Values as files that only this user can read, in a folder that goes with the call.
#[derive(Debug)]
pub(in crate::helm) struct ValueFiles {
    pub(in crate::helm) files: Vec<PathBuf>,
    _folder: TempDir,
}

impl ValueFiles {
    /// The project's files first, then the map over them.
    pub(in crate::helm) fn write(
        project: &Path,
        named: &[String],
        values: Option<&Value>,
    ) -> Result<Self, CallError> {
        let folder = private_folder()?;
        let mut files = Vec::new();
        for name in named {
            let file = project.join(name);
            if !file.is_file() {
                return Err(CallError::argument(format!("there is no values file `{name}` in the project")));
            }
            files.push(file);
        }
        if let Some(values) = values {
            // JSON is YAML.
            files.push(write_private(folder.path(), "values.yaml", &values.to_string())?);
        }
        Ok(Self { files, _folder: folder })
    }
}

pub(super) fn private_folder() -> Result<TempDir, CallError> {
    // `tempfile` makes folders with mode 0700.
    TempDir::with_prefix("aegis-helm-").map_err(|error| unusable(&std::env::temp_dir(), &error))
}

pub(super) fn write_private(folder: &Path, name: &str, text: &str) -> Result<PathBuf, CallError> {
    let path = folder.join(name);
    let open = File::options().write(true).create_new(true).mode(0o600).open(&path);
    open.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| unusable(&path, &error))?;
    Ok(path)
}

pub(super) fn unusable(path: &Path, error: &std::io::Error) -> CallError {
    let code = if error.kind() == std::io::ErrorKind::StorageFull { codes::DISK_FULL } else { codes::STATE };
    CallError::new(code, format!("`{}` cannot be used", path.display())).because(error)
}

/// A name as one word of a file name.
pub(super) fn file_word(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}
