//! The helm binary of a target: found once, run with a kubeconfig of its own, its output bounded. With its parts
//! it is the only place of this module that does IO, besides the cluster, which is reached through `k8s`.
//!
//! - `claim.rs`: the lock on a release, for calls that change it
//! - `fetch.rs`: charts as local paths
//! - `files.rs`: private files of one call
//!
//! helm's own caches and configuration are kept under the state directory.

mod claim;
mod fetch;
mod files;

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::function::Context;
use aegis_engine::{CallError, Secret};
use semver::Version;
use tokio::sync::OnceCell;

pub(super) use claim::Claim;
pub(super) use fetch::{Chart, NoChart, keep};
pub(super) use files::ValueFiles;

use super::command::{self, Line, OLDEST, Place};
use super::errors;
use crate::exec::client::{self as process, Finished, Input, Invocation};
use crate::target::{HelmTarget, Surroundings, Target};
use files::{private_folder, unusable, write_private};

/// Bytes of helm's output that are kept: the largest public charts render to about 5 MB.
const OUTPUT: usize = 32 << 20;

/// Time helm gets to mark a release as failed, or roll it back, when it is told to stop.
const GRACE: Duration = Duration::from_secs(30);

/// Time for a call that only reads or renders.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

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
    /// Charts that could not be had, on the sandbox: looked for once, not at every plan and install.
    unavailable: Mutex<BTreeMap<String, CallError>>,
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
            unavailable: Mutex::default(),
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

    /// Renders a chart without asking the cluster anything.
    pub(super) async fn template(
        &self,
        context: &Context,
        place: &Place,
        chart: &Chart,
        render: &command::Render<'_>,
    ) -> Result<String, CallError> {
        let line = command::template(&self.tool(context).await?.version, place, &chart.path, render);
        let finished = self.run(context, &line, Run::offline()).await?;
        complete(&finished)?;
        Ok(finished.stdout.text())
    }
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
