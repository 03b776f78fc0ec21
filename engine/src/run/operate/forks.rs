//! A new run that has everything another one had before a step.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Decider, Desk, stored_error};
use crate::codes;
use crate::error::CallError;
use crate::journal::{Act, Body, Entry, Person, Started};
use crate::run::engine::EngineError;
use crate::run::recorded::{Recorded, is_below, is_of_undo};
use crate::run::stored;
use crate::text::did_you_mean;

impl Desk<'_> {
    /// Makes a new run that has everything the old one had before a step. Resume it to go on from there.
    ///
    /// # Errors
    /// When there is no such step.
    pub fn fork(&self, run: &str, from: &str, by: &Decider<'_>, id: &str) -> Result<String, CallError> {
        let entries = self.entries(run)?;
        let cut = entries.iter().position(|entry| is_step(&entry.body, from)).ok_or_else(|| {
            let names: Vec<&str> = step_names(&entries).collect();
            let hint = did_you_mean(from, names.iter().copied())
                .unwrap_or_else(|| format!("its steps are {}", crate::text::list(&names)));
            CallError::new(codes::NOT_POSSIBLE, format!("`{run}` has no step `{from}`")).hint(hint)
        })?;
        let undone = Recorded::of(&entries).undone;
        let (before, after) = entries.split_at(cut);
        let step = entered_step(&entries[cut]);
        // What the step asks for before it begins is its own.
        let is_own = |entry: &Entry| {
            let call = asked_call(entry).or_else(|| happened_call(entry));
            call.is_some_and(|call| is_below(call, step))
        };
        let (calls, steps) = Recorded::of(before).approved();
        let approved: BTreeSet<String> = calls.into_iter().chain(steps).collect();
        let asked: BTreeSet<&str> = before.iter().filter_map(asked_call).collect();
        // What another branch had begun before may have come to its end later.
        let late = after.iter().filter(|entry| happened_call(entry).is_some_and(|call| asked.contains(call)));
        let bodies = before
            .iter()
            .chain(late)
            .filter(|entry| !settles(entry, &approved) && !is_own(entry))
            .filter_map(|entry| copied(entry, run, from, by.person, &undone));
        let mut bodies: Vec<(Timestamp, Body)> = bodies.collect();
        let sources = stored::sources(self.store, &entries).map_err(|error| match error {
            EngineError::Call(error) => error,
            EngineError::Problems(problems) => CallError::new(codes::SYNTAX, problems.to_string()),
        })?;
        let texts = sources.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        let hashes = self.store.keep_texts(&texts).map_err(|error| stored_error(&error))?;
        if let Some((_, Body::Started(started))) = bodies.first_mut() {
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

fn asked_call(entry: &Entry) -> Option<&str> {
    match &entry.body {
        Body::Asked { call, .. } => Some(call),
        _ => None,
    }
}

fn happened_call(entry: &Entry) -> Option<&str> {
    match &entry.body {
        Body::Happened { call, .. } => Some(call),
        _ => None,
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
fn copied(
    entry: &Entry,
    run: &str,
    from: &str,
    person: &Person,
    undone: &BTreeSet<String>,
) -> Option<(Timestamp, Body)> {
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
        Body::Asked { call, .. } | Body::Happened { call, .. } if undone.contains(call) => return None,
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
