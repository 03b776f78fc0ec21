//! Sends traces to an OpenTelemetry collector (OTLP over HTTP, JSON), where the usual variables name one:
//! `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`,
//! `OTEL_SDK_DISABLED`. No run waits for it: what cannot be sent is dropped, and said once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aegis_console::traces::{Trace, request};
use aegis_engine::run::Event;
use aegis_engine::run::handle::Observer;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::view::say;

/// Spans of one request.
const BATCH: usize = 512;

/// How long more spans are waited for.
const GATHERED: Duration = Duration::from_secs(1);

/// How long a collector may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How long the end of the process waits for what is left.
const LEFT: Duration = Duration::from_secs(5);

/// The way to a collector, for all runs of the process. Dropped, it sends what is left.
pub(crate) struct Traces {
    spans: Mutex<Option<UnboundedSender<Value>>>,
    over: Mutex<std::sync::mpsc::Receiver<()>>,
    open: Mutex<HashMap<String, Trace>>,
}

/// Where to.
struct Collector {
    url: String,
    headers: Vec<(String, String)>,
    service: String,
}

impl Traces {
    /// `None`: nobody wants them.
    pub(crate) fn start(
        environment: &BTreeMap<String, String>,
        runtime: &tokio::runtime::Handle,
    ) -> Option<Arc<Self>> {
        let collector = Collector::of(environment)?;
        let (spans, receiver) = unbounded_channel();
        let (done, over) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            collector.send_all(receiver).await;
            drop(done);
        });
        Some(Arc::new(Self {
            spans: Mutex::new(Some(spans)),
            over: Mutex::new(over),
            open: Mutex::default(),
        }))
    }

    /// Who looks at runs.
    pub(crate) fn observer(self: &Arc<Self>) -> Observer {
        let traces = Arc::clone(self);
        Arc::new(move |run, before, event| {
            let Event::Recorded(entry) = event else { return };
            let mut open = traces.open.lock().unwrap_or_else(PoisonError::into_inner);
            let trace = open.entry(run.to_owned()).or_insert_with(|| Trace::of(run, before));
            let span = trace.hear(entry);
            if matches!(entry.body, aegis_engine::journal::Body::Ended { .. }) {
                open.remove(run);
            }
            if let (Some(span), Some(spans)) =
                (span, &*traces.spans.lock().unwrap_or_else(PoisonError::into_inner))
            {
                let _ = spans.send(span);
            }
        })
    }

    /// Sends what is left.
    pub(crate) fn finish(&self) {
        *self.spans.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // Answers as soon as everything has been sent.
        let _ = self.over.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LEFT);
    }
}

impl Collector {
    fn of(environment: &BTreeMap<String, String>) -> Option<Self> {
        let set =
            |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return None;
        }
        let whole = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").map(str::to_owned);
        let base = || {
            set("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| format!("{}/v1/traces", base.trim_end_matches('/')))
        };
        let pairs = set("OTEL_EXPORTER_OTLP_TRACES_HEADERS").or_else(|| set("OTEL_EXPORTER_OTLP_HEADERS"));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().replace("%20", " ")))
        };
        let headers = pairs.unwrap_or_default().split(',').filter_map(pair).collect();
        let service = set("OTEL_SERVICE_NAME").unwrap_or("aegis").to_owned();
        Some(Self { url: whole.or_else(base)?, headers, service })
    }

    async fn send_all(&self, mut spans: UnboundedReceiver<Value>) {
        let Ok(client) = reqwest::Client::builder().timeout(ANSWER).build() else { return };
        let mut silent = false;
        while let Some(first) = spans.recv().await {
            let mut batch = vec![first];
            let until = tokio::time::Instant::now() + GATHERED;
            while batch.len() < BATCH
                && let Ok(Some(span)) = tokio::time::timeout_at(until, spans.recv()).await
            {
                batch.push(span);
            }
            let sent = self.send(&client, &batch).await;
            if let Err(why) = &sent
                && !silent
            {
                say(&format!("trouble: traces do not arrive: {why}"));
            }
            silent = sent.is_err();
        }
    }

    async fn send(&self, client: &reqwest::Client, batch: &[Value]) -> Result<(), String> {
        let body = request(&self.service, env!("CARGO_PKG_VERSION"), batch);
        let mut last = String::new();
        for _ in 0..2 {
            let headers = self.headers.iter();
            let asked = headers
                .fold(client.post(&self.url).json(&body), |asked, (name, value)| asked.header(name, value));
            match asked.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => last = format!("the answer was {}", answer.status()),
                Err(error) if error.is_timeout() => last = "no answer in time".to_owned(),
                Err(_) => last = "the collector cannot be reached".to_owned(),
            }
        }
        Err(last)
    }
}
