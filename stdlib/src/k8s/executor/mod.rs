//! Runs as Jobs of a management cluster, for those who start runs (`aegis serve`). Not for scripts: nothing here is a
//! host function, and nothing is journaled here.
//!
//! - `manifest`: the Job of a run, as a value
//! - `standing`: what a Job and its pods come to, as a sentence
//! - `client/jobs.rs`: makes, deletes and watches them
//!
//! An executor watches all of its Jobs with one watch, however many runs are in them: it is a bell, and after it rings
//! Jobs and pods are listed once.

mod manifest;
mod standing;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aegis_engine::error::CallError;
use futures::StreamExt;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use manifest::{Work, job_name};
pub use standing::Seen;

use super::client::{Change, Cluster};
use super::object;
use crate::target::ExecutorTarget;

/// What Jobs and pods of runs are found by.
pub(super) const SELECTOR: &str = "app.kubernetes.io/managed-by=aegis,app.kubernetes.io/component=run";

/// How long after a watch that broke the next one begins.
const AGAIN: Duration = Duration::from_secs(1);

/// A look without being called, for what a silent connection hides.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

/// Changes come in flocks: one look for all that come this close together.
const FLOCK: Duration = Duration::from_millis(100);

/// What one look saw.
#[derive(Debug, Default)]
struct Board {
    jobs: Vec<Value>,
    pods: Vec<Value>,
    /// Why nothing could be seen.
    trouble: Option<String>,
}

/// The Jobs of one target's runs.
pub struct Executor {
    cluster: Arc<Cluster>,
    namespace: String,
    target: ExecutorTarget,
    board: watch::Receiver<Arc<Board>>,
    watching: JoinHandle<()>,
}

/// Rings when something changes in an executor's cluster.
pub struct JobBell {
    board: watch::Receiver<Arc<Board>>,
}

impl JobBell {
    /// Waits until something has changed since it rang last, at most so long.
    pub async fn rings(&mut self, longest: Duration) {
        if let Ok(Err(_)) = timeout(longest, self.board.changed()).await {
            // Nobody rings any more.
            tokio::time::sleep(longest).await;
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Executor {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the cluster of the target cannot be used at all: no kubeconfig, or no such context.
    pub async fn start(cluster: Arc<Cluster>, target: ExecutorTarget) -> Result<Self, CallError> {
        let namespace = match &target.namespace {
            Some(namespace) => namespace.clone(),
            None => cluster.namespace().await?,
        };
        let unseen =
            Board { trouble: Some("its jobs have not been looked at yet".to_owned()), ..Board::default() };
        let (tell, board) = watch::channel(Arc::new(unseen));
        let watching = tokio::spawn(look(Arc::clone(&cluster), namespace.clone(), tell));
        Ok(Self { cluster, namespace, target, board, watching })
    }

    /// Namespace of the Jobs.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Makes the Job of a run; one that is there already stays.
    ///
    /// # Errors
    /// When the cluster does not take it: a quota, a missing right, a wrong field; or cannot be reached.
    pub async fn make(&self, work: &Work) -> Result<(), CallError> {
        let job = manifest::job(&self.target, &self.namespace, work);
        self.cluster.make_job(&self.namespace, &job).await
    }

    /// Takes a Job away with its pods, which are told to end.
    ///
    /// # Errors
    /// When the cluster refuses or cannot be reached.
    pub async fn remove(&self, job: &str) -> Result<(), CallError> {
        self.cluster.remove_job(&self.namespace, job).await
    }

    /// Asks for one Job: true when it executes nothing any more; `None`: there is none of that name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn is_over(&self, job: &str) -> Result<Option<bool>, CallError> {
        Ok(self.cluster.job(&self.namespace, job).await?.map(|job| standing::is_over(&job)))
    }

    /// What a Job comes to, by the last look.
    pub async fn seen(&self, job: &str) -> Seen {
        let board = Arc::clone(&self.board.borrow());
        if let Some(trouble) = &board.trouble {
            return Seen::Unknown(trouble.clone());
        }
        let pods: Vec<&Value> = board.pods.iter().filter(|pod| standing::belongs(pod, job)).collect();
        let Some(found) = board.jobs.iter().find(|found| object::name(found) == job) else {
            return Seen::Nothing;
        };
        match standing::of(found, &pods) {
            // Only the events of the Job say why it has no pod.
            Seen::Coming(None) if pods.is_empty() => {
                Seen::Coming(self.cluster.why_no_pod(&self.namespace, job).await.unwrap_or_default())
            }
            Seen::Coming(None) => {
                let pod = standing::last(&pods).map(object::name).unwrap_or_default();
                Seen::Coming(self.cluster.why_not_started(&self.namespace, pod).await.unwrap_or_default())
            }
            Seen::Failed(why) => Seen::Failed(self.with_last_words(why, &pods).await),
            seen => seen,
        }
    }

    /// A bell for one run: it rings for every change after the first look of whoever has it.
    #[must_use]
    pub fn bell(&self) -> JobBell {
        JobBell { board: self.board.clone() }
    }

    /// What the last pod said last belongs to why a Job failed.
    async fn with_last_words(&self, why: String, pods: &[&Value]) -> String {
        let Some(pod) = standing::last(pods) else { return why };
        match self.cluster.last_words(&self.namespace, object::name(pod)).await {
            Ok(words) if !words.is_empty() => format!("{why}; its last pod said: {words}"),
            _ => why,
        }
    }
}

/// Looks whenever something changes, and tells what it sees.
async fn look(cluster: Arc<Cluster>, namespace: String, tell: watch::Sender<Arc<Board>>) {
    loop {
        if let Err(error) = follow(&cluster, &namespace, &tell).await {
            tell.send_replace(Arc::new(Board { trouble: Some(error.message), ..Board::default() }));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The watch is there before the first look, so that nothing is missed between the two.
async fn follow(
    cluster: &Cluster,
    namespace: &str,
    tell: &watch::Sender<Arc<Board>>,
) -> Result<(), CallError> {
    let mut changes = pin!(cluster.job_changes(namespace).await?);
    loop {
        let (jobs, pods) = cluster.jobs_and_pods(namespace).await?;
        tell.send_replace(Arc::new(Board { jobs, pods, trouble: None }));
        match timeout(LOOK_ANYWAY, changes.next()).await {
            Ok(Some(Change::Lost) | None) => return Ok(()),
            Ok(Some(Change::Object)) => {
                while let Ok(Some(Change::Object)) = timeout(FLOCK, changes.next()).await {}
            }
            Ok(Some(Change::Nothing)) | Err(_) => {}
        }
    }
}
