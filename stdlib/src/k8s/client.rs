//! The cluster of a target: this file and those of its folder are the only ones of this module that do IO.
//! Connects at the first call, bounds the requests under way, repeats what is safe to repeat, and keeps what
//! discovery said. `source` reads kubeconfigs, `exec` runs commands in containers, `stream` follows objects and
//! logs, `feed` follows the cluster's events for those who wait for one, `jobs` makes and watches the Jobs of runs, `files`
//! reads manifests.
//!
//! ```text
//! functions -> World -> Cluster::send -> slot -> kube::Client
//!                            ^  |
//!                            +--+ again: refused connection, 429, 5xx; a lost answer only where harmless
//! ```

mod exec;
mod feed;
mod files;
mod jobs;
mod leases;
mod source;
mod stream;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::Context;
use http::header::{ACCEPT, CONTENT_TYPE};
use kube::client::{APIGroupDiscoveryList, Body};
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};

use super::errors::{Failure, Refusal, transport};
use super::kinds::Kinds;
use super::request::{Repeat, Request};
use crate::target::{Surroundings, Target};

pub(super) use exec::Output;
pub use feed::Position;
pub(super) use files::manifest_files;
use source::Source;
pub(super) use stream::Change;

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

    /// As [`Cluster::once`], for answers that are JSON: where no run is around a request, whoever asked asks again.
    async fn answer(&self, request: &Request) -> Result<Value, Failure> {
        let body = self.once(request).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let message = format!("the answer to {} {} is not JSON", request.subject.verb, request.subject);
            Failure::Unusable(CallError::new(codes::API, message).because(error))
        })
    }

    async fn once(&self, request: &Request) -> Result<bytes::Bytes, Failure> {
        let connection = self.connection().await.map_err(Failure::Unusable)?;
        let _slot = self.inner.slots.acquire().await;
        let message = outgoing(request)?;
        let exchange = async {
            let response = connection.client.send(message.map(Body::from)).await?;
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

fn outgoing(request: &Request) -> Result<http::Request<Vec<u8>>, Failure> {
    let message = http::Request::builder()
        .method(request.method.clone())
        .uri(request.uri())
        .header(ACCEPT, request.accept)
        .header(CONTENT_TYPE, request.content_type);
    let body = request.body.as_ref().map(Value::to_string).unwrap_or_default();
    message.body(body.into_bytes()).map_err(|error| {
        let message = format!("{} cannot be asked for", request.subject);
        Failure::Unusable(CallError::argument(message).because(error))
    })
}
