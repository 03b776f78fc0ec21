//! A new run that has everything another one had before a step.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::outcomes::half_undone;
use super::{Decider, Desk, stored_error};
use crate::codes;
use crate::error::CallError;
use crate::journal::{Act, Body, Entry, Person, Started};
use crate::run::engine::EngineError;
use crate::run::recorded::{Recorded, above, is_below, is_of_undo};
use crate::run::stored;
use crate::text::did_you_mean;

impl Desk<'_> {
    /// Makes a new run that has everything of the old one but a step and what the script does behind it; branches beside
    /// it stay. What was taken back is made again. Resume it to go on from there.
    ///
    /// # Errors
    /// When there is no such step, or the run is taken back in part.
    pub fn fork(&self, run: &str, from: &str, by: &Decider<'_>, id: &str) -> Result<String, CallError> {
        let entries = self.entries(run)?;
        let step = entries.iter().find(|entry| is_step(&entry.body, from)).ok_or_else(|| {
            let names: Vec<&str> = step_names(&entries).collect();
            let hint = did_you_mean(from, names.iter().copied())
                .unwrap_or_else(|| format!("its steps are {}", crate::text::list(&names)));
            CallError::new(codes::NOT_POSSIBLE, format!("`{run}` has no step `{from}`")).hint(hint)
        })?;
        let recorded = Recorded::of(&entries);
        if let Some(call) = recorded.half_undone().min() {
            return Err(half_undone(run, call));
        }
        let left_out = LeftOut::of(&recorded, entered_step(step));
        let kept: Vec<Entry> = entries.iter().filter(|entry| !left_out.holds(&entry.body)).cloned().collect();
        let (calls, steps) = Recorded::of(&kept).approved();
        let approved: BTreeSet<String> = calls.into_iter().chain(steps).collect();
        let bodies = kept
            .iter()
            .filter(|entry| !settles(entry, &approved))
            .filter_map(|entry| copied(entry, run, from, by.person));
        let mut bodies: Vec<(Timestamp, Body)> = bodies.collect();
        let sources = stored::sources(self.store, &entries).map_err(|error| match error {
            EngineError::Call(error) => error,
            EngineError::Problems(problems) => CallError::new(codes::SYNTAX, problems.to_string()),
        })?;
        let texts = sources.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        let hashes = self.store.keep_texts(&texts).map_err(|error| stored_error(&error))?;
        if let Some((at, Body::Started(started))) = bodies.first_mut() {
            *at = self.clock.now();
            started.sources = hashes;
        }
        self.store.append(id, &bodies).map_err(|error| stored_error(&error))?;
        Ok(id.to_owned())
    }
}

fn entered_step(entry: &Entry) -> &str {
    match &entry.body {
        Body::Entered { step, .. } => step,
        _ => "",
    }
}

/// What a fork does itself.
struct LeftOut<'a> {
    /// The step it begins with.
    step: &'a str,
    /// The steps and blocks around it: they are entered, and not over.
    around: BTreeSet<&'a str>,
    /// What the script does behind it, and what was taken back.
    again: BTreeSet<String>,
}

impl<'a> LeftOut<'a> {
    fn of(recorded: &Recorded, step: &'a str) -> Self {
        let mut again: BTreeSet<String> = recorded.followed_from(step).into_iter().collect();
        again.extend(recorded.not_there(&again));
        Self { step, around: above(step).collect(), again }
    }

    fn holds(&self, body: &Body) -> bool {
        match body {
            Body::Entered { step: key, .. } | Body::Left { step: key, last: false, .. } => {
                !self.around.contains(key.as_str()) && self.has(key)
            }
            Body::Asked { call: key, .. }
            | Body::Happened { call: key, .. }
            | Body::Noted { note: key, .. }
            | Body::Left { step: key, .. }
            | Body::Decided { act: Act::Skip { key } | Act::MarkDone { key, .. }, .. } => self.has(key),
            _ => false,
        }
    }

    fn has(&self, key: &str) -> bool {
        key == self.step || is_below(key, self.step) || self.again.contains(key)
    }
}

fn is_step(body: &Body, what: &str) -> bool {
    matches!(body, Body::Entered { step, name, .. } if step == what || name == what)
}

fn step_names(entries: &[Entry]) -> impl Iterator<Item = &str> {
    entries.iter().filter_map(|entry| match &entry.body {
        Body::Entered { name, .. } => Some(name.as_str()),
        _ => None,
    })
}

/// True for an answer of people, and for the end of a step that asked them: a fork is another run, and asks again.
fn settles(entry: &Entry, approved: &BTreeSet<String>) -> bool {
    match &entry.body {
        Body::Happened { call: key, .. } | Body::Left { step: key, last: true, .. } => approved.contains(key),
        _ => false,
    }
}

/// An entry as a fork takes it over. Its effects stay the old run's to undo.
fn copied(entry: &Entry, run: &str, from: &str, person: &Person) -> Option<(Timestamp, Body)> {
    let body = match &entry.body {
        Body::Started(started) => Body::Started(Started {
            forked: Some((run.to_owned(), from.to_owned())),
            scheduled: None,
            person: person.clone(),
            ..started.clone()
        }),
        Body::Asked { call: key, .. }
        | Body::Happened { call: key, .. }
        | Body::Entered { step: key, .. }
        | Body::Left { step: key, .. }
        | Body::Noted { note: key, .. }
            if is_of_undo(key) =>
        {
            return None;
        }
        Body::Asked { .. } => {
            let mut asked = entry.body.clone();
            if let Body::Asked { undo, .. } = &mut asked {
                *undo = None;
            }
            asked
        }
        Body::Happened { .. } | Body::Entered { .. } | Body::Left { .. } | Body::Noted { .. } => {
            entry.body.clone()
        }
        Body::Decided { act: Act::Skip { .. } | Act::MarkDone { .. } | Act::Retry { .. }, .. } => {
            entry.body.clone()
        }
        _ => return None,
    };
    Some((entry.at, body))
}
