//! A run as a moving picture, for a terminal: what is under way has a spinner, its age and its progress below
//! what it is part of; what is done becomes a plain line above.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aegis_engine::journal::{Body, Entry};
use aegis_engine::run::Event;
use aegis_engine::text::printable;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::margin::Margin;
use super::plain::{Plain, indent};
use super::say;

/// How often spinners turn.
const TICK: Duration = Duration::from_millis(120);

/// How often the screen is drawn in a second at most.
const DRAWN: u8 = 20;

/// The picture.
pub(crate) struct Live {
    bars: MultiProgress,
    under_way: Mutex<Vec<Moving>>,
    /// How far calls are: a read tells that before the journal has its beginning.
    progress: Mutex<BTreeMap<String, String>>,
    lines: Plain,
    colour: bool,
}

/// Something under way, in the order of the screen.
struct Moving {
    key: String,
    label: String,
    bar: ProgressBar,
}

impl Live {
    /// An empty one on stderr.
    pub(crate) fn new(colour: bool) -> Self {
        let bars = MultiProgress::with_draw_target(screen());
        Self {
            bars,
            under_way: Mutex::default(),
            progress: Mutex::default(),
            lines: Plain::default(),
            colour,
        }
    }

    /// Remembers what earlier processes recorded; what they left open moves again.
    pub(crate) fn know(&self, entries: &[Entry]) {
        self.lines.know(entries);
        let mut open = BTreeMap::new();
        for entry in entries {
            match &entry.body {
                Body::Left { step: key, .. } | Body::Happened { call: key, .. } => {
                    open.remove(key);
                }
                body => open.extend(begun(body)),
            }
        }
        open.iter().for_each(|(key, label)| self.begin(key, label));
    }

    /// Shows one event.
    pub(crate) fn show(&self, event: &Event) {
        match event {
            Event::Recorded(entry) => self.learn(entry),
            Event::Progress { call, text, .. } => {
                self.progress().insert(call.clone(), text.clone());
                if let Some(moving) = self.under_way().iter().find(|moving| moving.key == *call) {
                    let told = format!("{}  {text}", moving.label);
                    moving.bar.set_message(printable(&told).replace('\n', " "));
                }
            }
        }
    }

    /// Writes a line above what moves.
    pub(crate) fn say(&self, line: &str) {
        self.bars.suspend(|| say(line));
    }

    /// Lets a person be asked without spinners running over it.
    pub(crate) fn pause<T>(&self, ask: impl FnOnce() -> T) -> T {
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
        let answer = ask();
        self.bars.set_draw_target(screen());
        answer
    }

    /// Takes the picture off the screen; the lines stay.
    pub(crate) fn close(&self) {
        for moving in std::mem::take(&mut *self.under_way()) {
            moving.bar.finish_and_clear();
        }
        let _ = self.bars.clear();
    }

    fn progress(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, Vec<Moving>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, entry: &Entry) {
        match &entry.body {
            Body::Left { step: key, .. } | Body::Happened { call: key, .. } => self.end(key),
            body => {
                if let Some((key, label)) = begun(body) {
                    self.begin(&key, &label);
                }
            }
        }
        if let Some(line) = self.lines.line(&entry.body) {
            // A beginning is shown by its spinner.
            if !matches!(entry.body, Body::Entered { .. }) {
                self.say(&painted(line, self.colour));
            }
        }
    }

    fn begin(&self, key: &str, label: &str) {
        let told =
            self.progress().get(key).map_or_else(|| label.to_owned(), |told| format!("{label}  {told}"));
        self.end(key);
        // The message ends at the edge of the screen, so that everything under way has one line.
        let template = format!("{}{{spinner}} {{elapsed:>3}}  {{wide_msg}}", indent(key));
        let style =
            ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar =
            ProgressBar::new_spinner().with_style(style).with_message(printable(&told).replace('\n', " "));
        let mut under_way = self.under_way();
        let place = place_of(&under_way, key);
        let bar = match place.checked_sub(1) {
            Some(before) => self.bars.insert_after(&under_way[before].bar, bar),
            None => self.bars.insert(0, bar),
        };
        bar.enable_steady_tick(TICK);
        under_way.insert(place, Moving { key: key.to_owned(), label: label.to_owned(), bar });
    }

    fn end(&self, key: &str) {
        self.progress().remove(key);
        let mut under_way = self.under_way();
        if let Some(index) = under_way.iter().position(|moving| moving.key == key) {
            let moving = under_way.remove(index);
            moving.bar.finish_and_clear();
            self.bars.remove(&moving.bar);
        }
    }
}

/// Behind the last that is part of the same, or at the end.
fn place_of(under_way: &[Moving], key: &str) -> usize {
    let Some(parent) = under_way.iter().rfind(|moving| is_part(key, &moving.key)) else {
        return under_way.len();
    };
    under_way
        .iter()
        .rposition(|moving| moving.key == parent.key || is_part(&moving.key, &parent.key))
        .map_or(0, |last| last + 1)
}

/// Places are paths: `/deploy#0` has the parts `/deploy#0/k8s::apply#0`, `/deploy#0@2/...`, `/each#0[3]/...`.
fn is_part(key: &str, whole: &str) -> bool {
    key.strip_prefix(whole).is_some_and(|rest| rest.starts_with(['/', '@', '[', '~']))
}

/// Where it is drawn.
fn screen() -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(Margin::stderr()), DRAWN)
}

/// Key and label of what begins with an entry.
fn begun(body: &Body) -> Option<(String, String)> {
    match body {
        Body::Entered { step, name, .. } => Some((step.clone(), name.clone())),
        Body::Asked { call, summary, function, .. } => {
            Some((call.clone(), if summary.is_empty() { function } else { summary }.clone()))
        }
        _ => None,
    }
}

/// The word of an end in its colour; the word alone says the same.
fn painted(line: String, colour: bool) -> String {
    let text = line.trim_start();
    // Behind its branch.
    let text = text.strip_prefix('[').and_then(|rest| rest.split_once("] ")).map_or(text, |(_, text)| text);
    let blanks = line.len() - text.len();
    let word = text.split(' ').next().unwrap_or_default().to_owned();
    let code = match word.as_str() {
        "ok" => "32",
        "FAILED" => "31",
        "UNKNOWN" | "waiting" => "33",
        "skipped" => "2",
        _ => return line,
    };
    if !colour {
        return line;
    }
    let rest = &line[blanks + word.len()..];
    format!("{}\u{1b}[{code}m{word}\u{1b}[0m{rest}", &line[..blanks])
}
