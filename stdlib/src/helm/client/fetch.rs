//! Charts as local paths: from the project, from the target's charts folder, or fetched by `helm pull`, with the
//! SHA-256 of what was found.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

use aegis_engine::CallError;
use aegis_engine::codes;
use aegis_engine::function::Context;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::files::{private_folder, unusable};
use super::{Helm, Run};
use crate::helm::chart::{Remote, Request, choose};
use crate::helm::{command, errors};

/// Time for fetching a chart or an index; on the sandbox a stand-in waits behind it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(180);

/// A chart on this machine.
#[derive(Debug)]
pub(in crate::helm) struct Chart {
    /// Folder or archive.
    pub(in crate::helm) path: PathBuf,
    /// SHA-256 of the archive; folders have none.
    pub(in crate::helm) digest: Option<String>,
    /// Keeps a fetched chart until the call is over.
    _fetched: Option<TempDir>,
}

/// Why there is no chart.
#[derive(Debug)]
pub(in crate::helm) enum NoChart {
    /// It cannot be had: not on this machine, and the repository does not give it.
    Unavailable(CallError),
    /// The call is wrong, or the bytes are not the pinned ones.
    Refused(CallError),
}

impl NoChart {
    pub(in crate::helm) fn into_error(self) -> CallError {
        match self {
            Self::Unavailable(error) | Self::Refused(error) => error,
        }
    }
}

impl Helm {
    /// Gets the chart a call asks for: from the project, from the target's charts folder, or by `helm pull`.
    pub(in crate::helm) async fn chart(
        &self,
        context: &Context,
        request: &Request<'_>,
    ) -> Result<Chart, NoChart> {
        request.check().map_err(NoChart::Refused)?;
        if request.is_path() {
            let path = self.inner.project.join(request.chart);
            return if path.exists() { pinned(request, path, None) } else { Err(absent(request, &path)) };
        }
        if let Some(path) = self.local(request) {
            return pinned(request, path, None);
        }
        let remote = request.remote(&self.inner.settings).map_err(NoChart::Unavailable)?;
        let folder = private_folder().map_err(NoChart::Refused)?;
        let archive = self.pull_once(context, request, &remote, folder.path()).await;
        pinned(request, archive.map_err(NoChart::Unavailable)?, Some(folder))
    }

    /// On the sandbox, where a stand-in waits, a chart that could not be had is not looked for again and again.
    async fn pull_once(
        &self,
        context: &Context,
        request: &Request<'_>,
        remote: &Remote,
        folder: &Path,
    ) -> Result<PathBuf, CallError> {
        let known = || self.inner.unavailable.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{remote:?} {:?}", request.version);
        if let Some(error) = known().get(&key) {
            return Err(error.clone());
        }
        let pulled = self.pull(context, request, remote, folder).await;
        if let (true, Err(error)) = (self.inner.sandbox, &pulled) {
            known().insert(key, error.clone());
        }
        pulled
    }

    fn local(&self, request: &Request<'_>) -> Option<PathBuf> {
        let folder = self.inner.project.join(self.inner.settings.charts.as_ref()?);
        let entries =
            std::fs::read_dir(&folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let entries: Vec<String> = entries.collect();
        choose(&entries, request.name(), request.version).map(|entry| folder.join(entry))
    }

    async fn pull(
        &self,
        context: &Context,
        request: &Request<'_>,
        remote: &Remote,
        folder: &Path,
    ) -> Result<PathBuf, CallError> {
        let repository = remote.repository.as_deref();
        let line = command::pull(&remote.chart, repository, request.version, request.plain_http, folder);
        self.run(context, &line, Run { timeout: FETCH_TIMEOUT, ..Run::offline() }).await?;
        let mut entries = std::fs::read_dir(folder).map_err(|error| unusable(folder, &error))?;
        let archive = entries.find_map(|entry| entry.ok().map(|entry| entry.path()));
        archive.ok_or_else(|| {
            CallError::new(codes::HELM, format!("`helm pull` left no archive of `{}`", remote.chart))
        })
    }
}

fn pinned(request: &Request<'_>, path: PathBuf, fetched: Option<TempDir>) -> Result<Chart, NoChart> {
    let digest = if path.is_file() {
        Some(digest(&path).map_err(|error| NoChart::Refused(unusable(&path, &error)))?)
    } else {
        None
    };
    match (request.pinned(), &digest) {
        (Some(wanted), Some(found)) if wanted != *found => {
            Err(NoChart::Refused(errors::digest(request, &wanted, found)))
        }
        (Some(_), None) => Err(NoChart::Refused(
            CallError::argument(format!("chart `{}` is a folder, which has no digest", request.chart))
                .hint("package it with `helm package`, or leave `digest` out"),
        )),
        _ => Ok(Chart { path, digest, _fetched: fetched }),
    }
}

/// SHA-256 of a file, in hex.
pub(in crate::helm) fn digest(path: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// Puts a fetched archive where the project wants it.
pub(in crate::helm) fn keep(chart: &Chart, project: &Path, folder: &str) -> Result<PathBuf, CallError> {
    let folder = project.join(folder);
    let name = chart.path.file_name().unwrap_or_default();
    let kept = folder.join(name);
    let copied = std::fs::create_dir_all(&folder).and_then(|()| std::fs::copy(&chart.path, &kept));
    copied.map_err(|error| unusable(&kept, &error))?;
    Ok(kept)
}

fn absent(request: &Request<'_>, path: &Path) -> NoChart {
    let message = format!("there is no chart at `{}`", path.display());
    NoChart::Refused(
        CallError::argument(message).hint(format!("`{}` starts at the project folder", request.chart)),
    )
}
