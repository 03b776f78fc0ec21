//! A run as a moving picture, for a terminal: what is under way has a spinner, its age and its progress; what
//! is done becomes a plain line above.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aegis_engine::journal::{Body, Entry};
use aegis_engine::run::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::plain::{Plain, indent};

/// How often spinners turn.
const TICK: Duration = Duration::from_millis(120);

/// The picture.
pub(crate) struct Live {
    bars: MultiProgress,
    under_way: Mutex<BTreeMap<String, ProgressBar>>,
    lines: Plain,
    colour: bool,
}

impl Live {
    /// An empty one on stderr.
    pub(crate) fn new(colour: bool) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { bars, under_way: Mutex::default(), lines: Plain::default(), colour }
    }

    /// Shows one event.
    pub(crate) fn show(&self, event: &Event) {
        match event {
            Event::Recorded(entry) => self.learn(entry),
            Event::Progress { call, text } => {
                if let Some(bar) = self.under_way().get(call) {
                    bar.set_message(text.clone());
                }
            }
        }
    }

    /// Lets a person be asked without spinners running over it.
    pub(crate) fn pause<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.bars.suspend(ask)
    }

    /// Takes the picture off the screen; the lines stay.
    pub(crate) fn close(&self) {
        for bar in std::mem::take(&mut *self.under_way()).into_values() {
            bar.finish_and_clear();
        }
        let _ = self.bars.clear();
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, ProgressBar>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, entry: &Entry) {
        match &entry.body {
            Body::Entered { step, name, .. } => self.begin(step, name),
            Body::Asked { call, summary, function, .. } => {
                self.begin(call, if summary.is_empty() { function } else { summary });
            }
            Body::Left { step, .. } => self.end(step),
            Body::Happened { call, .. } => self.end(call),
            _ => {}
        }
        if let Some(line) = self.lines.line(&entry.body) {
            // A beginning is shown by its spinner.
            if !matches!(entry.body, Body::Entered { .. }) {
                let _ = self.bars.println(self.painted(line));
            }
        }
    }

    fn begin(&self, key: &str, text: &str) {
        let template = format!("{}{{spinner}} {{prefix}}  {{elapsed}}  {{msg}}", indent(key));
        let style =
            ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = self.bars.add(ProgressBar::new_spinner().with_style(style).with_prefix(text.to_owned()));
        bar.enable_steady_tick(TICK);
        if let Some(earlier) = self.under_way().insert(key.to_owned(), bar) {
            earlier.finish_and_clear();
        }
    }

    fn end(&self, key: &str) {
        if let Some(bar) = self.under_way().remove(key) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }

    /// The word of an end in its colour; the word alone says the same.
    fn painted(&self, line: String) -> String {
        let blanks = line.len() - line.trim_start().len();
        let word = line.trim_start().split(' ').next().unwrap_or_default().to_owned();
        let code = match word.as_str() {
            "ok" => "32",
            "FAILED" => "31",
            "UNKNOWN" | "waiting" => "33",
            "skipped" => "2",
            _ => return line,
        };
        if !self.colour {
            return line;
        }
        let rest = &line[blanks + word.len()..];
        format!("{}\u{1b}[{code}m{word}\u{1b}[0m{rest}", &line[..blanks])
    }
}
