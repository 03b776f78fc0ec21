//! What people are told through the channels of a schedule's target: runs that were missed, refused, failed, or wait
//! for somebody. What comes within a few seconds is one message.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use aegis_engine::journal::{Person, Verdict};
use aegis_engine::run::{Mode, Occasion, Start};
use aegis_engine::runbook::{Runbook, Sources};
use aegis_engine::text::count;
use aegis_scheduler::service::Told;
use serde_json::Value;

use super::runs::Runs;
use crate::view::failure::Failure;
use crate::view::say;

const RUNBOOK: &str = include_str!("notice.rhai");

/// How long more is waited for before a message goes out.
const GATHERED: Duration = Duration::from_secs(2);

/// Lines of one message; more are counted.
const MOST: usize = 20;

/// A line for the people of a target.
struct Line {
    target: Option<String>,
    text: String,
}

/// Tells people, on a thread of its own.
pub(super) struct Notices {
    lines: Option<Sender<Line>>,
}

impl Notices {
    /// To one channel of each target; without a name to nobody.
    pub(super) fn start(runs: &Arc<Runs>, channel: &str) -> Self {
        if channel.is_empty() {
            return Self { lines: None };
        }
        let (sender, receiver) = mpsc::channel();
        let (runs, channel) = (Arc::clone(runs), channel.to_owned());
        let work = move || deliver(&runs, &channel, &receiver);
        let started = std::thread::Builder::new().name("notices".to_owned()).spawn(work);
        Self { lines: started.is_ok().then_some(sender) }
    }

    pub(super) fn hear(&self, told: &Told) {
        let (Some(lines), Some(line)) = (&self.lines, line(told)) else { return };
        let _ = lines.send(line);
    }
}

fn line(told: &Told) -> Option<Line> {
    match told {
        Told::NotStarted(record) => {
            let why = record.why().filter(|why| why.is_missed())?;
            let text = format!(
                "{} of {}: not started, {}: {}",
                record.schedule,
                record.instant,
                why.word(),
                record.note
            );
            Some(Line { target: None, text })
        }
        Told::Paused(schedule, pause) => {
            Some(Line { target: None, text: format!("{schedule}: paused, {}", pause.reason) })
        }
        Told::Ended(launch, Verdict::Failed) => Some(Line {
            target: Some(launch.schedule.target.to_string()),
            text: format!(
                "{} of {}: failed: aegis show {}",
                launch.schedule.name, launch.instant, launch.run
            ),
        }),
        Told::Waiting(launch) => Some(Line {
            target: Some(launch.schedule.target.to_string()),
            text: format!(
                "{} of {}: waits for a person: aegis show {}",
                launch.schedule.name, launch.instant, launch.run
            ),
        }),
        _ => None,
    }
}

fn deliver(runs: &Arc<Runs>, channel: &str, lines: &Receiver<Line>) {
    while let Ok(first) = lines.recv() {
        let mut gathered: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut next = Some(first);
        while let Some(line) = next {
            let target = line.target.unwrap_or_else(|| runs.context.settings.config.target.clone());
            gathered.entry(target).or_default().push(line.text);
            next = lines.recv_timeout(GATHERED).ok();
        }
        for (target, texts) in gathered {
            if let Err(failure) = tell(runs, channel, &target, &texts) {
                say(&format!("trouble: people of `{target}` could not be told: {failure:?}"));
            }
        }
    }
}

/// One message, as a run of its own.
fn tell(runs: &Runs, channel: &str, target: &str, lines: &[String]) -> Result<(), Failure> {
    let config = runs.context.settings.config.target(target)?;
    if !config.sandbox && !config.notify.contains_key(channel) {
        return Ok(());
    }
    let runbook = Runbook::from_sources(Sources::new("notice.rhai", RUNBOOK))?;
    let title = format!("aegis: {} about schedules", count(lines.len(), "notice"));
    let mut message = lines.iter().take(MOST).cloned().collect::<Vec<_>>().join("\n");
    if lines.len() > MOST {
        message.push_str(&format!("\nand {} more: aegis schedule history", lines.len() - MOST));
    }
    let given: BTreeMap<String, Value> = [("channel", channel), ("title", &title), ("message", &message)]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect();
    let params = runbook.header.bind(&given, &runs.context.environment).map_err(|diagnostics| {
        aegis_engine::diagnostic::Problems { diagnostics, sources: runbook.sources.clone() }
    })?;
    let (mut execution, _) = runs.context.execution(target, Some(&runbook), Arc::new(|_| {}), false)?;
    execution.person = Person("scheduler".to_owned());
    let project = runs.context.project.clone();
    let name = "notice".to_owned();
    let start = Start { runbook, name, project, params, mode: Mode::Run, occasion: Occasion::default() };
    let conclusion = runs.engine.start(start, execution)?.wait();
    if conclusion.verdict != Some(Verdict::Succeeded) {
        say(&format!("trouble: people of `{target}` were not told: aegis show {}", conclusion.run));
    }
    Ok(())
}
