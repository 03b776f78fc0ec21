//! The events of a cluster as they come, for those who start something when one does. A watch that breaks goes on at the
//! version it had reached; one whose version the server has forgotten begins with what is there.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use futures::StreamExt;
use kube::core::WatchEvent;
use serde_json::Value;

use super::{Cluster, outgoing};
use crate::k8s::errors::{Failure, transport};
use crate::k8s::request::Request;

/// Objects of one page of a list.
const PAGE: &str = "500";

/// The server ends a watch after this time (in seconds), and a silent connection is not taken for a living one.
const WATCHED: &str = "290";

/// Where a feed stands: the version up to which everything has been told.
#[derive(Debug, Clone, Default)]
pub struct Position(Option<String>);

impl Cluster {
    /// Tells of the events (`v1/Event`) of a namespace, or of all, until the connection ends: of those that are there
    /// when the position is new or too old, then of each that comes or changes.
    ///
    /// # Errors
    /// When the cluster cannot be reached or does not let us look.
    pub async fn feed(
        &self,
        namespace: Option<&str>,
        position: &mut Position,
        mut tell: impl FnMut(Value),
    ) -> Result<(), CallError> {
        let path = namespace
            .map_or_else(|| "/api/v1/events".to_owned(), |name| format!("/api/v1/namespaces/{name}/events"));
        let from = match position.0.clone() {
            Some(version) => version,
            None => self.present(&path, &mut tell).await?,
        };
        position.0 = Some(from.clone());
        let mut request = Request::read(&path);
        for (name, value) in [("watch", "true"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", WATCHED)]
        {
            request.query.push((name.to_owned(), value.to_owned()));
        }
        request.query.push(("resourceVersion".to_owned(), from));
        let connection = self.connection().await?;
        let events = connection.client.request_events::<Value>(outgoing(&request).map_err(told)?).await;
        let mut events = std::pin::pin!(events.map_err(|error| told(transport(&connection.server, &error)))?);
        while let Some(event) = events.next().await {
            match event {
                Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                    position.reach(&object["metadata"]["resourceVersion"]);
                    tell(object);
                }
                Ok(WatchEvent::Deleted(object)) => position.reach(&object["metadata"]["resourceVersion"]),
                Ok(WatchEvent::Bookmark(bookmark)) => {
                    position.0 = Some(bookmark.metadata.resource_version);
                }
                // 410: that version is no longer known.
                Ok(WatchEvent::Error(_)) => {
                    position.0 = None;
                    return Ok(());
                }
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// What is there, page by page; answers the version of it.
    async fn present(&self, path: &str, tell: &mut impl FnMut(Value)) -> Result<String, CallError> {
        let mut next = String::new();
        loop {
            let mut request = Request::read(path);
            request.query.push(("limit".to_owned(), PAGE.to_owned()));
            if !next.is_empty() {
                request.query.push(("continue".to_owned(), next.clone()));
            }
            let connection = self.connection().await?;
            let message = outgoing(&request).map_err(told)?;
            let page: Value = connection
                .client
                .request(message)
                .await
                .map_err(|error| told(transport(&connection.server, &error)))?;
            page["items"].as_array().into_iter().flatten().cloned().for_each(&mut *tell);
            next = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if next.is_empty() {
                let version = page["metadata"]["resourceVersion"].as_str().map(str::to_owned);
                return version
                    .ok_or_else(|| CallError::new(codes::API, "the list of events has no version"));
            }
        }
    }
}

impl Position {
    fn reach(&mut self, version: &Value) {
        self.0 = version.as_str().map(str::to_owned).or(self.0.take());
    }
}

fn told(failure: Failure) -> CallError {
    failure.into()
}
