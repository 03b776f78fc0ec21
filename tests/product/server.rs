//! A server that counts what reaches it, and can tell the test at which request the client should die.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// A request that has arrived and waits: before the effect is counted, or after, before the answer.
pub(crate) struct Arrived {
    pub(crate) counted: bool,
    pub(crate) go_on: oneshot::Sender<()>,
}

#[derive(Clone)]
struct Shared {
    counts: Arc<Mutex<BTreeMap<String, usize>>>,
    /// Where arrivals are told, when the test steers.
    steer: Option<UnboundedSender<Arrived>>,
}

/// A counting server on loopback.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    counts: Arc<Mutex<BTreeMap<String, usize>>>,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Answers at once.
    pub(crate) fn start() -> Self {
        Self::serve(None)
    }

    /// Tells every arrival twice and waits for the test each time.
    pub(crate) fn steered() -> (Self, UnboundedReceiver<Arrived>) {
        let (sender, receiver) = unbounded_channel();
        (Self::serve(Some(sender)), receiver)
    }

    fn serve(steer: Option<UnboundedSender<Arrived>>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let counts: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let shared = Shared { counts: Arc::clone(&counts), steer };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(count).with_state(shared);
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, counts, runtime }
    }

    /// How often `METHOD /path` was performed.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.counts.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    /// Everything that changes something, and how often.
    pub(crate) fn effects(&self) -> BTreeMap<String, usize> {
        let counts = self.counts.lock().unwrap();
        counts.iter().filter(|(what, _)| !what.starts_with("GET")).map(|(w, n)| (w.clone(), *n)).collect()
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

async fn count(State(shared): State<Shared>, request: Request) -> (StatusCode, &'static str) {
    let what = format!("{} {}", request.method(), request.uri().path());
    hold(&shared, false).await;
    *shared.counts.lock().unwrap().entry(what).or_default() += 1;
    hold(&shared, true).await;
    (StatusCode::OK, "{}")
}

async fn hold(shared: &Shared, counted: bool) {
    let Some(steer) = &shared.steer else { return };
    let (go_on, wait) = oneshot::channel();
    if steer.send(Arrived { counted, go_on }).is_ok() {
        let _ = wait.await;
    }
}
