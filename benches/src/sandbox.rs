//! The embedded cluster at the size of a real one: 300 nodes and 10,000 pods over loopback HTTP, as clients see
//! it. It is served by a process of its own, whose memory is measured while 50 clients watch every pod.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aegis_sandbox::serve::Topology;
use aegis_sandbox::{Options, Sandbox};
use futures::StreamExt;
use futures::stream::iter;
use serde_json::{Value, json};

use crate::{Row, fresh, percentile};

const PODS: usize = 10_000;
const WORKERS: u16 = 297;
const WATCHERS: usize = 50;
/// Events that every watcher is sent.
const EVENTS: usize = 200;
const GETS: usize = 2_000;
/// Requests under way at once when writing: what helm or a controller with work has.
const WRITERS: usize = 32;

/// The first argument of a process that serves the large cluster.
pub(crate) const SERVE: &str = "serve-the-large-cluster";

/// Serves the large cluster from a folder until killed, and says when it does.
pub(crate) fn serve(folder: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|error| panic!("{error}"));
    let (_sandbox, _) = start(folder, &runtime, WORKERS);
    let _ = std::io::stdout().write_all(b"serving\n");
    runtime.block_on(std::future::pending::<()>());
}

/// The process that serves, ended with its handle.
struct Server(Child);

impl Server {
    fn start(folder: &Path) -> Self {
        let binary = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
        let mut command = Command::new(binary);
        command.arg(SERVE).arg(folder).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{error}"));
        let mut told = String::new();
        if let Some(out) = child.stdout.take() {
            let _ = BufReader::new(out).read_line(&mut told);
        }
        assert_eq!(told, "serving\n", "the cluster is not served");
        Self(child)
    }

    /// What the system counts as its memory, now and at its most.
    fn mebibytes(&self) -> (usize, usize) {
        let path = format!("/proc/{}/status", self.0.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let kibibytes = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0)
        };
        (kibibytes("VmRSS:") >> 10, kibibytes("VmHWM:") >> 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client of one sandbox.
struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// The kubeconfig's token goes with every request.
    fn of(sandbox: &Sandbox) -> Self {
        let kubeconfig = sandbox.kubeconfig();
        let token =
            kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap_or_default();
        let mut bearer = reqwest::header::HeaderValue::from_str(&format!("Bearer {token}"))
            .unwrap_or_else(|error| panic!("{error}"));
        bearer.set_sensitive(true);
        let headers = [(reqwest::header::AUTHORIZATION, bearer)].into_iter().collect();
        let http = reqwest::Client::builder().no_proxy().default_headers(headers).build();
        Self { http: http.unwrap_or_else(|error| panic!("{error}")), base: sandbox.endpoint() }
    }

    async fn post(&self, path: &str, object: Value) {
        let sent = self.http.post(format!("{}{path}", self.base)).json(&object).send().await;
        let answer = sent.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(answer.status(), 201, "{path}: {:?}", answer.text().await);
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        let sent = self.http.get(format!("{}{path}", self.base)).send().await;
        let answer = sent.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(answer.status(), 200, "{path}");
        answer
    }

    async fn json(&self, path: &str) -> Value {
        self.get(path).await.json().await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Objects a second, with many requests under way.
    async fn create(&self, path: &str, count: usize, object: impl Fn(usize) -> Value) -> f64 {
        let began = Instant::now();
        iter(0..count).for_each_concurrent(WRITERS, |number| self.post(path, object(number))).await;
        count as f64 / began.elapsed().as_secs_f64()
    }
}

fn settings(number: usize) -> Value {
    json!({ "metadata": { "name": format!("settings-{number}") }, "data": { "number": number.to_string() } })
}

fn pod(number: usize) -> Value {
    json!({
        "metadata": { "name": format!("pod-{number}"), "labels": { "app": format!("app-{}", number % 100) } },
        "spec": { "containers": [{ "name": "main", "image": "registry.example/app:1",
            "resources": { "requests": { "cpu": "50m", "memory": "64Mi" } } }] },
    })
}

/// Waits until every pod runs; seconds since `began`. It looks seldom: looking costs the server time too.
async fn all_running(client: &Client, began: Instant) -> f64 {
    loop {
        let path = "/api/v1/pods?fieldSelector=status.phase%21%3DRunning&limit=1";
        if client.json(path).await["items"].as_array().is_none_or(Vec::is_empty) {
            return began.elapsed().as_secs_f64();
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Seconds until every watcher has seen every one of the events, and events a second over all.
async fn fan_out(client: &Arc<Client>) -> f64 {
    let path = "/api/v1/namespaces/default/configmaps";
    let version = client.json(&format!("{path}?limit=1")).await["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let seen = Arc::new(AtomicUsize::new(0));
    let watchers: Vec<_> = (0..WATCHERS)
        .map(|_| {
            let (client, seen) = (Arc::clone(client), Arc::clone(&seen));
            let path = format!("{path}?watch=1&resourceVersion={version}");
            tokio::spawn(async move {
                let mut events = client.get(&path).await.bytes_stream();
                let mut mine = 0;
                while mine < EVENTS {
                    let Some(Ok(bytes)) = events.next().await else { return };
                    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
                    mine += lines;
                    seen.fetch_add(lines, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let began = Instant::now();
    client
        .create(
            path,
            EVENTS,
            |number| json!({ "metadata": { "name": format!("told-{number}") }, "data": {} }),
        )
        .await;
    for watcher in watchers {
        let _ = watcher.await;
    }
    seen.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}

/// Milliseconds of single gets, one after the other.
async fn gets(client: &Client) -> Vec<f64> {
    let mut times = Vec::with_capacity(GETS);
    for number in 0..GETS {
        let path = format!("/api/v1/namespaces/default/pods/pod-{}", number * 7 % PODS);
        let began = Instant::now();
        let _ = client.get(&path).await.bytes().await;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times
}

/// Clients that follow every pod from its beginning, and read what they are sent.
fn follow_pods(client: &Arc<Client>) -> Vec<tokio::task::JoinHandle<()>> {
    let follow = |client: Arc<Client>| async move {
        let mut events = client.get("/api/v1/pods?watch=1").await.bytes_stream();
        while let Some(Ok(_)) = events.next().await {}
    };
    (0..WATCHERS).map(|_| tokio::spawn(follow(Arc::clone(client)))).collect()
}

fn start(folder: &Path, runtime: &tokio::runtime::Runtime, workers: u16) -> (Sandbox, Duration) {
    let topology = Topology { workers, ..Topology::default() };
    let options = Options { topology, tls: false, ..Options::default() };
    let began = Instant::now();
    let sandbox = Sandbox::join(folder, options).unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(sandbox.ready()).unwrap_or_else(|error| panic!("{error}"));
    (sandbox, began.elapsed())
}

fn row(what: &'static str, figure: String, against: &str) -> Row {
    Row { what, figure, against: against.to_owned() }
}

/// Every row of the sandbox.
pub(crate) fn all(directory: &Path) -> Vec<Row> {
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|error| panic!("{error}"));
    let folder = fresh(directory, "sandbox-new");
    let (sandbox, new) = start(&folder, &runtime, 6);
    drop(sandbox);
    let (sandbox, again) = start(&folder, &runtime, 6);
    drop(sandbox);
    let folder = fresh(directory, "sandbox");
    let server = Server::start(&folder);
    // Takes part, and serves nothing as long as the other one does.
    let (sandbox, _) = start(&folder, &runtime, WORKERS);
    let client = Arc::new(Client::of(&sandbox));
    let rows = runtime.block_on(async {
        let writes = client.create("/api/v1/namespaces/default/configmaps", PODS, settings).await;
        let followers = follow_pods(&client);
        let began = Instant::now();
        let pods = client.create("/api/v1/namespaces/default/pods", PODS, pod).await;
        let running = all_running(&client, began).await;
        let mut gets = gets(&client).await;
        let began = Instant::now();
        let listed = client.get("/api/v1/pods").await.bytes().await.map_or(0, |bytes| bytes.len());
        let list = began.elapsed();
        let events = fan_out(&client).await;
        let (memory, most) = server.mebibytes();
        followers.iter().for_each(tokio::task::JoinHandle::abort);
        vec![
            row("start of a new cluster", format!("{} ms", new.as_millis()), ""),
            row("start of a cluster that was there", format!("{} ms", again.as_millis()), "goal <= 50 ms"),
            row("objects written, 32 at once", format!("{writes:.0} a second"), "goal >= 5,000"),
            row("pods written, 300 nodes at work", format!("{pods:.0} a second"), ""),
            row("10,000 pods until all run", format!("{running:.1} s"), "writing them included"),
            row("get, one client, p50", format!("{:.2} ms", percentile(&mut gets, 0.5)), ""),
            row("get, one client, p99", format!("{:.2} ms", percentile(&mut gets, 0.99)), "goal <= 2 ms"),
            row("list of 10,000 pods", format!("{} ms", list.as_millis()), &format!("{} MiB", listed >> 20)),
            row("watch events to 50 clients", format!("{events:.0} a second"), ""),
            row("memory of the server, 50 clients watching", format!("{memory} MiB"), "goal <= 1 GiB"),
            row("memory of the server at its most", format!("{most} MiB"), ""),
        ]
    });
    drop(sandbox);
    rows
}
