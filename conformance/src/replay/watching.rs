//! A watch that runs while later lines are sent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{LOOK, Stillness, failure};
use crate::client::{Asked, Client, head};
use crate::compare::{self, Context, Difference, Extent};
use crate::learnt::Learnt;
use crate::recording::{Event, Line};

/// How much longer than in the recording a watch may take to show the same.
const PATIENCE: Duration = Duration::from_secs(8);

type Events = Arc<Mutex<Vec<Event>>>;

/// A running watch.
pub(super) struct Watching<'a> {
    pub(super) line: &'a Line,
    began: Instant,
    events: Events,
    reader: Option<JoinHandle<()>>,
    problem: Option<Difference>,
    status: u16,
}

impl<'a> Watching<'a> {
    /// Asks, and goes on reading in the background once the server has begun to answer.
    pub(super) async fn begin(client: &Client, line: &'a Line, asked: &Asked) -> Self {
        let events = Events::default();
        let mut watching = Self {
            line,
            began: Instant::now(),
            events: events.clone(),
            reader: None,
            problem: None,
            status: 0,
        };
        match client.send(asked).await {
            Ok(response) => {
                watching.status = head(&response).status;
                watching.reader = Some(tokio::spawn(read(response.into_body(), events)));
            }
            Err(error) => watching.problem = Some(failure(&error)),
        }
        watching
    }

    /// Waits for what the recording waited for, and compares.
    pub(super) async fn finish(
        mut self,
        client: &Client,
        context: Context<'_>,
        learnt: &mut Learnt,
    ) -> Vec<Difference> {
        if let Some(problem) = self.problem.take() {
            return vec![problem];
        }
        if self.status != self.line.status {
            let (recorded, here) = (Some(self.line.status.into()), Some(self.status.into()));
            return vec![Difference { place: "status".into(), recorded, here }];
        }
        let recorded = self.line.watch_events.as_deref().unwrap_or_default();
        let shown = self.wait(recorded, client, context, learnt).await;
        let mut here = self.seen();
        here.truncate(shown.unwrap_or(here.len()));
        let extent = match (self.line.is_capped(), self.is_ended_by_server()) {
            (true, _) => Extent::Beginning,
            (false, true) => Extent::Whole,
            (false, false) => Extent::End,
        };
        if extent == Extent::End {
            here = self.with_those_done(recorded, here, client, learnt).await;
        }
        compare::watch(recorded, &here, extent, context, learnt)
    }

    /// Adds objects that showed no event because they had come to their end before the watch began.
    async fn with_those_done(
        &self,
        recorded: &[Event],
        mut here: Vec<Event>,
        client: &Client,
        learnt: &Learnt,
    ) -> Vec<Event> {
        let name =
            |event: &Event| learnt.text_here(event.object["metadata"]["name"].as_str().unwrap_or_default());
        for (index, event) in recorded.iter().enumerate() {
            let is_last = !recorded[index + 1..].iter().any(|later| name(later) == name(event));
            let is_seen = here.iter().any(|seen| seen.object["metadata"]["name"] == name(event).as_str());
            if !is_last || is_seen || name(event).is_empty() {
                continue;
            }
            let path = learnt.text_here(&self.line.path);
            let object = client.get(&format!("{path}/{}", name(event))).await.unwrap_or_default();
            match object["kind"] == "Status" {
                true if event.kind == "DELETED" => here.push(event.clone()),
                true => {}
                false => here.push(Event { kind: "ADDED".into(), object }),
            }
        }
        here
    }

    fn is_ended_by_server(&self) -> bool {
        self.line.watch_ended_by.as_deref() == Some("server")
    }

    /// A watch that the server ends has its time; one that the client ended is over when it shows the same, or when
    /// it has run as long as the recorded one and the cluster is at rest. Answers how many events that took: what
    /// came after, the client no longer saw.
    async fn wait(
        &mut self,
        recorded: &[Event],
        client: &Client,
        context: Context<'_>,
        learnt: &Learnt,
    ) -> Option<usize> {
        let reader = self.reader.take()?;
        let as_long = self.began + Duration::from_secs_f64(self.line.ms / 1000.0);
        let mut stillness = Stillness::default();
        let (mut shown, mut looked) = (None, 0);
        while Instant::now() < as_long + PATIENCE && !reader.is_finished() {
            if !self.is_ended_by_server() {
                let here = self.seen();
                let shows_all = |count: &usize| compare::reached(recorded, &here[..*count], context, learnt);
                shown = (looked..=here.len()).find(shows_all);
                looked = here.len() + 1;
                if shown.is_some() || (stillness.lasts(client).await && Instant::now() > as_long) {
                    break;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        reader.abort();
        shown
    }

    fn seen(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads events, one a line, until the stream ends.
async fn read(mut body: Incoming, events: Events) {
    let mut rest: Vec<u8> = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        rest.extend_from_slice(&frame.into_data().unwrap_or_else(|_| Bytes::new()));
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            if let Ok(event) = serde_json::from_slice(&line) {
                events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            }
        }
    }
}
