//! A new run that has everything another one had before a step.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::outcomes::half_undone;
use super::{Decider, Desk, stored_error};
use crate::codes;
use crate::error::CallError;
use crate::journal::{Act, Body, Entry, Person, Started};
use crate::run::engine::EngineError;
use crate::run::recorded::{BEFORE, Recorded, UNDO_WITH, above, is_below, is_of_undo};
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
        let step = meant(&entries, from).ok_or_else(|| {
            let names: Vec<&str> = step_names(&entries).collect();
            let hint = did_you_mean(from, names.iter().copied())
                .unwrap_or_else(|| format!("its steps are {}", crate::text::list(&names)));
            CallError::new(codes::NOT_POSSIBLE, format!("`{run}` has no step `{from}`")).hint(hint)
        })?;
        let recorded = Recorded::of(&entries);
        if let Some(call) = recorded.half_undone().min() {
            return Err(half_undone(run, call));
        }
        let left_out = LeftOut::of(&recorded, step);
        let kept: Vec<Entry> = entries.iter().filter(|entry| !left_out.holds(&entry.body)).cloned().collect();
        let (calls, steps) = Recorded::of(&kept).approved();
        let mut approved: BTreeSet<String> = calls.into_iter().chain(steps).collect();
        approved.extend(locks(&kept));
        let owed = owed(&kept, step);
        let bodies = kept
            .iter()
            .filter(|entry| !settles(entry, &approved))
            .filter_map(|entry| copied(entry, run, from, by.person, &owed));
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
    /// What the script does behind it.
    behind: BTreeSet<String>,
    /// What was taken back.
    gone: BTreeSet<String>,
}

impl<'a> LeftOut<'a> {
    fn of(recorded: &Recorded, step: &'a str) -> Self {
        let around: BTreeSet<&str> = above(step).collect();
        let behind = recorded.followed_from(step).into_iter();
        let behind: BTreeSet<String> = behind.filter(|key| !around.contains(key.as_str())).collect();
        let gone = recorded.not_there(&behind);
        Self { step, around, behind, gone }
    }

    fn holds(&self, body: &Body) -> bool {
        match body {
            Body::Entered { step: key, attempt, .. } => self.is_own(key) || self.is_later(key, *attempt),
            Body::Left { step: key, attempt, last: false, .. } => {
                self.is_own(key) || self.is_later(key, attempt + 1)
            }
            Body::Left { step: key, .. } => {
                self.is_own(key) || self.around.contains(key.as_str()) || self.gone.contains(key)
            }
            Body::Asked { call: key, .. }
            | Body::Happened { call: key, .. }
            | Body::Noted { note: key, .. }
            | Body::Decided { act: Act::Skip { key } | Act::MarkDone { key, .. }, .. } => {
                self.is_own(key) || self.gone.contains(key)
            }
            _ => false,
        }
    }

    /// True for the step, what it did, and what comes behind it: siblings, and later attempts of the steps around it.
    fn is_own(&self, key: &str) -> bool {
        let of_a_later_attempt = |around: &&str| {
            key.strip_prefix(*around).and_then(attempt).is_some_and(|attempt| self.is_later(around, attempt))
        };
        key == self.step
            || is_below(key, self.step)
            || self.behind.contains(key)
            || self.around.iter().any(of_a_later_attempt)
    }

    /// True for attempts of a step around it behind the one that it is in.
    fn is_later(&self, around: &str, of: u32) -> bool {
        self.around.contains(around) && of > attempt(&self.step[around.len()..]).unwrap_or(1)
    }
}

/// The attempt that the rest of a place begins with: `@3/...`.
fn attempt(rest: &str) -> Option<u32> {
    let digits = rest.strip_prefix('@')?;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The step that is meant: the first of that name, in the last attempt that came to it.
fn meant<'a>(entries: &'a [Entry], from: &str) -> Option<&'a str> {
    let first = entries.iter().find(|entry| is_step(&entry.body, from))?;
    let place = in_any_attempt(entered_step(first));
    let same = |entry: &&Entry| is_step(&entry.body, from) && in_any_attempt(entered_step(entry)) == place;
    entries.iter().rev().find(same).map(entered_step)
}

/// A place without the attempts that it is in.
fn in_any_attempt(key: &str) -> String {
    let without = |part: &str| match part.rsplit_once('@') {
        Some((name, attempt)) if name.contains('#') && attempt.parse::<u32>().is_ok() => name.to_owned(),
        _ => part.to_owned(),
    };
    key.split('/').map(without).collect::<Vec<_>>().join("/")
}

/// What takes and gives back locks, and the steps around it: the fork takes them itself.
fn locks(kept: &[Entry]) -> BTreeSet<String> {
    let taken = kept.iter().filter_map(|entry| match &entry.body {
        Body::Asked { call, function, .. } if function.starts_with("lock::") => Some(call),
        _ => None,
    });
    taken.flat_map(|call| above(call).chain([call.as_str()])).map(ToOwned::to_owned).collect()
}

/// The inverses of the script that cover what a fork does as well: it owes them, too.
fn owed<'a>(kept: &'a [Entry], step: &str) -> BTreeSet<&'a str> {
    let mut last = BTreeMap::new();
    for entry in kept {
        if let Body::Asked { call, frame, function, .. } = &entry.body
            && function == UNDO_WITH
            && is_below(step, frame.strip_suffix(BEFORE).unwrap_or(frame))
        {
            last.insert(frame.as_str(), call.as_str());
        }
    }
    last.into_values().collect()
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

/// True for an answer of people, a lock, and the end of a step with one inside: a fork is another run, and asks again.
fn settles(entry: &Entry, approved: &BTreeSet<String>) -> bool {
    match &entry.body {
        Body::Happened { call: key, .. } | Body::Left { step: key, last: true, .. } => approved.contains(key),
        _ => false,
    }
}

/// An entry as a fork takes it over. Its effects stay the old run's to undo, but for those that are owed.
fn copied(
    entry: &Entry,
    run: &str,
    from: &str,
    person: &Person,
    owed: &BTreeSet<&str>,
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
        Body::Asked { call, .. } if !owed.contains(call.as_str()) => {
            let mut asked = entry.body.clone();
            if let Body::Asked { undo, .. } = &mut asked {
                *undo = None;
            }
            asked
        }
        Body::Asked { .. }
        | Body::Happened { .. }
        | Body::Entered { .. }
        | Body::Left { .. }
        | Body::Noted { .. } => entry.body.clone(),
        Body::Decided { act: Act::Skip { .. } | Act::MarkDone { .. } | Act::Retry { .. }, .. } => {
            entry.body.clone()
        }
        _ => return None,
    };
    Some((entry.at, body))
}
