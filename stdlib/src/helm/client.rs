//! The helm binary of a target and the files around it: the only file of this module that does IO besides the
//! cluster, which is reached through `k8s`.
//!
//! Every call of helm has a private folder (0700) for its kubeconfig and values, helm's own caches and
//! configuration under the state directory, and, where it changes a release, a lock on that release.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::function::Context;
use aegis_engine::{CallError, Secret};
use semver::Version;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::chart::{Remote, Request, choose};
use super::command::{self, Line, OLDEST, Place};
use super::errors;
use crate::exec::client::{self as process, Finished, Input, Invocation};
use crate::target::{HelmTarget, Surroundings, Target};

/// Bytes of helm's output that are kept: the largest public charts render to about 5 MB.
const OUTPUT: usize = 32 << 20;

/// Time helm gets to mark a release as failed, or roll it back, when it is told to stop.
const GRACE: Duration = Duration::from_secs(30);

/// Time for a call that only reads or renders.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// Time for fetching a chart or an index; on the sandbox a stand-in waits behind it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(180);

/// How often a lock is tried that a helm process of an earlier aegis still holds.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// helm on a target. Cheap to clone; finds the binary at the first call.
#[derive(Clone)]
pub struct Helm {
    inner: Arc<Inner>,
}

struct Inner {
    settings: HelmTarget,
    sandbox: bool,
    kubeconfig: Kubeconfig,
    state: PathBuf,
    project: PathBuf,
    environment: BTreeMap<String, String>,
    tool: OnceCell<Tool>,
}

#[derive(Default)]
struct Kubeconfig {
    text: Option<Secret>,
    file: Option<PathBuf>,
    context: Option<String>,
}

/// The binary that was found.
#[derive(Debug, Clone)]
pub(super) struct Tool {
    pub(super) program: PathBuf,
    pub(super) version: Version,
}

/// A chart on this machine.
#[derive(Debug)]
pub(super) struct Chart {
    /// Folder or archive.
    pub(super) path: PathBuf,
    /// SHA-256 of the archive; folders have none.
    pub(super) digest: Option<String>,
    /// Keeps a fetched chart until the call is over.
    _fetched: Option<TempDir>,
}

/// Why there is no chart.
#[derive(Debug)]
pub(super) enum NoChart {
    /// It cannot be had: not on this machine, and the repository does not give it.
    Unavailable(CallError),
    /// The call is wrong, or the bytes are not the pinned ones.
    Refused(CallError),
}

impl NoChart {
    pub(super) fn into_error(self) -> CallError {
        match self {
            Self::Unavailable(error) | Self::Refused(error) => error,
        }
    }
}

/// How a call of helm is run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) timeout: Duration,
    pub(super) stdin: Input,
    pub(super) cluster: bool,
}

impl Run {
    /// A call that renders or fetches and leaves the cluster alone.
    pub(super) fn offline() -> Self {
        Self { timeout: READ_TIMEOUT, stdin: Input::Nothing, cluster: false }
    }

    /// A call that changes a release; the claim's lock lives as long as the process.
    pub(super) fn on(claim: &Claim, timeout: Duration) -> Result<Self, CallError> {
        Ok(Self { timeout, stdin: Input::File(claim.share()?), cluster: true })
    }
}

impl Helm {
    /// helm as a target and its surroundings name it. Looks for nothing yet.
    #[must_use]
    pub fn of(target: &Target, surroundings: &Surroundings) -> Self {
        let kubernetes = &target.kubernetes;
        let kubeconfig = Kubeconfig {
            text: surroundings.kubeconfig.as_deref().map(Secret::new),
            file: kubernetes.kubeconfig.as_ref().map(|file| surroundings.project.join(file)),
            context: kubernetes.context.clone(),
        };
        let inner = Inner {
            settings: target.helm.clone(),
            sandbox: target.sandbox,
            kubeconfig,
            state: surroundings.state.join("helm"),
            project: surroundings.project.clone(),
            environment: inherited(&surroundings.environment),
            tool: OnceCell::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// True on the sandbox target, where a stand-in may take a chart's place.
    pub(super) fn is_sandbox(&self) -> bool {
        self.inner.sandbox
    }

    /// The binary and its version.
    pub(super) async fn tool(&self, context: &Context) -> Result<&Tool, CallError> {
        self.inner.tool.get_or_try_init(|| self.find(context)).await
    }

    async fn find(&self, context: &Context) -> Result<Tool, CallError> {
        let named = self.inner.settings.binary.as_ref().map(|binary| self.inner.project.join(binary));
        let word = named.as_deref().map_or("helm".into(), Path::to_string_lossy);
        let path = self.inner.environment.get("PATH").map(String::as_str);
        let program =
            process::find_program(&word, &self.inner.project, path).ok_or_else(|| errors::missing(&word))?;
        let line = Line::new(&["version"]).option("--template", "{{.Version}}");
        let finished = self.start(context, &program, &line, Run::offline()).await?;
        let told = finished.stdout.text();
        let version = Version::parse(told.trim().trim_start_matches('v'))
            .map_err(|_| errors::not_helm(&program, told.trim()))?;
        if version < OLDEST {
            Err(errors::too_old(&program, &version))
        } else {
            Ok(Tool { program, version })
        }
    }

    /// Runs helm to a good end.
    pub(super) async fn run(&self, context: &Context, line: &Line, run: Run) -> Result<Finished, CallError> {
        let program = &self.tool(context).await?.program;
        let finished = self.start(context, program, line, run).await?;
        if finished.status.success() { Ok(finished) } else { Err(errors::failed(line, &finished)) }
    }

    async fn start(
        &self,
        context: &Context,
        program: &Path,
        line: &Line,
        run: Run,
    ) -> Result<Finished, CallError> {
        let folder = private_folder()?;
        let mut arguments: Vec<_> = line.words().iter().map(Into::into).collect();
        let mut environment = self.inner.environment.clone();
        environment.extend(self.homes()?);
        if run.cluster {
            arguments.extend(self.cluster_flags(folder.path())?.into_iter().map(Into::into));
        }
        let invocation = Invocation {
            program: program.to_owned(),
            arguments,
            environment,
            directory: folder.path().to_owned(),
            stdin: run.stdin,
            timeout: Some(run.timeout),
            limit: OUTPUT,
            grace: GRACE,
            // helm's output is data here, not talk.
            told: false,
        };
        let title = format!("helm {}", line.words().first().map_or("", String::as_str));
        process::run(context, invocation).await.map_err(|stopped| stopped.into_error(&title))
    }

    fn cluster_flags(&self, folder: &Path) -> Result<Vec<String>, CallError> {
        let kubeconfig = &self.inner.kubeconfig;
        let file = match (&kubeconfig.text, &kubeconfig.file) {
            (Some(text), _) => Some(write_private(folder, "kubeconfig", text.open())?),
            (None, file) => file.clone(),
        };
        let file = file.map(|file| format!("--kubeconfig={}", file.display()));
        let context = kubeconfig.context.as_ref().map(|context| format!("--kube-context={context}"));
        Ok(file.into_iter().chain(context).collect())
    }

    /// helm's own folders, under the state directory: a run leaves the user's alone and does not depend on them.
    fn homes(&self) -> Result<BTreeMap<String, String>, CallError> {
        let homes =
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")];
        let homes = homes.into_iter().map(|(variable, name)| {
            let folder = self.folder(name)?;
            Ok((variable.to_owned(), folder.to_string_lossy().into_owned()))
        });
        homes.collect()
    }

    fn folder(&self, name: &str) -> Result<PathBuf, CallError> {
        let folder = self.inner.state.join(name);
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.and_then(|()| folder.canonicalize()).map_err(|error| unusable(&folder, &error))
    }

    /// Gets the chart a call asks for: from the project, from the target's charts folder, or by `helm pull`.
    pub(super) async fn chart(&self, context: &Context, request: &Request<'_>) -> Result<Chart, NoChart> {
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
        let archive =
            self.pull(context, request, &remote, folder.path()).await.map_err(NoChart::Unavailable)?;
        pinned(request, archive, Some(folder))
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

    /// Renders a chart without asking the cluster anything.
    pub(super) async fn template(
        &self,
        context: &Context,
        place: &Place,
        chart: &Chart,
        render: &command::Render<'_>,
    ) -> Result<String, CallError> {
        let line = command::template(place, &chart.path, render);
        let finished = self.run(context, &line, Run::offline()).await?;
        complete(&finished)?;
        Ok(finished.stdout.text())
    }

    /// Takes the lock of a release, waiting for a helm process that an aegis killed in the middle left behind.
    pub(super) async fn claim(&self, context: &Context, place: &Place) -> Result<Claim, CallError> {
        let folder = self.folder("locks")?;
        let path = folder.join(format!("{}.{}.{}", file_word(&context.target), place.namespace, place.name));
        let open =
            File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(|error| unusable(&path, &error))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if !told => {
                    context.progress(format!("waiting for another helm process on {place}"));
                    told = true;
                }
                Err(TryLockError::WouldBlock) => context.pause(LOCK_POLL).await,
                Err(TryLockError::Error(error)) => return Err(unusable(&path, &error)),
            }
        }
        let mut left = String::new();
        file.read_to_string(&mut left).map_err(|error| unusable(&path, &error))?;
        Ok(Claim { file, path, left_behind: !left.trim().is_empty() })
    }
}

/// The exclusive right, on this machine, to change a release. The lock belongs to the open file, which the helm
/// process gets as its standard input: when aegis is killed, the lock is free only once that helm has ended. The
/// file's content says that work is under way; found by the next claim, it tells of a crash.
#[derive(Debug)]
pub(super) struct Claim {
    file: File,
    path: PathBuf,
    /// The last process that held the claim did not get to its end.
    pub(super) left_behind: bool,
}

impl Claim {
    /// Notes that work begins.
    pub(super) fn begin(&mut self, run: &str) -> Result<(), CallError> {
        self.note(run)
    }

    /// Notes that the work came to an end, good or bad, that helm itself recorded.
    pub(super) fn end(mut self) -> Result<(), CallError> {
        self.note("")
    }

    fn note(&mut self, text: &str) -> Result<(), CallError> {
        let written = self.file.set_len(0).and_then(|()| self.file.rewind());
        let written =
            written.and_then(|()| self.file.write_all(text.as_bytes())).and_then(|()| self.file.sync_data());
        written.map_err(|error| unusable(&self.path, &error))
    }

    fn share(&self) -> Result<File, CallError> {
        self.file.try_clone().map_err(|error| unusable(&self.path, &error))
    }
}

/// Values as files that only this user can read, in a folder that goes with the call.
#[derive(Debug)]
pub(super) struct ValueFiles {
    pub(super) files: Vec<PathBuf>,
    _folder: TempDir,
}

impl ValueFiles {
    /// The project's files first, then the map over them.
    pub(super) fn write(project: &Path, named: &[String], values: Option<&Value>) -> Result<Self, CallError> {
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
pub(super) fn digest(path: &Path) -> std::io::Result<String> {
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
pub(super) fn keep(chart: &Chart, project: &Path, folder: &str) -> Result<PathBuf, CallError> {
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

/// Output that lost its beginning cannot be read as a whole.
pub(super) fn complete(finished: &Finished) -> Result<(), CallError> {
    if finished.stdout.truncated {
        let message = format!("helm printed more than {} MiB", OUTPUT >> 20);
        return Err(CallError::new(codes::HELM, message));
    }
    Ok(())
}

/// helm inherits what credential plugins of a kubeconfig may need, but none of helm's own switches: a run must
/// not depend on them.
fn inherited(environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let ours = |name: &str| name.starts_with("HELM_") || name.starts_with("AEGIS_");
    environment.iter().filter(|(name, _)| !ours(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn private_folder() -> Result<TempDir, CallError> {
    // `tempfile` makes folders with mode 0700.
    TempDir::with_prefix("aegis-helm-").map_err(|error| unusable(&std::env::temp_dir(), &error))
}

fn write_private(folder: &Path, name: &str, text: &str) -> Result<PathBuf, CallError> {
    let path = folder.join(name);
    let open = File::options().write(true).create_new(true).mode(0o600).open(&path);
    open.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| unusable(&path, &error))?;
    Ok(path)
}

fn unusable(path: &Path, error: &std::io::Error) -> CallError {
    let code = if error.kind() == std::io::ErrorKind::StorageFull { codes::DISK_FULL } else { codes::STATE };
    CallError::new(code, format!("`{}` cannot be used", path.display())).because(error)
}

/// A name as one word of a file name.
fn file_word(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}
