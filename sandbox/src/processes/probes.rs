//! Probes of process pods: whether a program has started, is ready, is still alive.
//!
//! They are made from this machine: a command beside the container's own, a request or a connection to a port, which is
//! a port of this machine. A container that fails its startup or liveness probe is ended, and starts again by its pod's
//! policy. Not played: gRPC (taken to succeed), and certificates of HTTPS, which only has to accept a connection.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::{Running, Signal};
use crate::ambient::Ambient;
use crate::client;
use crate::controllers::fields::Fields;

/// The probes of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    startup: Option<Probe>,
    readiness: Option<Probe>,
    liveness: Option<Probe>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Probe {
    action: Action,
    delay: Duration,
    period: Duration,
    timeout: Duration,
    successes: u32,
    failures: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Exec(Vec<String>),
    Http {
        path: String,
        port: u16,
    },
    Tcp(u16),
    /// Nothing that could be asked.
    None,
}

/// What the probes of a container say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Its startup probe has succeeded, or it has none.
    pub started: bool,
    /// Its readiness probe succeeds, or it has none.
    pub ready: bool,
    /// What failed last, and how often something has.
    pub problem: Option<(u32, String)>,
    /// The probe because of which it was ended.
    pub ended_by: Option<&'static str>,
}

impl Probes {
    /// Reads the probes of a container.
    pub(super) fn of(container: &Value) -> Self {
        let read = |name: &str| {
            let probe = container.at(name);
            probe.is_object().then(|| Probe::of(probe, container))
        };
        Self {
            startup: read("/startupProbe"),
            readiness: read("/readinessProbe"),
            liveness: read("/livenessProbe"),
        }
    }

    /// What they say before the first was made.
    pub(super) fn at_first(&self) -> Health {
        let started = self.startup.is_none();
        Health { started, ready: started && self.readiness.is_none(), problem: None, ended_by: None }
    }

    /// Changes the words of commands.
    pub(super) fn map_words(mut self, change: impl Fn(&str) -> String) -> Self {
        for probe in [&mut self.startup, &mut self.readiness, &mut self.liveness].into_iter().flatten() {
            if let Action::Exec(words) = &mut probe.action {
                *words = words.iter().map(|word| change(word)).collect();
            }
        }
        self
    }

    /// Makes them for as long as the container runs.
    pub(super) async fn watch(&self, running: &Arc<Running>, ambient: &Ambient) {
        tokio::select! {
            () = self.make(running, ambient) => {}
            _ = running.ended() => {}
        }
    }

    async fn make(&self, running: &Arc<Running>, ambient: &Ambient) {
        if let Some(startup) = &self.startup {
            if !startup.succeeds("Startup", running, ambient).await {
                return running.fail("startup", ambient).await;
            }
            let ready = self.readiness.is_none();
            running.change_health(|health| (health.started, health.ready) = (true, ready));
        }
        let liveness = async {
            if let Some(probe) = &self.liveness {
                probe.fails("Liveness", running, ambient).await;
                running.fail("liveness", ambient).await;
            }
        };
        let readiness = async {
            if let Some(probe) = &self.readiness {
                probe.follow(running, ambient).await;
            }
        };
        tokio::join!(readiness, liveness);
    }
}

impl Probe {
    fn of(probe: &Value, container: &Value) -> Self {
        let number = |path: &str, default: i64| {
            let number = probe.number(path).filter(|number| *number > 0).unwrap_or(default);
            u32::try_from(number).unwrap_or(u32::MAX)
        };
        let seconds = |path: &str, default: i64| Duration::from_secs(number(path, default).into());
        Self {
            action: Action::of(probe, container),
            delay: seconds("/initialDelaySeconds", 0),
            period: seconds("/periodSeconds", 10),
            timeout: seconds("/timeoutSeconds", 1),
            successes: number("/successThreshold", 1),
            failures: number("/failureThreshold", 3),
        }
    }

    /// Makes the probe until it has succeeded; answers false when it failed too often first.
    async fn succeeds(&self, name: &str, running: &Arc<Running>, ambient: &Ambient) -> bool {
        let mut streak = Streak::default();
        ambient.sleep(self.delay).await;
        loop {
            match streak.count(self.attempt(name, running).await) {
                count if count >= i64::from(self.successes) => return true,
                count if -count >= i64::from(self.failures) => return false,
                _ => ambient.sleep(self.period).await,
            }
        }
    }

    /// Makes the probe until it has failed too often.
    async fn fails(&self, name: &str, running: &Arc<Running>, ambient: &Ambient) {
        let mut streak = Streak::default();
        ambient.sleep(self.delay).await;
        while -streak.count(self.attempt(name, running).await) < i64::from(self.failures) {
            ambient.sleep(self.period).await;
        }
    }

    /// Tells whether the container is ready, for ever.
    async fn follow(&self, running: &Arc<Running>, ambient: &Ambient) {
        let mut streak = Streak::default();
        ambient.sleep(self.delay).await;
        loop {
            match streak.count(self.attempt("Readiness", running).await) {
                count if count == i64::from(self.successes) => {
                    running.change_health(|health| health.ready = true)
                }
                count if -count == i64::from(self.failures) => {
                    running.change_health(|health| health.ready = false)
                }
                _ => {}
            }
            ambient.sleep(self.period).await;
        }
    }

    async fn attempt(&self, name: &str, running: &Arc<Running>) -> bool {
        let made = self.action.make(running);
        let made = tokio::time::timeout(self.timeout, made).await;
        let Err(problem) = made.unwrap_or_else(|_| Err("context deadline exceeded".into())) else {
            return true;
        };
        running.change_health(|health| {
            let count = health.problem.as_ref().map_or(0, |(count, _)| *count) + 1;
            health.problem = Some((count, format!("{name} probe failed: {problem}")));
        });
        false
    }
}

/// How often in a row a probe succeeded; less than nothing when it failed.
#[derive(Default)]
struct Streak(i64);

impl Streak {
    fn count(&mut self, success: bool) -> i64 {
        self.0 = if success { self.0.max(0) + 1 } else { self.0.min(0) - 1 };
        self.0
    }
}

impl Action {
    fn of(probe: &Value, container: &Value) -> Self {
        let words = probe.list("/exec/command").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let (http, tcp) = (probe.at("/httpGet"), probe.at("/tcpSocket"));
        match (probe.at("/exec").is_object(), http.is_object(), tcp.is_object()) {
            (true, ..) => Self::Exec(words),
            (_, true, _) if http.text("/scheme") == "HTTPS" => Self::Tcp(port(http, container)),
            (_, true, _) => Self::Http { path: http.text("/path").to_owned(), port: port(http, container) },
            (_, _, true) => Self::Tcp(port(tcp, container)),
            _ => Self::None,
        }
    }

    async fn make(&self, running: &Arc<Running>) -> Result<(), String> {
        match self {
            Self::None => Ok(()),
            Self::Exec(words) => run(words, running).await,
            Self::Tcp(port) => {
                let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await;
                connected.map(drop).map_err(|error| format!("dial tcp 127.0.0.1:{port}: connect: {error}"))
            }
            Self::Http { path, port } => get(path, *port).await,
        }
    }
}

async fn run(words: &[String], running: &Arc<Running>) -> Result<(), String> {
    let Some((program, words)) = words.split_first() else { return Err("no command".into()) };
    let mut command = Command::new(program);
    command.args(words).kill_on_drop(true).stdin(Stdio::null());
    running.surround(&mut command);
    let output = command.output().await.map_err(|error| format!("exec: {program:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim_end().to_owned()),
    }
}

async fn get(path: &str, port: u16) -> Result<(), String> {
    let url = format!("http://127.0.0.1:{port}/{}", path.trim_start_matches('/'));
    let request =
        client::Request { method: "GET", url: &url, connect: None, authority: None, token: None, body: None };
    match client::send(&request).await {
        Ok((200..=399, _)) => Ok(()),
        Ok((code, _)) => Err(format!("HTTP probe failed with statuscode: {code}")),
        Err(error) => Err(format!("Get {url:?}: {error}")),
    }
}

/// A port by its number, or by the name the container gives it.
fn port(action: &Value, container: &Value) -> u16 {
    let number = match action.at("/port") {
        Value::String(name) => {
            let named = |port: &&Value| port.text("/name") == name;
            container.list("/ports").iter().find(named).and_then(|port| port.number("/containerPort"))
        }
        number => number.as_i64(),
    };
    number.and_then(|number| u16::try_from(number).ok()).unwrap_or_default()
}

impl Running {
    /// Ends a container whose probe has failed too often: politely, then not.
    async fn fail(self: &Arc<Self>, probe: &'static str, ambient: &Ambient) {
        self.change_health(|health| (health.ready, health.ended_by) = (false, Some(probe)));
        self.signal(Signal::Terminate);
        ambient.sleep(self.recipe.grace).await;
        self.signal(Signal::Kill);
    }
}
