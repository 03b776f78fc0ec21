//! What a person changed in the script of a run to no effect: a step that is over is not run again when the run goes
//! on, so an edit inside it does nothing. The engine accepts such edits; whoever made one is told.

use std::collections::{BTreeMap, BTreeSet};

use super::operate::retried;
use super::recorded::{Recorded, RecordedStep, above};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::journal::{Body, Entry, Outcome, Place, Store};
use crate::runbook::{Block, Sources, blocks};
use crate::text::list;

/// The name of a parallel block in the journal.
const PARALLEL: &str = "parallel";

/// Where a step stood in which text, and those of its kind that are over: name and what it came to.
type Over = BTreeMap<(String, Place), Vec<(String, Outcome)>>;

/// A warning for each step and parallel block that is over and reads otherwise in the current texts. Texts that are
/// missing are compared with nothing. `retry`: what a retry performs again is not over.
pub fn without_effect(
    store: &dyn Store,
    run: &str,
    entries: &[Entry],
    current: &Sources,
    retry: bool,
) -> Vec<Diagnostic> {
    let forget = if retry { retried(run, entries).unwrap_or_default() } else { Vec::new() };
    let recorded = Recorded::of(entries).without(&forget);
    let mut texts: BTreeMap<String, Vec<Block>> = BTreeMap::new();
    let mut now: BTreeMap<String, Vec<Block>> = BTreeMap::new();
    let mut found = Vec::new();
    for ((hash, place), over) in over(entries, &recorded) {
        let source = if place.source.is_empty() { current.main() } else { &place.source };
        let Some(text) = current.text(source) else { continue };
        let then = texts
            .entry(hash.clone())
            .or_insert_with(|| store.text(&hash).map(|text| blocks(&text)).unwrap_or_default());
        let now = now.entry(source.to_owned()).or_insert_with(|| blocks(text));
        let Some(written) = then.iter().find(|block| stands_at(block, &place)) else { continue };
        let Some(edited) = now.iter().find(|block| block.path == written.path) else { continue };
        if edited.tokens != written.tokens {
            let part = if edited.body() == written.body() { "options" } else { "body" };
            found.push(told(run, &over, part).at(current.place(source, edited.position)));
        }
    }
    found.sort_by(|one, other| one.place.cmp(&other.place));
    found.dedup();
    found
}

/// What is over and has nothing around it that is over as well, by where it was written.
fn over(entries: &[Entry], recorded: &Recorded) -> Over {
    // Another script asks again what was approved inside of these: they are entered again.
    let (_, entered_again) = recorded.approved();
    let over = |key: &String| {
        let step = recorded.steps.get(key).filter(|_| !entered_again.contains(key));
        step.and_then(|step: &RecordedStep| step.left.clone())
    };
    let keys: BTreeSet<&str> =
        recorded.steps.keys().filter(|key| over(key).is_some()).map(String::as_str).collect();
    let outermost = |key: &str| above(key).all(|around| !keys.contains(around));
    let (mut hashes, mut main) = (&BTreeMap::new(), "");
    let mut places = BTreeMap::new();
    for entry in entries {
        match &entry.body {
            Body::Started(started) => (hashes, main) = (&started.sources, &started.main),
            Body::Resumed { sources: Some(sources), .. } => hashes = sources,
            Body::Entered { step, name, place, .. } if keys.contains(step.as_str()) && outermost(step) => {
                let source = if place.source.is_empty() { main } else { &place.source };
                let hash = hashes.get(source).cloned().unwrap_or_default();
                places.insert(step.clone(), (hash, place.clone(), name.clone()));
            }
            _ => {}
        }
    }
    let mut found = Over::new();
    for (key, (hash, place, name)) in places {
        let outcome = over(&key).map(|(outcome, _)| (name, outcome));
        found.entry((hash, place)).or_default().extend(outcome);
    }
    found
}

fn stands_at(block: &Block, place: &Place) -> bool {
    (block.position.line(), block.position.position()) == (Some(place.line), Some(place.column))
}

fn told(run: &str, over: &[(String, Outcome)], part: &str) -> Diagnostic {
    let mut names: Vec<&str> = over.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let outcome = over.first().map(|(_, outcome)| outcome);
    let ended = match outcome {
        Some(Outcome::Skipped(_)) => "left out",
        Some(Outcome::Failed(_) | Outcome::Unknown(_)) => "over, it failed",
        Some(Outcome::Ok(_)) | None => "done",
    };
    let subject = match names.as_slice() {
        [PARALLEL] => format!("the parallel block is {ended}; the change in its"),
        [name] => format!("step `{name}` is {ended}; the change in its"),
        names if names.len() <= 4 => format!("steps {} are {ended}; the change in their", list(names)),
        names => {
            format!("{} steps, `{}` among them, are {ended}; the change in their", names.len(), names[0])
        }
    };
    let again = names.first().filter(|name| **name != PARALLEL).map(|name| {
        format!("`aegis fork {run} --from '{name}' --script current` runs it as it is now, in a new run")
    });
    Diagnostic::new(codes::MISMATCH, format!("{subject} {part} has no effect")).warning().hint(again)
}
