//! A container's log: what its process wrote, or the plain truth about a container that runs none.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::watch;

use crate::api::answer::text_response;
use crate::api::status::Status;
use crate::api::{Api, Call};
use crate::controllers::fields::Fields;
use crate::processes::log::{Wanted, read};
use crate::processes::{Place, Running};

impl Api {
    pub(super) fn log(&self, call: &Call) -> Result<Response, Status> {
        let pod = self.find(call)?;
        let container = container(call, &pod)?;
        let status = status_of(&pod, &container);
        let previous = call.query.flag("previous");
        let attempt = status.count("/restartCount") - i64::from(previous);
        if previous && !status.at("/lastState/terminated").is_object() {
            let problem =
                format!("previous terminated container {container:?} in pod {:?} not found", pod.name());
            return Err(Status::bad_request(problem));
        }
        if status.text("/containerID").is_empty() {
            let why = Some(status.text("/state/waiting/reason")).filter(|why| !why.is_empty());
            let problem = format!(
                "container {container:?} in pod {:?} is waiting to start: {}",
                call.name(),
                why.unwrap_or("ContainerCreating")
            );
            return Err(Status::bad_request(problem));
        }
        let wanted = self.wanted(call)?;
        if !is_process(&pod, &container) {
            return Ok(text_response(200, "text/plain", simulated(&container)));
        }
        let place = Place::new(pod.uid(), &container);
        let Some(path) = self.processes().log_of(&place, attempt).filter(|path| path.exists()) else {
            return Err(Status::internal(format!("the log of container {container:?} is not kept any more")));
        };
        let running = self.processes().attempt(&place, attempt).filter(|_| call.query.flag("follow"));
        Ok(text_response(
            200,
            "text/plain",
            Reader { path, wanted, running, position: 0, is_first: true }.body(),
        ))
    }

    /// Reads the options; the moment is the cluster's.
    fn wanted(&self, call: &Call) -> Result<Wanted, Status> {
        let size = |name: &str| -> Result<Option<usize>, Status> {
            let number = call.query.number(name)?;
            Ok(number.map(|number| usize::try_from(number).unwrap_or(0)))
        };
        let back = call.query.number("sinceSeconds")?;
        let since = match (back, call.query.get("sinceTime")) {
            (Some(seconds), _) => Some(self.store().ambient().now() - SignedDuration::from_secs(seconds)),
            (None, Some(time)) => {
                let moment = time.parse::<Timestamp>();
                Some(moment.map_err(|_| Status::bad_request(format!("sinceTime {time:?} is no moment")))?)
            }
            (None, None) => None,
        };
        let timestamps = call.query.flag("timestamps");
        Ok(Wanted { tail: size("tailLines")?, since, timestamps, limit: size("limitBytes")? })
    }
}

/// What a container that runs no program answers in place of a log.
fn simulated(container: &str) -> String {
    format!("[sandbox] container {container:?} is simulated: it runs no program and writes no log\n")
}

/// Whether a container asks to be run as a process.
pub(super) fn is_process(pod: &Value, container: &str) -> bool {
    let annotation = crate::processes::ANNOTATION;
    let own = pod.annotation(&format!("{annotation}.{container}"));
    let said = if own.is_empty() { pod.annotation(annotation) } else { own };
    said == "true"
}

pub(super) fn status_of<'a>(pod: &'a Value, container: &str) -> &'a Value {
    let lists = ["/status/containerStatuses", "/status/initContainerStatuses"];
    let mut statuses = lists.iter().flat_map(|list| pod.list(list));
    statuses.find(|status| status.text("/name") == container).unwrap_or(&Value::Null)
}

/// Reads a log from its wanted beginning, and on for as long as its process runs.
struct Reader {
    path: PathBuf,
    wanted: Wanted,
    /// The process to follow, if it is to be followed.
    running: Option<Arc<Running>>,
    position: usize,
    is_first: bool,
}

impl Reader {
    fn body(self) -> Body {
        let changes = self.running.as_ref().map(|running| running.log().follow());
        Body::from_stream(stream::unfold((self, changes), |(mut reader, mut changes)| async move {
            let text = reader.next(changes.as_mut()).await?;
            Some((Ok::<_, std::io::Error>(text), (reader, changes)))
        }))
    }

    /// The next piece; none at the end.
    async fn next(&mut self, mut changes: Option<&mut watch::Receiver<u64>>) -> Option<Bytes> {
        loop {
            // Looked at first: what is written after this is found by the reading after it.
            let has_ended = self.running.as_ref().is_none_or(|running| running.outcome().is_some());
            if let Some(changes) = &mut changes {
                changes.borrow_and_update();
            }
            let (text, position) = read(&self.path, self.position, &self.wanted).ok()?;
            self.position = position;
            let is_first = std::mem::take(&mut self.is_first);
            self.wanted.tail = None;
            if let Some(limit) = &mut self.wanted.limit {
                *limit = limit.saturating_sub(text.len());
            }
            let is_full = self.wanted.limit == Some(0);
            if !text.is_empty() || is_first {
                if is_full {
                    self.running = None;
                }
                return Some(text.into());
            }
            if has_ended || is_full {
                return None;
            }
            changes.as_mut()?.changed().await.ok()?;
        }
    }
}

/// The container a call names, or the only one there is.
pub(super) fn container(call: &Call, pod: &Value) -> Result<String, Status> {
    let names: Vec<&str> = ["containers", "initContainers", "ephemeralContainers"]
        .iter()
        .flat_map(|field| pod["spec"][*field].as_array().into_iter().flatten())
        .filter_map(|container| container["name"].as_str())
        .collect();
    match call.query.get("container") {
        Some(name) if names.contains(&name) => Ok(name.to_owned()),
        Some(name) => {
            Err(Status::bad_request(format!("container {name} is not valid for pod {}", call.name())))
        }
        None => {
            let regular = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
            match (regular, names.first()) {
                (0 | 1, Some(name)) => Ok((*name).to_owned()),
                _ => Err(Status::bad_request(format!(
                    "a container name must be specified for pod {}, choose one of: [{}]",
                    call.name(),
                    names.join(" ")
                ))),
            }
        }
    }
}
