//! That the scheduler lives, for those outside of it: who watches scheduled work must not itself be scheduled work.
//! `/metrics` for Prometheus, `/healthz` for probes, and a URL that is asked as long as the loop goes round.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::journal::Verdict;
use aegis_scheduler::service::{Pulse as Beat, Told};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

use crate::context::Context;
use crate::view::failure::Failure;
use crate::view::{say, tree};

/// A loop that has not gone round for this long is stuck.
const STUCK: Duration = Duration::from_secs(30);

/// What is known of the service.
#[derive(Default)]
struct Known {
    beat: Option<(Beat, Instant)>,
    refused: usize,
    /// Instants by what came of them.
    instants: BTreeMap<&'static str, u64>,
    /// Runs by how they ended.
    runs: BTreeMap<&'static str, u64>,
    jumps: u64,
    trouble: u64,
}

/// Counts what the service tells.
pub(super) struct Pulse {
    known: Mutex<Known>,
}

impl Pulse {
    /// Begins to answer and to ask, as configured.
    pub(super) fn start(context: &Arc<Context>, listen: &str, refused: usize) -> Result<Arc<Self>, Failure> {
        let known = Mutex::new(Known { refused, ..Known::default() });
        let pulse = Arc::new(Self { known });
        if !listen.is_empty() {
            pulse.listen(context, listen)?;
        }
        let config = &context.settings.config.serve;
        if !config.heartbeat.is_empty() {
            let every = config.heartbeat_every.map_or(Duration::from_secs(60), Into::into);
            Arc::clone(&pulse).ask(context, config.heartbeat.clone(), every)?;
        }
        Ok(pulse)
    }

    fn listen(self: &Arc<Self>, context: &Context, address: &str) -> Result<(), Failure> {
        let unusable = |error: std::io::Error| {
            CallError::new(codes::CONFIG, format!("cannot listen at `{address}`"))
                .because(error)
                .hint("give an address like `127.0.0.1:9464`, or port 0 for a free one")
        };
        let listener = context.runtime.block_on(tokio::net::TcpListener::bind(address)).map_err(unusable)?;
        let bound = listener.local_addr().map_err(unusable)?;
        say(&format!("metrics at http://{bound}/metrics"));
        let (metrics, health) = (Arc::clone(self), Arc::clone(self));
        let router = Router::new()
            .route("/metrics", get(move || async move { metrics.metrics() }))
            .route("/healthz", get(move || async move { health.health() }));
        context.runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(())
    }

    fn ask(self: Arc<Self>, context: &Context, url: String, every: Duration) -> Result<(), Failure> {
        let client = reqwest::Client::builder().timeout(every.min(Duration::from_secs(20))).build().map_err(
            |error| CallError::new(codes::CONFIG, "the heartbeat cannot be set up").because(error),
        )?;
        context.runtime.spawn(async move {
            let mut silent = false;
            loop {
                if self.health().0 == StatusCode::OK {
                    let answer = client.get(&url).send().await.and_then(reqwest::Response::error_for_status);
                    if let Err(error) = &answer
                        && !silent
                    {
                        say(&format!("trouble: the heartbeat was not heard: {}", why(error)));
                    }
                    silent = answer.is_err();
                }
                tokio::time::sleep(every).await;
            }
        });
        Ok(())
    }

    pub(super) fn set_refused(&self, refused: usize) {
        self.lock().refused = refused;
    }

    pub(super) fn hear(&self, told: &Told) {
        let mut known = self.lock();
        match told {
            Told::Alive(beat) => known.beat = Some((*beat, Instant::now())),
            Told::Started(_) => *known.instants.entry("started").or_default() += 1,
            Told::NotStarted(record, _) => {
                let why = record.why().map_or("refused", |why| why.word());
                *known.instants.entry(why).or_default() += 1;
            }
            Told::Ended(_, verdict) => *known.runs.entry(word(*verdict)).or_default() += 1,
            Told::Jumped(_) => known.jumps += 1,
            Told::Trouble(_) => known.trouble += 1,
            _ => {}
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> (StatusCode, &'static str) {
        let lives = self.lock().beat.is_some_and(|(_, at)| at.elapsed() < STUCK);
        if lives {
            (StatusCode::OK, "ok\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "the loop does not go round\n")
        }
    }

    /// The text format of Prometheus (version 0.0.4).
    fn metrics(&self) -> String {
        let known = self.lock();
        let mut text = String::new();
        let mut one = |name: &str, kind: &str, help: &str, values: &[(String, f64)]| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in values {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        if let Some((beat, _)) = known.beat {
            let plain = |value: f64| vec![(String::new(), value)];
            let number = |value: usize| plain(u32::try_from(value).unwrap_or(u32::MAX).into());
            let seconds = |at: jiff::Timestamp| plain(at.as_duration().as_secs_f64());
            one(
                "aegis_scheduler_last_loop_timestamp_seconds",
                "gauge",
                "When the loop last went round.",
                &seconds(beat.at),
            );
            one("aegis_scheduler_schedules", "gauge", "Schedules that are served.", &number(beat.schedules));
            one(
                "aegis_scheduler_runs_executing",
                "gauge",
                "Runs that execute here.",
                &number(beat.executing),
            );
            one(
                "aegis_scheduler_runs_parked",
                "gauge",
                "Runs that wait for people or their turn.",
                &number(beat.parked),
            );
            one(
                "aegis_scheduler_instants_waiting",
                "gauge",
                "Instants that wait for the run before them.",
                &number(beat.waiting),
            );
            if let Some(next) = beat.next {
                one(
                    "aegis_scheduler_next_due_timestamp_seconds",
                    "gauge",
                    "When something is due next.",
                    &seconds(next),
                );
            }
        }
        let refused = u32::try_from(known.refused).unwrap_or(u32::MAX).into();
        one(
            "aegis_scheduler_files_refused",
            "gauge",
            "Files with schedules that cannot be used.",
            &[(String::new(), refused)],
        );
        one(
            "aegis_scheduler_instants_total",
            "counter",
            "Instants by what came of them.",
            &labelled("outcome", &known.instants),
        );
        one(
            "aegis_scheduler_runs_total",
            "counter",
            "Runs by how they ended.",
            &labelled("verdict", &known.runs),
        );
        one(
            "aegis_scheduler_clock_jumps_total",
            "counter",
            "Jumps of the clock.",
            &[(String::new(), float(known.jumps))],
        );
        one(
            "aegis_scheduler_trouble_total",
            "counter",
            "Times something could not be written or read.",
            &[(String::new(), float(known.trouble))],
        );
        text
    }
}

fn labelled(label: &str, counts: &BTreeMap<&'static str, u64>) -> Vec<(String, f64)> {
    counts.iter().map(|(word, count)| (format!("{{{label}=\"{word}\"}}"), float(*count))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a counter beyond 2^53 is far away")]
const fn float(count: u64) -> f64 {
    count as f64
}

const fn word(verdict: Verdict) -> &'static str {
    tree::verdict_word(verdict)
}

/// Why the heartbeat was not heard, without its address, which may hold a secret.
fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    error
        .status()
        .map_or_else(|| "it cannot be reached".to_owned(), |status| format!("the answer was {status}"))
}
