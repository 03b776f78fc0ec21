//! One scenario from its first line to its last, against a sandbox of its own.
//!
//! Lines are sent in recorded order. Where the recording waited, we wait for what it waited for: reads
//! are asked again while the sandbox is still changing, watches that a client ended are followed until
//! they show what the client saw, and before a line that came after a pause the sandbox may come to rest.

mod watching;

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use tokio::time::Instant;

use self::watching::Watching;
use crate::client::{Answer, Asked, Client};
use crate::compare::{self, Context, Difference};
use crate::learnt::Learnt;
use crate::motion::Motion;
use crate::recording::{Line, Recording, Texts};
use crate::request::{self, Speakers};
use crate::server::Server;

/// A pause in the recording shorter than this is a client starting.
const PAUSE: Duration = Duration::from_millis(200);
/// A sandbox whose version stands still for this long is at rest.
const REST: Duration = Duration::from_millis(400);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(40);
/// A read is not asked again for longer than this.
const PATIENCE: Duration = Duration::from_secs(12);

/// What came of one scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its recording's name.
    pub name: String,
    /// What came of each line, in order.
    pub outcomes: Vec<Outcome>,
}

impl Scenario {
    /// How many lines are equal.
    pub fn equal(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.differences.is_empty()).count()
    }

    /// The part of lines that are equal, in per cent.
    pub fn percent(&self) -> f64 {
        100.0 * self.equal() as f64 / self.outcomes.len().max(1) as f64
    }
}

/// What came of one line.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The line's number.
    pub seq: u64,
    /// What the person did.
    pub step: String,
    /// Method, path and query as recorded.
    pub request: String,
    /// Where the answers differ; nowhere when they are equal.
    pub differences: Vec<Difference>,
}

/// Replays a recording.
pub async fn replay(recording: &Recording) -> anyhow::Result<Scenario> {
    let server = Server::start(recording).await?;
    let mut replay = Replay {
        client: server.client.clone(),
        motion: Motion::of(recording),
        learnt: Learnt::default(),
        speakers: Speakers::default(),
        watches: Vec::new(),
        outcomes: HashMap::new(),
    };
    let mut last_end: f64 = 0.0;
    for line in &recording.lines {
        replay.finish_watches(line.t).await;
        let pause = Duration::try_from_secs_f64(line.t - last_end).unwrap_or_default();
        if pause > PAUSE {
            replay.rest(pause).await;
        }
        replay.line(line).await;
        if !line.is_watch() {
            last_end = last_end.max(line.end());
        }
    }
    replay.finish_watches(f64::INFINITY).await;
    let outcomes = recording.lines.iter().map(|line| replay.outcome(line)).collect();
    Ok(Scenario { name: recording.name.clone(), outcomes })
}

struct Replay<'a> {
    client: Client,
    motion: Motion,
    learnt: Learnt,
    speakers: Speakers,
    watches: Vec<Watching<'a>>,
    outcomes: HashMap<u64, Vec<Difference>>,
}

impl<'a> Replay<'a> {
    async fn line(&mut self, line: &'a Line) {
        let asked = self.request(line).await;
        if line.is_watch() {
            self.watches.push(Watching::begin(&self.client, line, &asked).await);
            return;
        }
        let recorded = recorded(line);
        let (here, differences, learnt) = self.ask(line, &asked, &recorded).await;
        self.learnt = learnt;
        self.listen(line, &here);
        self.outcomes.insert(line.seq, differences);
    }

    /// Asks; a read again while the answer differs and the sandbox is still changing.
    async fn ask(&self, line: &Line, asked: &Asked, recorded: &Answer) -> (Answer, Vec<Difference>, Learnt) {
        let give_up = Instant::now() + PATIENCE;
        let mut stillness = Stillness::default();
        loop {
            let mut learnt = self.learnt.clone();
            let here = match self.client.ask(asked).await {
                Ok(here) => here,
                Err(error) => return (Answer::default(), vec![failure(&error)], learnt),
            };
            let differences = compare::answers(recorded, &here, self.context(line), &mut learnt);
            let may_change = line.is_read() && !is_static(line) && Instant::now() < give_up;
            if differences.is_empty() || !may_change || stillness.lasts(&self.client).await {
                return (here, differences, learnt);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn request(&self, line: &Line) -> Asked {
        let asked = request::request(line, &self.learnt, &self.client, &self.speakers);
        self.with_warm_cache(line, asked).await
    }

    /// A client that names an entity tag nobody has shown it here got it in an earlier session.
    async fn with_warm_cache(&self, line: &Line, mut asked: Asked) -> Asked {
        let Some(tag) = line.req_headers.get("If-None-Match").and_then(|tags| tags.all().first()) else {
            return asked;
        };
        if line.status != StatusCode::NOT_MODIFIED.as_u16() || self.learnt.opaque_here(tag).is_some() {
            return asked;
        }
        let mut plain = asked.clone();
        plain.headers.retain(|(name, _)| name != "If-None-Match");
        let tag = self
            .client
            .ask(&plain)
            .await
            .ok()
            .and_then(|answer| answer.headers.get("etag")?.first().cloned());
        for (name, value) in &mut asked.headers {
            if let (true, Some(tag)) = (name == "If-None-Match", &tag) {
                value.clone_from(tag);
            }
        }
        asked
    }

    /// Learns which token a service account speaks with from now on: the first that the API itself takes.
    fn listen(&mut self, line: &Line, here: &Answer) {
        let is_for_api = line.body.as_ref().is_some_and(|body| {
            body["spec"]["audiences"][0].as_str().is_some_and(|audience| audience.starts_with("https://"))
        });
        if line.path.ends_with("/token")
            && is_for_api
            && let Some(token) = here.body["status"]["token"].as_str()
            && self.speakers.service_account.is_empty()
        {
            token.clone_into(&mut self.speakers.service_account);
        }
    }

    /// Ends the watches that had ended by then in the recording.
    async fn finish_watches(&mut self, by: f64) {
        let (over, running) =
            std::mem::take(&mut self.watches).into_iter().partition(|watch| watch.line.end() <= by);
        self.watches = running;
        let over: Vec<Watching<'a>> = over;
        for watch in over {
            let line = watch.line;
            let context =
                Context { seq: line.seq, is_capped: line.is_capped(), is_read: true, motion: &self.motion };
            let differences = watch.finish(&self.client, context, &mut self.learnt).await;
            self.outcomes.insert(line.seq, differences);
        }
    }

    /// Waits until the cluster's version stands still, no longer than the recording paused.
    async fn rest(&self, longest: Duration) {
        let give_up = Instant::now() + longest;
        let mut stillness = Stillness::default();
        while Instant::now() < give_up && !stillness.lasts(&self.client).await {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn context(&self, line: &Line) -> Context<'_> {
        Context { seq: line.seq, is_capped: line.is_capped(), is_read: line.is_read(), motion: &self.motion }
    }

    fn outcome(&self, line: &Line) -> Outcome {
        let query = if line.query.is_empty() { String::new() } else { format!("?{}", line.query) };
        Outcome {
            seq: line.seq,
            step: line.step.clone(),
            request: format!("{} {}{query}", line.method, line.path),
            differences: self.outcomes.get(&line.seq).cloned().unwrap_or_default(),
        }
    }
}

/// How long the cluster's version has stood still.
#[derive(Default)]
struct Stillness {
    last: Option<(Value, Instant)>,
}

impl Stillness {
    /// Looks once, and says whether the cluster is at rest.
    async fn lasts(&mut self, client: &Client) -> bool {
        let list = client.get("/api/v1/namespaces?limit=1").await.unwrap_or_default();
        let version = &list["metadata"]["resourceVersion"];
        match &self.last {
            Some((last, since)) if last == version => since.elapsed() > REST,
            _ => {
                self.last = Some((version.clone(), Instant::now()));
                false
            }
        }
    }
}

/// Whether no controller ever changes an answer: what is not about objects.
fn is_static(line: &Line) -> bool {
    let parts: Vec<&str> = line.path.trim_start_matches('/').split('/').collect();
    match parts[..] {
        ["api", _, ..] => parts.len() < 3,
        ["apis", ..] => parts.len() < 4,
        _ => !line.path.starts_with("/openapi"),
    }
}

/// The recorded answer in the form of one received here.
fn recorded(line: &Line) -> Answer {
    let header = |(name, texts): (&String, &Texts)| (name.to_ascii_lowercase(), texts.all().to_vec());
    Answer {
        status: line.status,
        content_type: line.content_type.clone().unwrap_or_default(),
        headers: line.resp_headers.iter().map(header).collect(),
        body: line.body.clone().unwrap_or_else(|| serde_json::json!({"@text": ""})),
    }
}

fn failure(error: &anyhow::Error) -> Difference {
    Difference { place: "answer".into(), recorded: None, here: Some(format!("{error:#}").into()) }
}
