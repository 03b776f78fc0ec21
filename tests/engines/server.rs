//! What runs act on. It knows the token of each lock and refuses older ones, as whatever a lock protects should; and it
//! keeps the order of what it accepted, to see whether two runs were ever inside one lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::put;
use axum::{Json, Router};
use serde_json::Value;

/// What a run says of itself with each act.
struct Act {
    run: String,
    lock: String,
    token: i64,
}

impl Act {
    fn of(said: &Value) -> Self {
        let text = |key: &str| said[key].as_str().unwrap().to_owned();
        Self { run: text("run"), lock: text("lock"), token: said["token"].as_i64().unwrap() }
    }
}

#[derive(Default)]
struct Lock {
    token: i64,
    /// The run inside.
    inside: Option<String>,
}

/// Counts.
#[derive(Default)]
pub(crate) struct Seen {
    locks: BTreeMap<String, Lock>,
    /// How often each run began and ended, repetitions by the engine that took it over included.
    pub(crate) runs: BTreeMap<String, (u32, u32)>,
    /// Acts with a token that is not the newest any more.
    pub(crate) refused: u32,
    /// What must not be.
    pub(crate) broken: Vec<String>,
}

impl Seen {
    fn act(&mut self, what: &str, act: &Act) -> StatusCode {
        let lock = self.locks.entry(act.lock.clone()).or_default();
        if act.token < lock.token {
            self.refused += 1;
            return StatusCode::CONFLICT;
        }
        let other = lock.inside.as_ref().filter(|inside| **inside != act.run);
        if let Some(other) = other {
            self.broken.push(format!("{} acts inside {} while {other} is in it", act.run, act.lock));
        }
        if act.token == lock.token && lock.token > 0 && other.is_some() {
            self.broken
                .push(format!("{} and another run have the token {} of {}", act.run, act.token, act.lock));
        }
        lock.token = act.token;
        let counts = self.runs.entry(act.run.clone()).or_default();
        if what == "begin" {
            counts.0 += 1;
            lock.inside = Some(act.run.clone());
        } else {
            counts.1 += 1;
            lock.inside = None;
        }
        StatusCode::OK
    }
}

/// The server.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

impl Server {
    pub(crate) fn start(runtime: &tokio::runtime::Runtime) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let app = Router::new().route("/{what}", put(answer)).with_state(Arc::clone(&seen));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }
}

async fn answer(
    State(seen): State<Arc<Mutex<Seen>>>,
    Path(what): Path<String>,
    Json(said): Json<Value>,
) -> StatusCode {
    seen.lock().unwrap().act(&what, &Act::of(&said))
}
