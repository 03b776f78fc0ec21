//! A management cluster whose pods run the real binary, a database, engines, and a server that counts what runs do.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use aegis_engine::testing::PostgresServer;
use axum::extract::{Path as Segment, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::engines::{Engine, Project, binary, until};
use crate::proxy::Proxy;

/// What the runs act on: how often each effect came, and whether they may go on.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) counts: BTreeMap<u32, u32>,
    pub(crate) open: bool,
    /// How often a run asked that.
    pub(crate) asked: u32,
}

type Shared = Arc<Mutex<Effects>>;

/// Everything.
pub(crate) struct World {
    pub(crate) project: Project,
    pub(crate) effects: Shared,
    pub(crate) postgres: PostgresServer,
    runtime: tokio::runtime::Runtime,
}

/// Acts twice, waits until it may go on, acts twice more.
fn runbook(url: &str) -> String {
    format!(
        r#"runbook(#{{
    title: "Four effects",
    at_window_end: "leave",
    needs: ["http:change:{url}/*", "http:read:{url}/*"],
}});
http::send("PUT", "{url}/effect/0");
http::send("PUT", "{url}/effect/1");
while !http::get("{url}/open").json.open {{ time::sleep("100ms"); }}
http::send("PUT", "{url}/effect/2");
http::send("PUT", "{url}/effect/3");
"#
    )
}

/// Acts, asks, acts.
const ASKING: &str = r#"runbook(#{ title: "Asks in between", needs: ["http:change:URL/*"] });
http::send("PUT", "URL/effect/0");
approval::ask("go on?");
http::send("PUT", "URL/effect/1");
"#;

/// The configuration that engines and pods share: targets by what becomes of Jobs there.
const CONFIG: &str = r#"
[database]
takeover-after = "3s"

[serve]
notify = ""
drain = "20s"

[targets.management]
kubernetes.kubeconfig = "management.kubeconfig"

[targets.work.executor]
JOB
namespace = "runs"
command = ["aegis"]
project = "project"
requests = { cpu = "100m", memory = "64Mi" }
limits = { memory = "512Mi" }
annotations = { "sandbox.aegis.dev/process" = "true" }

[targets.unpullable.executor]
JOB
namespace = "runs"
annotations = { "sandbox.aegis.dev/image-pull" = "fail" }
patience = "4s"

[targets.unmounted.executor]
JOB
namespace = "runs"
command = ["aegis"]
project = "missing"
annotations = { "sandbox.aegis.dev/process" = "true" }
patience = "4s"

[targets.broken.executor]
JOB
namespace = "runs"
command = ["sh", "-c", "echo nothing works today >&2; exit 3"]
annotations = { "sandbox.aegis.dev/process" = "true" }
retries = 0

[targets.picky.executor]
JOB
namespace = "runs"
command = ["aegis"]
project = "project"
annotations = { "sandbox.aegis.dev/process" = "true" }
patience = "4s"

[targets.picky.executor.pod]
nodeSelector = { disk = "fast" }
tolerations = [
  { key = "node.kubernetes.io/unreachable", operator = "Exists", effect = "NoExecute", tolerationSeconds = 1 },
]

[targets.full.executor]
JOB
namespace = "full"
patience = "4s"
"#;

/// What all of them have in common.
const JOB: &str = r#"image = "aegis:test"
cluster = "management"
database = { secret = "database", key = "url" }"#;

impl World {
    pub(crate) fn new() -> Self {
        Self::with("3s")
    }

    /// Where a process that died without a word has its run for so long.
    pub(crate) fn with(takeover_after: &str) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let effects = Shared::default();
        let url = serve(&runtime, &effects);
        let postgres = PostgresServer::start();
        let project = Project::new(&runbook(&url), "3s", postgres.create("jobs"));
        project.write("aegis.toml", &CONFIG.replace("JOB", JOB).replace("3s", takeover_after));
        project.write("asking.rhai", &ASKING.replace("URL", &url));
        let world = Self { project, effects, postgres, runtime };
        world.cluster();
        world
    }

    /// The management cluster, with what an administrator puts there beforehand.
    fn cluster(&self) {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut up = self.project.command("cluster", &["sandbox", "up", "--allow-processes"]);
        // Pods find the binary there.
        up.env("PATH", format!("{}:{path}", binary().parent().unwrap().display()));
        assert!(up.stdout(Stdio::null()).status().unwrap().success());
        let kubeconfig = self.project.command("cluster", &["sandbox", "kubeconfig"]).output().unwrap();
        self.project.write("management.kubeconfig", &String::from_utf8(kubeconfig.stdout).unwrap());
        for namespace in ["runs", "full"] {
            self.kubectl(&["create", "namespace", namespace]);
            let address = format!("--from-literal=url={}", self.postgres.url("jobs"));
            self.kubectl(&["create", "secret", "generic", "database", "-n", namespace, &address]);
        }
        self.kubectl(&["create", "configmap", "project", "-n", "runs", "--from-file=aegis.toml"]);
        self.kubectl(&["label", "namespace", "runs", "pod-security.kubernetes.io/enforce=restricted"]);
    }

    /// Engines elect one of them.
    pub(crate) fn elects(&self) {
        let lease = "[serve.lease]\ncluster = \"management\"\nnamespace = \"runs\"\n";
        let path = self.project.path().join("aegis.toml");
        let config = std::fs::read_to_string(path).unwrap();
        self.project.write("aegis.toml", &format!("{config}\n{lease}"));
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let kubectl = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin/kubectl");
        assert!(kubectl.exists(), "`.ci/tools kubectl` installs what this test talks to");
        let done = Command::new(kubectl)
            .args(arguments)
            .current_dir(self.project.path())
            .env("KUBECONFIG", self.project.path().join("management.kubeconfig"))
            .env("HOME", self.project.path())
            .output()
            .unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    pub(crate) fn objects(&self, kind: &str, namespace: &str) -> Vec<Value> {
        let list: Value =
            serde_json::from_str(&self.kubectl(&["get", kind, "-n", namespace, "-o", "json"])).unwrap();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// A schedule of one instant, which comes in a moment. Served already, or it would be of the past.
    pub(crate) fn due(&self, runbook: &str, target: &str) {
        until("the instant", || {
            let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(5);
            self.schedule(runbook, target, &at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
            // The engine has read it before it came, or reads the next one.
            let late = at + jiff::SignedDuration::from_secs(20);
            while jiff::Timestamp::now() < late && self.project.records().is_empty() {
                std::thread::park_timeout(std::time::Duration::from_millis(200));
            }
            !self.project.records().is_empty()
        });
    }

    /// Has a run promised by hand, which engines execute; answers who shows it, too.
    pub(crate) fn promised(&self) -> (String, Shown) {
        let log = std::fs::File::create(self.project.path().join("by-hand.log")).unwrap();
        let mut by_hand = self.project.command("state", &["schedule", "run-now", "night"]);
        let child = by_hand.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        (self.run(), Shown(child))
    }

    pub(crate) fn schedule(&self, runbook: &str, target: &str, when: &str) {
        let text =
            format!("[schedules.night]\nrunbook = \"{runbook}\"\nwhen = \"{when}\"\ntarget = \"{target}\"\n");
        self.project.write("draft", &text);
        std::fs::rename(self.project.path().join("draft"), self.project.path().join("schedules.toml"))
            .unwrap();
    }

    pub(crate) fn engine(&self, number: usize) -> Engine<'_> {
        Engine::start(&self.project, number, Proxy::start(&self.runtime, self.postgres.port()))
    }

    pub(crate) fn counts(&self) -> Vec<(u32, u32)> {
        self.effects.lock().unwrap().counts.iter().map(|(effect, count)| (*effect, *count)).collect()
    }

    /// Waits until the run asks whether it may go on: what it did before is journaled.
    pub(crate) fn waits(&self) {
        until_told("the question", || (self.effects.lock().unwrap().asked > 0, self.told()));
        assert_eq!(self.counts(), [(0, 1), (1, 1)]);
    }

    pub(crate) fn open(&self) {
        self.effects.lock().unwrap().open = true;
    }

    /// The run of the only instant, once it is promised.
    pub(crate) fn run(&self) -> String {
        let mut run = None;
        until("the run", || {
            run = self.project.records().first().and_then(|record| record["run"].as_str().map(str::to_owned));
            run.is_some()
        });
        run.unwrap()
    }

    /// The record of the only instant, once something holds of it.
    pub(crate) fn record(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut found = Value::Null;
        let mut last = Value::Null;
        until_told(what, || {
            last = self.project.records().first().cloned().unwrap_or_default();
            if holds(&last) {
                found = last.clone();
            }
            (!found.is_null(), format!("{last}\n{}", self.told()))
        });
        found
    }

    /// What engines and pods said, for a test that fails.
    pub(crate) fn told(&self) -> String {
        let logs = std::fs::read_dir(self.project.path()).unwrap().flatten().map(|entry| entry.path());
        let logs = logs.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
        logs.map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    /// The journal.
    pub(crate) fn journal(&self, run: &str) -> Vec<Value> {
        let output = self.project.output(&["logs", run, "--output", "json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn of_kind(&self, run: &str, kind: &str) -> Vec<Value> {
        self.journal(run).into_iter().filter(|entry| entry["kind"] == kind).collect()
    }

    pub(crate) fn aegis(&self, arguments: &[&str]) -> Output {
        self.project.output(arguments)
    }

    /// The process of a run's pod.
    pub(crate) fn kill_pod_of(&self, run: &str) {
        let mut killed = false;
        until("the process of the pod", || {
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            for process in processes {
                let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
                let words: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
                let is_it = words.contains(&&b"execute"[..]) && words.contains(&run.as_bytes());
                let number = process.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
                if let (true, Some(pid)) = (is_it, number) {
                    killed |= kill_process(pid, Signal::KILL).is_ok();
                }
            }
            killed
        });
    }
}

/// `run-now`, which follows a run to its end.
pub(crate) struct Shown(Child);

impl Shown {
    pub(crate) fn succeeds(mut self) -> bool {
        self.0.wait().unwrap().success()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.project.command("cluster", &["sandbox", "down"]).output();
    }
}

/// As `until`, saying what is known when it does not come.
pub(crate) fn until_told(what: &str, mut holds: impl FnMut() -> (bool, String)) {
    let began = std::time::Instant::now();
    loop {
        let (came, told) = holds();
        if came {
            return;
        }
        assert!(began.elapsed() < crate::engines::PATIENCE, "{what} does not come:\n{told}");
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
}

fn serve(runtime: &tokio::runtime::Runtime, effects: &Shared) -> String {
    let app = Router::new()
        .route("/effect/{number}", put(effect))
        .route("/open", get(may_go_on))
        .with_state(Arc::clone(effects));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move { axum::serve(listener, app).await });
    url
}

async fn effect(State(effects): State<Shared>, Segment(number): Segment<u32>) {
    *effects.lock().unwrap().counts.entry(number).or_default() += 1;
}

async fn may_go_on(State(effects): State<Shared>) -> Json<Value> {
    let mut effects = effects.lock().unwrap();
    effects.asked += 1;
    Json(json!({ "open": effects.open }))
}
