//! What the service tells, counted, in the text format of Prometheus (version 0.0.4). Names end in their unit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aegis_engine::journal::{Placement, Store, StoreError, Verdict};
use aegis_scheduler::service::{Pulse, Told};
use aegis_scheduler::trigger::Answer;
use aegis_scheduler::{Outcome, Record};
use jiff::Timestamp;

/// A loop that has not gone round for this long is stuck.
const STUCK: Duration = Duration::from_secs(30);

/// Upper bounds of the histogram of how late runs start, in seconds: what is promised is 50 ms.
const BOUNDS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 3600.0];

/// Counts of a store's runs are not taken more often than this.
const COUNTED: Duration = Duration::from_secs(10);

/// Counts what the service tells.
#[derive(Default)]
pub struct Metrics {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    beat: Option<(Pulse, Instant)>,
    refused: usize,
    /// When the project was last read without mistakes.
    read: Option<Timestamp>,
    due: u64,
    missed: u64,
    /// Instants and events by what came of them.
    instants: BTreeMap<&'static str, u64>,
    /// Runs by how they ended.
    ended: BTreeMap<&'static str, u64>,
    /// Events by trigger and what came of them.
    events: BTreeMap<(String, &'static str), u64>,
    lag: Histogram,
    /// Runs whose start has been seen: one that is taken up again is not late.
    begun: BTreeSet<String>,
    jumps: u64,
    trouble: u64,
    /// Jobs that this engine watches.
    watched: usize,
    /// How often it was said of Jobs how it stands with them.
    placed: BTreeMap<&'static str, u64>,
    runs: Option<(Instant, BTreeMap<&'static str, u64>)>,
}

#[derive(Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    sum: f64,
    count: u64,
}

impl Histogram {
    fn observe(&mut self, seconds: f64) {
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
        self.sum += seconds;
        self.count += 1;
    }
}

impl Metrics {
    /// Hears what the service tells, and when.
    pub fn hear(&self, told: &Told, now: Timestamp) {
        let mut known = self.lock();
        match told {
            Told::Alive(beat) => known.beat = Some((*beat, Instant::now())),
            Told::Due(launch) => {
                known.due += 1;
                known.begun.insert(launch.run.clone());
            }
            Told::Started(launch) => {
                *known.instants.entry("started").or_default() += 1;
                if known.begun.remove(&launch.run) {
                    let lag = now.duration_since(launch.schedule.start_of(launch.instant)).as_secs_f64();
                    known.lag.observe(lag.max(0.0));
                }
            }
            Told::NotStarted(record, _) => {
                let why = record.why();
                known.missed += u64::from(why.is_some_and(aegis_scheduler::Why::is_missed));
                *known.instants.entry(why.map_or("refused", aegis_scheduler::Why::word)).or_default() += 1;
            }
            Told::Ended(_, verdict) => *known.ended.entry(word(*verdict)).or_default() += 1,
            Told::Jumped(_) => known.jumps += 1,
            Told::Trouble(_) => known.trouble += 1,
            _ => {}
        }
    }

    /// What became of an event.
    pub fn event(&self, trigger: &str, came: &Answer) {
        let outcome = match came {
            Answer::Known(_) => "known",
            Answer::Decided(Record { outcome: Outcome::Started { .. }, .. }) => "started",
            Answer::Decided(Record { outcome: Outcome::Waiting, .. }) => "waiting",
            Answer::Decided(Record { outcome: Outcome::NotStarted { why }, .. }) => why.word(),
        };
        *self.lock().events.entry((trigger.to_owned(), outcome)).or_default() += 1;
    }

    /// The project was read: so many of its files have mistakes.
    pub fn read(&self, refused: usize, now: Timestamp) {
        let mut known = self.lock();
        known.refused = refused;
        if refused == 0 {
            known.read = Some(now);
        }
    }

    /// Jobs that this engine watches.
    pub fn set_watched(&self, watched: usize) {
        self.lock().watched = watched;
    }

    /// It was said how it stands with a Job.
    pub fn placed(&self, placement: Placement) {
        *self.lock().placed.entry(placement.word()).or_default() += 1;
    }

    /// Whether the loop goes round.
    #[must_use]
    pub fn lives(&self) -> bool {
        self.lock().beat.is_some_and(|(_, at)| at.elapsed() < STUCK)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything, as Prometheus reads it.
    ///
    /// # Errors
    /// When the runs cannot be counted.
    pub fn text(&self, journals: &dyn Store) -> Result<String, StoreError> {
        let alive = self.lives();
        let mut known = self.lock();
        if known.runs.as_ref().is_none_or(|(at, _)| at.elapsed() > COUNTED) {
            let mut runs: BTreeMap<&'static str, u64> = BTreeMap::new();
            for run in journals.runs()? {
                *runs.entry(run.status.word()).or_default() += 1;
            }
            known.runs = Some((Instant::now(), runs));
        }
        let mut page = Page::default();
        page.one(
            "aegis_scheduler_alive",
            "gauge",
            "1 as long as the loop goes round.",
            float(u64::from(alive)),
        );
        known.beat(&mut page);
        known.counts(&mut page);
        Ok(page.text)
    }
}

impl Known {
    fn beat(&self, page: &mut Page) {
        let Some((beat, _)) = self.beat else { return };
        let number = |count: usize| float(count as u64);
        let seconds = |at: Timestamp| at.as_duration().as_secs_f64();
        page.one(
            "aegis_scheduler_last_tick_timestamp_seconds",
            "gauge",
            "When the loop last went round.",
            seconds(beat.at),
        );
        page.one(
            "aegis_scheduler_leads",
            "gauge",
            "1 where this engine decides on instants.",
            number(usize::from(beat.leads)),
        );
        page.one(
            "aegis_scheduler_schedules",
            "gauge",
            "Schedules and triggers that are served.",
            number(beat.schedules),
        );
        page.one(
            "aegis_scheduler_runs_executing",
            "gauge",
            "Runs that execute here.",
            number(beat.executing),
        );
        page.one(
            "aegis_scheduler_runs_parked",
            "gauge",
            "Runs that wait for people or their turn.",
            number(beat.parked),
        );
        page.one(
            "aegis_scheduler_instants_waiting",
            "gauge",
            "Instants that wait for the run before them.",
            number(beat.waiting),
        );
        if let Some(next) = beat.next {
            page.one(
                "aegis_scheduler_next_due_timestamp_seconds",
                "gauge",
                "When something is due next.",
                seconds(next),
            );
        }
    }

    fn counts(&self, page: &mut Page) {
        page.one(
            "aegis_scheduler_files_refused",
            "gauge",
            "Files with schedules that cannot be used.",
            float(self.refused as u64),
        );
        page.one(
            "aegis_scheduler_last_reload_successful",
            "gauge",
            "1 when the project had no mistakes when it was last read; what has them stands as it was.",
            float(u64::from(self.refused == 0)),
        );
        if let Some(read) = self.read {
            page.one(
                "aegis_scheduler_last_reload_success_timestamp_seconds",
                "gauge",
                "When the project was last read without mistakes.",
                read.as_duration().as_secs_f64(),
            );
        }
        page.one(
            "aegis_scheduler_due_total",
            "counter",
            "Runs that were promised to an instant or event.",
            float(self.due),
        );
        page.one(
            "aegis_scheduler_missed_total",
            "counter",
            "Instants that should have had a run and have none.",
            float(self.missed),
        );
        let (outcome, verdict) = (labelled("outcome", &self.instants), labelled("verdict", &self.ended));
        page.many(
            "aegis_scheduler_instants_total",
            "counter",
            "Instants and events by what came of them.",
            &outcome,
        );
        page.many("aegis_scheduler_runs_total", "counter", "Runs by how they ended.", &verdict);
        page.one("aegis_jobs", "gauge", "Jobs that this engine watches.", float(self.watched as u64));
        let placed = labelled("placement", &self.placed);
        page.many(
            "aegis_job_placements_total",
            "counter",
            "Times it was said of a Job how it stands with its run.",
            &placed,
        );
        let events: Vec<(String, f64)> = self
            .events
            .iter()
            .map(|((trigger, outcome), count)| {
                (format!("{{trigger=\"{}\",outcome=\"{outcome}\"}}", escaped(trigger)), float(*count))
            })
            .collect();
        page.many(
            "aegis_trigger_events_total",
            "counter",
            "Events from outside by what came of them.",
            &events,
        );
        let runs = self.runs.as_ref().map(|(_, runs)| labelled("status", runs)).unwrap_or_default();
        page.many("aegis_runs", "gauge", "Runs in the journal by how they stand.", &runs);
        self.lag(page);
        page.one("aegis_scheduler_clock_jumps_total", "counter", "Jumps of the clock.", float(self.jumps));
        page.one(
            "aegis_scheduler_trouble_total",
            "counter",
            "Times something could not be written or read.",
            float(self.trouble),
        );
    }

    fn lag(&self, page: &mut Page) {
        let name = "aegis_scheduler_start_lag_seconds";
        page.head(name, "histogram", "How long after their time runs started.");
        for (bucket, bound) in self.lag.buckets.iter().zip(BOUNDS) {
            page.line(&format!("{name}_bucket{{le=\"{bound}\"}}"), float(*bucket));
        }
        page.line(&format!("{name}_bucket{{le=\"+Inf\"}}"), float(self.lag.count));
        page.line(&format!("{name}_sum"), self.lag.sum);
        page.line(&format!("{name}_count"), float(self.lag.count));
    }
}

/// The text as it grows.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, value: f64) {
        let _ = writeln!(self.text, "{name} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        self.line(name, value);
    }

    fn many(&mut self, name: &str, kind: &str, help: &str, values: &[(String, f64)]) {
        self.head(name, kind, help);
        for (labels, value) in values {
            self.line(&format!("{name}{labels}"), *value);
        }
    }
}

fn labelled(label: &str, counts: &BTreeMap<&'static str, u64>) -> Vec<(String, f64)> {
    counts.iter().map(|(word, count)| (format!("{{{label}=\"{word}\"}}"), float(*count))).collect()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[expect(clippy::cast_precision_loss, reason = "a counter beyond 2^53 is far away")]
const fn float(count: u64) -> f64 {
    count as f64
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Succeeded => "succeeded",
        Verdict::Failed => "failed",
        Verdict::Cancelled => "cancelled",
    }
}
