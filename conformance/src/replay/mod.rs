//! One scenario from its first line to its last, against a sandbox of its own.
//!
//! Lines are sent in recorded order. Where the recording waited, we wait for what it waited for: reads
//! are asked again while the sandbox is still changing, and watches that a client ended are followed until
//! they show what the client saw. Where it paused, we pause as well and are never ahead of it: controllers
//! that look every so often have looked as often.

mod watching;

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

const MINUTE: f64 = 60.0;
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
    meet_the_minute(recording).await;
    let began = Instant::now();
    for line in &recording.lines {
        replay.finish_watches(line.t).await;
        let pause = Duration::try_from_secs_f64(line.t - last_end).unwrap_or_default();
        if pause > PAUSE {
            let due = began + Duration::from_secs_f64(line.t);
            // Who is late catches up, but leaves the controllers half of their time.
            tokio::time::sleep_until(due.max(Instant::now() + pause / 2)).await;
        }
        replay.line(line).await;
        // A watch goes on while the client does other things.
        last_end = last_end.max(if line.is_watch() { line.t } else { line.end() });
    }
    replay.finish_watches(f64::INFINITY).await;
    let outcomes = recording.lines.iter().map(|line| replay.outcome(line)).collect();
    Ok(Scenario { name: recording.name.clone(), outcomes })
}

/// CronJobs look at the minute: a recording with some begins at its own second of the minute.
async fn meet_the_minute(recording: &Recording) {
    let watches_the_clock =
        recording.lines.iter().any(|line| line.method == "POST" && line.path.ends_with("/cronjobs"));
    let Some(recorded) = recording.lines.iter().find_map(second_of_begin).filter(|_| watches_the_clock)
    else {
        return;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() % MINUTE;
    tokio::time::sleep(Duration::from_secs_f64((recorded - now).rem_euclid(MINUTE))).await;
}

/// The second of the minute in which a scenario began: by the first object that a line made.
fn second_of_begin(line: &Line) -> Option<f64> {
    let made =
        line.body.as_ref().filter(|_| line.status == 201)?["metadata"]["creationTimestamp"].as_str()?;
    let seconds: f64 = made.trim_end_matches('Z').rsplit(':').next()?.parse().ok()?;
    // Timestamps are cut to whole seconds: half of one is added.
    Some((seconds + 0.5 - line.t).rem_euclid(MINUTE))
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
        self.settle(line).await;
        let recorded = recorded(line);
        let (here, differences, learnt) = self.ask(line, &asked, &recorded).await;
        self.learnt = learnt;
        self.listen(line, &here);
        self.outcomes.insert(line.seq, differences);
    }

    /// Waits, before an object is changed, until controllers have brought it where they had brought it in the
    /// recording: the answer to a change shows the status from before it.
    async fn settle(&self, line: &Line) {
        let Some(body) = line.body.as_ref().filter(|body| changes_with_status(line, body)) else { return };
        let recorded = Answer { body: body["status"].clone(), ..Answer::default() };
        let place = self.learnt.text_here(&line.path);
        let mut stillness = Stillness::default();
        loop {
            let here = self.client.get(&place).await.unwrap_or_default();
            let here = Answer { body: here["status"].clone(), ..Answer::default() };
            let differences =
                compare::answers(&recorded, &here, self.context(line), &mut self.learnt.clone());
            if differences.is_empty() || stillness.lasts(&self.client).await {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
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
            let patient = Context { is_patient: true, ..self.context(line) };
            let differences = compare::answers(recorded, &here, patient, &mut learnt);
            let may_change = line.is_read() && !is_static(line) && Instant::now() < give_up;
            if differences.is_empty() {
                return (here, differences, learnt);
            }
            if !may_change || stillness.lasts(&self.client).await {
                let mut learnt = self.learnt.clone();
                let differences = compare::answers(recorded, &here, self.context(line), &mut learnt);
                return (here, differences, learnt);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn request(&self, line: &Line) -> Asked {
        let mut asked = request::request(line, &self.learnt, &self.client, &self.speakers);
        if line.status == StatusCode::OK.as_u16() && asked.target.starts_with("/openapi/v3/") {
            asked.target = self.with_present_hash(&asked.target).await;
        }
        self.with_warm_cache(line, asked).await
    }

    /// A client that asks for a document by its hash has read the index.
    async fn with_present_hash(&self, target: &str) -> String {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let index = self.client.get("/openapi/v3").await.unwrap_or_default();
        let page = path.trim_start_matches("/openapi/v3/");
        let present =
            index["paths"][page]["serverRelativeURL"].as_str().and_then(|url| url.split_once("?hash="));
        let parameter = |pair: &str| match (pair.strip_prefix("hash="), present) {
            (Some(_), Some((_, hash))) => format!("hash={hash}"),
            _ => pair.to_owned(),
        };
        let query: Vec<String> = query.split('&').filter(|pair| !pair.is_empty()).map(parameter).collect();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
    }

    /// A client that is told `304` has the answer from an earlier session: by tag, or by date, which the
    /// recorder did not keep.
    async fn with_warm_cache(&self, line: &Line, mut asked: Asked) -> Asked {
        if line.status != StatusCode::NOT_MODIFIED.as_u16() {
            return asked;
        }
        let is_by_tag = line.req_headers.contains_key("If-None-Match");
        let (condition, validator) =
            if is_by_tag { ("If-None-Match", "etag") } else { ("If-Modified-Since", "last-modified") };
        let mut plain = asked.clone();
        plain.headers.retain(|(name, _)| name != condition);
        let earlier = self.client.ask(&plain).await.ok();
        if let Some(value) = earlier.and_then(|answer| answer.headers.get(validator)?.first().cloned()) {
            asked.headers.retain(|(name, _)| name != condition);
            asked.headers.push((condition.to_owned(), value));
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
            let context = context(line, true, &self.motion);
            let differences = watch.finish(&self.client, context, &mut self.learnt).await;
            self.outcomes.insert(line.seq, differences);
        }
    }

    fn context(&self, line: &Line) -> Context<'_> {
        context(line, line.is_read(), &self.motion)
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

/// Whether a line changes an object that controllers give a status, and is answered with it.
fn changes_with_status(line: &Line, body: &Value) -> bool {
    let changes = matches!(&*line.method, "PUT" | "PATCH" | "DELETE") && !line.path.ends_with("/status");
    let is_new = line.status == StatusCode::CREATED.as_u16();
    changes && !is_new && body["metadata"]["uid"].is_string() && body["status"].is_object()
}

fn context<'a>(line: &Line, is_read: bool, motion: &'a Motion) -> Context<'a> {
    let is_by_chance = is_by_chance(line);
    Context { seq: line.seq, is_capped: line.is_capped(), is_read, is_by_chance, is_patient: false, motion }
}

/// Whether which objects a list shows depends on names that were drawn or on nodes that were picked.
fn is_by_chance(line: &Line) -> bool {
    let is_page = line.body.as_ref().is_some_and(|body| body["metadata"]["continue"].is_string());
    is_page && line.is_read() || line.query.contains("continue=") || line.query.contains("spec.nodeName")
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
