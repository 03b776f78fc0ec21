//! The cluster of a target: the only file of this module that does IO. Connects at the first call, bounds the
//! requests under way, repeats what is safe to repeat, and keeps what discovery said.
//!
//! ```text
//! functions -> World -> Cluster::send -> slot -> kube::Client
//!                            ^  |
//!                            +--+ again: refused connection, 429, 5xx; a lost answer only where harmless
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::Context;
use http::header::{ACCEPT, CONTENT_TYPE};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::AttachParams;
use kube::client::{APIGroupDiscoveryList, Body};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OnceCell, Semaphore};

use super::errors::{Failure, Refusal, transport};
use super::kinds::Kinds;
use super::request::{Repeat, Request};
use super::world::Place;
use crate::target::{Surroundings, Target};

/// Requests under way at once when the target does not say.
const CONCURRENCY: usize = 16;

/// Attempts of one request, the first one included.
const ATTEMPTS: u32 = 6;

/// First wait between two attempts; each further one is twice as long, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// No single wait is longer, whatever `Retry-After` says: the run's own timeout decides about giving up.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// No answer after this long counts as a broken connection. The API server itself ends requests after 60 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(75);

/// Asks for discovery documents that cover every group at once (Kubernetes 1.26 and later).
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// The cluster of a target. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    source: Source,
    connection: OnceCell<Connection>,
    slots: Semaphore,
    kinds: RwLock<Option<Arc<Kinds>>>,
}

/// Where the kubeconfig comes from; looked at when the first call connects.
struct Source {
    text: Option<String>,
    files: Vec<PathBuf>,
    named: bool,
    context: Option<String>,
    namespace: Option<String>,
}

struct Connection {
    client: kube::Client,
    namespace: String,
    server: String,
}

impl Cluster {
    /// The cluster that a target and its surroundings name. Opens no connection and reads no file.
    #[must_use]
    pub fn of(target: &Target, surroundings: &Surroundings) -> Self {
        let kubernetes = &target.kubernetes;
        let inner = Inner {
            source: Source::of(target, surroundings),
            connection: OnceCell::new(),
            slots: Semaphore::new(kubernetes.concurrency.unwrap_or(CONCURRENCY).max(1)),
            kinds: RwLock::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    async fn connection(&self) -> Result<&Connection, CallError> {
        self.inner.connection.get_or_try_init(|| self.inner.source.connect()).await
    }

    /// Namespace of calls that name none.
    pub(super) async fn namespace(&self) -> Result<String, CallError> {
        Ok(self.connection().await?.namespace.clone())
    }

    /// What the cluster serves, as far as known; asked for at the first need.
    pub(super) async fn kinds(&self, context: &Context) -> Result<Arc<Kinds>, CallError> {
        let known = self.inner.kinds.read().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(kinds) => Ok(kinds),
            None => self.discover(context).await,
        }
    }

    /// Asks the cluster again what it serves: a definition may have been installed since.
    pub(super) async fn discover(&self, context: &Context) -> Result<Arc<Kinds>, CallError> {
        let mut documents: Vec<APIGroupDiscoveryList> = Vec::new();
        for path in ["/api", "/apis"] {
            let request = Request { accept: AGGREGATED, ..Request::read(path) };
            let answer = self.send(context, &request).await?;
            let unreadable = |error| {
                CallError::new(codes::API, "the server's list of kinds is not readable").because(error)
            };
            documents.push(serde_json::from_value(answer).map_err(unreadable)?);
        }
        let kinds = Arc::new(Kinds::parse(documents));
        *self.inner.kinds.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&kinds));
        Ok(kinds)
    }

    /// Sends a request until it has an answer worth having.
    pub(super) async fn send(&self, context: &Context, request: &Request) -> Result<Value, Failure> {
        let body = self.fetch(context, request).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let message = format!("the answer to {} {} is not JSON", request.subject.verb, request.subject);
            Failure::Unusable(CallError::new(codes::API, message).because(error))
        })
    }

    /// As [`Cluster::send`], for answers that are text (`logs`).
    pub(super) async fn text(&self, context: &Context, request: &Request) -> Result<String, Failure> {
        let body = self.fetch(context, request).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn fetch(&self, context: &Context, request: &Request) -> Result<bytes::Bytes, Failure> {
        refuse_in_plan(context, request)?;
        let mut attempt = 1;
        loop {
            let failure = match self.once(request).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            let wait = again(request, &failure).filter(|_| attempt < ATTEMPTS);
            let Some(asked) = wait else { return Err(settled(request, failure)) };
            let wait = asked.unwrap_or_else(|| backoff(attempt, context.random())).min(LONGEST_WAIT);
            tracing::debug!(uri = request.uri(), attempt, ?wait, "the request is sent again");
            context.pause(wait).await;
            attempt += 1;
        }
    }

    async fn once(&self, request: &Request) -> Result<bytes::Bytes, Failure> {
        let connection = self.connection().await.map_err(Failure::Unusable)?;
        let _slot = self.inner.slots.acquire().await;
        let message = outgoing(request)?;
        let exchange = async {
            let response = connection.client.send(message).await?;
            let (parts, body) = response.into_parts();
            Ok((parts, body.collect_bytes().await?))
        };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await.map_err(|_| {
            let message =
                format!("`{}` did not answer within {} s", connection.server, ANSWER_TIMEOUT.as_secs());
            Failure::Broken(CallError::new(codes::UNREACHABLE, message).retryable())
        })?;
        let (parts, body) = answer.map_err(|error: kube::Error| transport(&connection.server, &error))?;
        if parts.status.is_success() {
            return Ok(body);
        }
        let status = parts.status.as_u16();
        let refusal = Refusal::read(request, &connection.server, status, &parts.headers, &body);
        Err(Failure::Refused(Box::new(refusal)))
    }
}

/// What a command in a container wrote, and how it ended.
pub(super) struct Output {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) exit_code: i64,
}

impl Cluster {
    /// Runs a command in a container. Never sent twice; once it has begun, a broken connection is unknown.
    pub(super) async fn exec(
        &self,
        pod: &Place,
        container: &str,
        command: &[String],
        stdin: Option<&str>,
    ) -> Result<Output, CallError> {
        let connection = self.connection().await?;
        let namespace = pod.namespace.as_deref().unwrap_or_default();
        let pods: kube::Api<Pod> = kube::Api::namespaced(connection.client.clone(), namespace);
        let how = AttachParams::default().container(container).stdin(stdin.is_some());
        let mut process =
            pods.exec(&pod.name, command.to_vec(), &how).await.map_err(|error| match error {
                kube::Error::Api(status) if status.code == 404 => pod.missing(),
                kube::Error::Api(status) => {
                    CallError::new(codes::API, format!("no command can be run in {}", pod.title()))
                        .because(status.message)
                }
                other => transport(&connection.server, &other).into(),
            })?;
        let (status, input) = (process.take_status(), process.stdin());
        let (mut out, mut err) = (process.stdout(), process.stderr());
        let (wrote, stdout, stderr) =
            tokio::join!(write(input, stdin), read(out.as_mut()), read(err.as_mut()));
        let broke = |error: &dyn std::fmt::Display| {
            let message = format!("the connection to the command in {} broke", pod.title());
            CallError::new(codes::UNREACHABLE, message).because(error).unknown()
        };
        // A command may end without reading all of its input.
        drop(wrote);
        let (stdout, stderr) =
            (stdout.map_err(|error| broke(&error))?, stderr.map_err(|error| broke(&error))?);
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        let status = status.ok_or_else(|| broke(&"it ended without a status"))?;
        Ok(Output { stdout, stderr, exit_code: exit_code(&status) })
    }
}

async fn write(input: Option<impl AsyncWrite + Unpin>, text: Option<&str>) -> std::io::Result<()> {
    let (Some(mut input), Some(text)) = (input, text) else { return Ok(()) };
    input.write_all(text.as_bytes()).await?;
    input.shutdown().await
}

async fn read(output: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(mut output) = output {
        output.read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The exit code stands in a cause of the final status; without one the command succeeded.
fn exit_code(status: &Status) -> i64 {
    let causes = status.details.iter().filter_map(|details| details.causes.as_ref()).flatten();
    let mut codes = causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = codes.find_map(|cause| cause.message.as_ref()?.parse().ok());
    code.unwrap_or_else(|| i64::from(status.status.as_deref() != Some("Success")))
}

/// Plans change nothing: whatever a function's plan may attempt, a mutating request does not leave the process.
fn refuse_in_plan(context: &Context, request: &Request) -> Result<(), Failure> {
    if !(context.planning() && request.is_mutating()) {
        return Ok(());
    }
    let message = format!("a plan does not {} {}", request.subject.verb, request.subject);
    Err(Failure::Unusable(CallError::new(codes::API, message)))
}

/// `Some` when the request may be sent again, with the wait the server asked for.
fn again(request: &Request, failure: &Failure) -> Option<Option<Duration>> {
    match failure {
        Failure::Unreached(_) => Some(None),
        Failure::Broken(_) => (request.repeat == Repeat::Safely).then_some(None),
        Failure::Unusable(_) => None,
        Failure::Refused(refusal) => match refusal.status {
            // Turned away before it was looked at.
            429 if !request.busy_is_an_answer => Some(refusal.retry_after),
            // The server, a proxy before it or a webhook behind it is not well. Other answers of 500 are the
            // server's way to refuse some malformed patches.
            500 if !refusal.message.contains("failed calling webhook") => None,
            500 | 502 | 503 | 504 => (request.repeat == Repeat::Safely).then_some(refusal.retry_after),
            _ => None,
        },
    }
}

/// A lost answer to something that must not be repeated is an unknown outcome; 502 and 504 are a proxy's or the
/// server's way to say that they lost it.
fn settled(request: &Request, failure: Failure) -> Failure {
    if !(request.is_mutating() && request.repeat == Repeat::Never) {
        return failure;
    }
    match failure {
        Failure::Broken(error) => Failure::Broken(error.unknown()),
        Failure::Refused(refusal) if matches!(refusal.status, 502 | 504) => {
            Failure::Broken(CallError::from(*refusal).unknown())
        }
        other => other,
    }
}

/// Doubles with each attempt; half of it is random, so that many callers do not come back at once.
fn backoff(attempt: u32, dice: u64) -> Duration {
    let full = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(attempt - 1));
    let half = full / 2;
    half + half.mul_f64((dice % 1000) as f64 / 1000.0)
}

fn outgoing(request: &Request) -> Result<http::Request<Body>, Failure> {
    let message = http::Request::builder()
        .method(request.method.clone())
        .uri(request.uri())
        .header(ACCEPT, request.accept)
        .header(CONTENT_TYPE, request.content_type);
    let body = request.body.as_ref().map(Value::to_string).unwrap_or_default();
    message.body(Body::from(body.into_bytes())).map_err(|error| {
        let message = format!("{} cannot be asked for", request.subject);
        Failure::Unusable(CallError::argument(message).because(error))
    })
}

impl Source {
    fn of(target: &Target, surroundings: &Surroundings) -> Self {
        let environment = |name: &str| surroundings.environment.get(name).filter(|value| !value.is_empty());
        let home = || environment("HOME").map(|home| Path::new(home).join(".kube/config"));
        let listed = || environment("KUBECONFIG").map(|list| std::env::split_paths(list).collect::<Vec<_>>());
        let (files, named) = match (&target.kubernetes.kubeconfig, listed()) {
            (Some(file), _) => (vec![surroundings.project.join(file)], true),
            (None, Some(files)) => (files, true),
            (None, None) => (home().into_iter().collect(), false),
        };
        Self {
            text: surroundings.kubeconfig.clone(),
            files,
            named,
            context: target.kubernetes.context.clone(),
            namespace: target.kubernetes.namespace.clone(),
        }
    }

    async fn connect(&self) -> Result<Connection, CallError> {
        let mut config = self.config().await?;
        // Repeating is decided here, where it is known what is harmless to repeat.
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(10));
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = kube::Client::try_from(config).map_err(|error| match transport(&server, &error) {
            Failure::Unusable(error) => error,
            _ => unusable("the kubeconfig cannot be used").because(error),
        })?;
        Ok(Connection { client, namespace, server })
    }

    async fn config(&self) -> Result<kube::Config, CallError> {
        let Some(kubeconfig) = self.kubeconfig()? else {
            return kube::Config::incluster().map_err(|_| {
                unusable("no kubeconfig was found")
                    .hint("set `KUBECONFIG`, or name one under `[targets.NAME.kubernetes]`")
            });
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let contexts: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
        kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| {
            let names: Vec<&str> = contexts.iter().map(String::as_str).collect();
            let hint = format!("its contexts are {}", aegis_engine::text::list(&names));
            match error {
                KubeconfigError::LoadContext(name) => {
                    unusable(format!("the kubeconfig has no context `{name}`"))
                }
                other => unusable("the kubeconfig cannot be used").because(other),
            }
            .hint(hint)
        })
    }

    fn kubeconfig(&self) -> Result<Option<Kubeconfig>, CallError> {
        if let Some(text) = &self.text {
            let read = Kubeconfig::from_yaml(text);
            return read.map(Some).map_err(|error| unusable("the kubeconfig is not readable").because(error));
        }
        let mut merged: Option<Kubeconfig> = None;
        for file in self.files.iter().filter(|file| file.exists() || (self.named && self.files.len() == 1)) {
            let wrong = |error| unreadable(file, &error);
            let next = Kubeconfig::read_from(file).map_err(wrong)?;
            merged = Some(match merged {
                Some(first) => first.merge(next).map_err(wrong)?,
                None => next,
            });
        }
        if merged.is_none() && self.named {
            return Err(unusable("none of the files in `KUBECONFIG` exists"));
        }
        Ok(merged)
    }
}

fn unusable(message: impl Into<String>) -> CallError {
    CallError::new(codes::TARGET, message)
}

/// Says which file, and only the first line of what the parser draws.
fn unreadable(file: &Path, error: &KubeconfigError) -> CallError {
    if !file.exists() {
        return unusable(format!("the kubeconfig `{}` does not exist", file.display()))
            .hint("set `kubeconfig` under `[targets.NAME.kubernetes]`, or `KUBECONFIG`, to one that does");
    }
    let told = error.to_string();
    unusable(format!("the kubeconfig `{}` is not readable", file.display()))
        .because(told.lines().next().unwrap_or_default())
        .hint("`kubectl config view --kubeconfig FILE` reads it the same way")
}

/// The text of the manifest files at a path below the project: the file, or all `.yaml`, `.yml` and `.json`
/// files of the folder by name.
pub(super) fn manifest_files(project: &Path, path: &str) -> Result<Vec<(String, String)>, CallError> {
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
            let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
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
