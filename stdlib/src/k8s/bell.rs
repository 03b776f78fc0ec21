//! What wakes up a wait: a watch on what is waited for rings when it changes. The watch tells only that; the wait
//! reads again what it then is. A watch that breaks, gets too old or is not permitted costs nothing but speed: then
//! the wait looks now and again by itself.

use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::time::timeout;

use super::client::Change;
use super::request::Request;
use super::wait::pace;
use super::world::{Place, Selection, World};

/// A look without being called, for what a silent connection hides.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

/// Changes come in flocks (a rollout, the beginning of a watch): one look for all that come this close together.
const FLOCK: Duration = Duration::from_millis(30);

/// The server ends a watch after this long; just below what proxies let be silent.
const WATCH_SECONDS: &str = "290";

/// Only names and versions: the bell wants to know that, not what.
const NAMES_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// Rings at the next change.
pub(super) struct Bell {
    request: Request,
    changes: Option<Pin<Box<dyn Stream<Item = Change> + Send>>>,
    /// The server does not let us watch.
    refused: bool,
}

impl Bell {
    /// For one object.
    pub(super) fn of(place: &Place) -> Self {
        let fields = Some(format!("metadata.name={}", place.name));
        Self::of_all(place, &Selection { fields, ..Selection::default() })
    }

    /// For the objects of a collection.
    pub(super) fn of_all(place: &Place, selection: &Selection) -> Self {
        let request = Request::list(&place.kind, place.namespace.as_deref());
        let mut request = request.query("watch", "true").query("timeoutSeconds", WATCH_SECONDS);
        for (key, value) in [("labelSelector", &selection.labels), ("fieldSelector", &selection.fields)] {
            if let Some(value) = value {
                request = request.query(key, value);
            }
        }
        request.accept = NAMES_ONLY;
        Self { request, changes: None, refused: false }
    }

    /// Waits for a change, at most `longest`. The first watch begins with what is there, so that nothing is missed
    /// between the look before and its beginning.
    pub(super) async fn wait(&mut self, world: &World<'_>, attempt: u32, longest: Duration) {
        let rung = timeout(longest.min(LOOK_ANYWAY), self.rings(world)).await;
        if rung == Ok(false) {
            self.changes = None;
            world.context.pause(pace(attempt).min(longest)).await;
        }
    }

    /// True at a change, false when this cannot be known.
    async fn rings(&mut self, world: &World<'_>) -> bool {
        if self.changes.is_none() && !self.refused {
            match world.cluster.changes(&self.request).await {
                Ok(changes) => self.changes = Some(Box::pin(changes)),
                Err(failure) => {
                    self.refused =
                        matches!(failure.status(), Some(400..=499)) && failure.status() != Some(429)
                }
            }
        }
        let Some(changes) = &mut self.changes else { return false };
        loop {
            match changes.next().await {
                Some(Change::Object) => break,
                Some(Change::Nothing) => {}
                Some(Change::Lost) | None => return false,
            }
        }
        while let Ok(Some(Change::Object)) = timeout(FLOCK, changes.next()).await {}
        true
    }
}
