//! The Jobs of runs, for those who start runs: the same connection, bounds and sentences as for scripts, but no run
//! around it, so nobody cancels a request and a lost answer is asked for again by whoever asked.

use aegis_engine::error::CallError;
use futures::Stream;
use futures::stream::select;
use serde_json::{Value, json};

use super::{Change, Cluster};
use crate::k8s::errors::Failure;
use crate::k8s::executor::SELECTOR;
use crate::k8s::kinds::Kind;
use crate::k8s::object::{items, text};
use crate::k8s::request::{Repeat, Request};

/// The server ends a watch after this time (in seconds).
const WATCHED: &str = "290";

/// Lines of a pod's log that are its last words.
const LAST_WORDS: &str = "3";

fn jobs() -> Kind {
    Kind::assumed("batch/v1", "Job", true)
}

fn pods() -> Kind {
    Kind::assumed("v1", "Pod", true)
}

impl Cluster {
    /// Makes a Job; one of that name that is there already stays.
    pub(in crate::k8s) async fn make_job(&self, namespace: &str, job: &Value) -> Result<(), CallError> {
        // The name is chosen: made twice, it is there once.
        let request = Request { repeat: Repeat::Safely, ..Request::create(&jobs(), Some(namespace), job) };
        match self.once(&request).await {
            Err(Failure::Refused(refusal)) if refusal.status == 409 && refusal.reason == "AlreadyExists" => {
                Ok(())
            }
            answer => answer.map(drop).map_err(CallError::from),
        }
    }

    /// Takes a Job away, and its pods after it.
    pub(in crate::k8s) async fn remove_job(&self, namespace: &str, name: &str) -> Result<(), CallError> {
        let options =
            json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background" });
        match self.once(&Request::delete(&jobs(), Some(namespace), name, &options)).await {
            Err(failure) if !failure.is_not_found() => Err(failure.into()),
            _ => Ok(()),
        }
    }

    /// A Job, if it is there.
    pub(in crate::k8s) async fn job(&self, namespace: &str, name: &str) -> Result<Option<Value>, CallError> {
        match self.answer(&Request::get(&jobs(), Some(namespace), name)).await {
            Ok(job) => Ok(Some(job)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// All Jobs of runs in a namespace, and their pods.
    pub(in crate::k8s) async fn jobs_and_pods(
        &self,
        namespace: &str,
    ) -> Result<(Vec<Value>, Vec<Value>), CallError> {
        let list = |kind: Kind| Request::list(&kind, Some(namespace)).query("labelSelector", SELECTOR);
        // Pods last: a pod whose Job is not listed yet is of nobody.
        let jobs = self.answer(&list(jobs())).await?;
        let pods = self.answer(&list(pods())).await?;
        Ok((items(&jobs, "/items").to_vec(), items(&pods, "/items").to_vec()))
    }

    /// The changes of both, beginning with what is there. Ends when nobody can tell any more.
    pub(in crate::k8s) async fn job_changes(
        &self,
        namespace: &str,
    ) -> Result<impl Stream<Item = Change> + Send + use<>, CallError> {
        let watch = |kind: Kind| {
            let request = Request::list(&kind, Some(namespace)).query("labelSelector", SELECTOR);
            request.query("watch", "true").query("timeoutSeconds", WATCHED)
        };
        let (of_jobs, of_pods) = (watch(jobs()), watch(pods()));
        let (jobs, pods) = tokio::try_join!(self.changes(&of_jobs), self.changes(&of_pods))?;
        Ok(select(jobs, pods))
    }

    /// Why the job controller could not make a pod, by the newest event that says so.
    pub(in crate::k8s) async fn why_no_pod(
        &self,
        namespace: &str,
        job: &str,
    ) -> Result<Option<String>, CallError> {
        let fields = format!("involvedObject.kind=Job,involvedObject.name={job},reason=FailedCreate");
        let newest = self.newest_event(namespace, fields).await?;
        Ok(newest.map(|event| format!("no pod can be made for its job: {}", text(&event, "/message"))))
    }

    /// What keeps a pod from starting that says nothing about itself, such as a volume that cannot be mounted: its newest
    /// warning.
    pub(in crate::k8s) async fn why_not_started(
        &self,
        namespace: &str,
        pod: &str,
    ) -> Result<Option<String>, CallError> {
        let fields = format!("involvedObject.kind=Pod,involvedObject.name={pod},type=Warning");
        let newest = self.newest_event(namespace, fields).await?;
        Ok(newest.map(|event| {
            format!(
                "the pod `{pod}` does not start: {} ({})",
                text(&event, "/message"),
                text(&event, "/reason")
            )
        }))
    }

    async fn newest_event(&self, namespace: &str, fields: String) -> Result<Option<Value>, CallError> {
        let request = Request::list(&Kind::assumed("v1", "Event", true), Some(namespace));
        let events = self.answer(&request.query("fieldSelector", fields)).await?;
        let newest =
            items(&events, "/items").iter().max_by_key(|event| text(event, "/lastTimestamp").to_owned());
        Ok(newest.cloned())
    }

    /// The end of a pod's log.
    pub(in crate::k8s) async fn last_words(&self, namespace: &str, pod: &str) -> Result<String, CallError> {
        let mut request = Request::get(&pods(), Some(namespace), pod);
        request.path.push_str("/log");
        let body = self.once(&request.query("tailLines", LAST_WORDS)).await?;
        let lines = String::from_utf8_lossy(&body).into_owned();
        Ok(lines.lines().map(str::trim).collect::<Vec<_>>().join(" / "))
    }
}
