//! Answers that stay open: events of a collection, lines of a log. They take no slot, because other requests go on
//! beside them.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use futures::{AsyncBufReadExt, Stream, StreamExt, TryStreamExt};
use http::HeaderMap;
use kube::core::WatchEvent;
use serde_json::Value;

use super::{Cluster, outgoing};
use crate::k8s::errors::{Failure, Refusal, transport};
use crate::k8s::request::Request;

/// What a watch tells: that something changed. What it is now is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::k8s) enum Change {
    /// An object came, changed or went.
    Object,
    /// The stream is alive.
    Nothing,
    /// The stream tells nothing more: its version is too old, it broke, or the server ended it.
    Lost,
}

impl Cluster {
    /// The changes of a collection, beginning with one for each object that is there.
    pub(in crate::k8s) async fn changes(
        &self,
        request: &Request,
    ) -> Result<impl Stream<Item = Change> + Send + use<>, Failure> {
        let connection = self.connection().await.map_err(Failure::Unusable)?;
        let events = connection.client.request_events::<Value>(outgoing(request)?).await;
        let events = events.map_err(|error| refused(request, &connection.server, &error))?;
        Ok(events.map(|event| match event {
            Ok(WatchEvent::Added(_) | WatchEvent::Modified(_) | WatchEvent::Deleted(_)) => Change::Object,
            Ok(WatchEvent::Bookmark(_)) => Change::Nothing,
            Ok(WatchEvent::Error(_)) | Err(_) => Change::Lost,
        }))
    }

    /// The lines of an answer, as they come.
    pub(in crate::k8s) async fn lines(
        &self,
        request: &Request,
    ) -> Result<impl Stream<Item = Result<String, CallError>> + Send + use<>, Failure> {
        let connection = self.connection().await.map_err(Failure::Unusable)?;
        let reader = connection.client.request_stream(outgoing(request)?).await;
        let reader = reader.map_err(|error| refused(request, &connection.server, &error))?;
        let server = connection.server.clone();
        Ok(reader.lines().map_err(move |error| {
            CallError::new(codes::UNREACHABLE, format!("the connection to `{server}` broke"))
                .because(error)
                .retryable()
        }))
    }
}

fn refused(request: &Request, server: &str, error: &kube::Error) -> Failure {
    let kube::Error::Api(status) = error else { return transport(server, error) };
    let body = serde_json::to_vec(status).unwrap_or_default();
    Failure::Refused(Box::new(Refusal::read(request, server, status.code, &HeaderMap::new(), &body)))
}
