//! What a stored run was made of: its first entry, the texts it ran, its parameters, and what people decided.
//! Reads only; [`super::engine`] takes a run up again from it, [`super::operate`] answers people's questions.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Map;

use super::Mode;
use super::engine::{EngineError, Execution};
use super::recorded::Recorded;
use super::session::Making;
use crate::codes;
use crate::diagnostic::Problems;
use crate::error::CallError;
use crate::journal::{Body, Claim, Entry, Location, Placement, Started, Store, Verdict};
use crate::runbook::{Params, Runbook, Sources};
use crate::secret::Vault;

/// A run that this process has claimed, as the journal has it.
pub(super) struct Stored {
    pub(super) run: String,
    pub(super) mode: Mode,
    /// Where this execution writes; texts come from the engine's own store.
    pub(super) store: Arc<dyn Store>,
    pub(super) entries: Vec<Entry>,
    pub(super) claim: Box<dyn Claim>,
}

impl Stored {
    /// What its session is made of: the edited script, or the one it last ran.
    pub(super) fn making(
        self,
        texts: &dyn Store,
        edited: Option<Runbook>,
        execution: &Execution,
    ) -> Result<Making, EngineError> {
        let Self { run, mode, store, entries, claim } = self;
        let started = started(&entries)?;
        let runbook = edited.map_or_else(|| runbook(texts, &entries), Ok)?;
        let vault = Vault::new(first(texts, &run, started)?);
        let params = params(&runbook, started, &vault, execution, mode)?;
        let (project, scheduled) = (PathBuf::from(&started.project), started.scheduled.clone());
        Ok(Making {
            run,
            mode,
            store,
            runbook,
            params,
            project,
            entries,
            vault,
            claim,
            scheduled,
            skims: false,
        })
    }
}

/// The run that a fork comes from, and a fork of that: what tells its secrets from others was made for it.
fn first(store: &dyn Store, run: &str, of: &Started) -> Result<String, EngineError> {
    let (mut run, mut forked) = (run.to_owned(), of.forked.clone());
    while let Some((parent, _)) = forked {
        forked = started(&store.entries(&parent, 0)?)?.forked.clone();
        run = parent;
    }
    Ok(run)
}

/// The first entry of a run.
///
/// # Errors
/// When the journal begins with something else.
pub fn started(entries: &[Entry]) -> Result<&Started, CallError> {
    match entries.first().map(|entry| &entry.body) {
        Some(Body::Started(started)) => Ok(started),
        _ => Err(CallError::new(codes::CORRUPT, "the journal does not begin with the start of a run")),
    }
}

/// How a run ended, unless it was taken up again since.
#[must_use]
pub fn verdict(entries: &[Entry]) -> Option<Verdict> {
    entries.iter().rev().find_map(|entry| match &entry.body {
        Body::Resumed { .. } => Some(None),
        Body::Ended { verdict, .. } => Some(Some(*verdict)),
        _ => None,
    })?
}

/// Why a run may go on outside of maintenance windows and inside freezes; `None`: it may not.
#[must_use]
pub fn glass_broken(entries: &[Entry]) -> Option<&str> {
    entries.iter().rev().find_map(|entry| match &entry.body {
        Body::Started(Started { break_glass, .. })
        | Body::Resumed { break_glass, .. }
        | Body::Placed { break_glass, .. } => break_glass.as_deref(),
        _ => None,
    })
}

/// Whether somebody cancelled a run, and nobody took that back.
#[must_use]
pub fn is_cancelled(entries: &[Entry]) -> bool {
    Recorded::of(entries).cancelled.is_some()
}

/// The Job that a run was last put into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// Where; with the pod, once a process is in it.
    pub location: Location,
    /// How it stands with it.
    pub placement: Placement,
    /// What keeps it from executing the run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// True when somebody decided something, or took the run up outside of its Job, since.
    pub is_past: bool,
}

/// Where a run was last put; `None`: it was never in a Job.
#[must_use]
pub fn placed(entries: &[Entry]) -> Option<Placed> {
    let mut placed: Option<Placed> = None;
    for entry in entries {
        match (&entry.body, &mut placed) {
            (Body::Placed { location, placement, note, .. }, placed) => {
                // Whoever cannot even see where Jobs are names none: it is about the last one.
                let is_same = |known: &Placed| location.job.is_empty() || known.location.job == location.job;
                let known = placed.take().filter(is_same);
                let location = known.map_or_else(|| location.clone(), |known| known.location);
                *placed =
                    Some(Placed { location, placement: *placement, note: note.clone(), is_past: false });
            }
            (Body::Resumed { location: Some(inside), .. }, Some(placed))
                if inside.job == placed.location.job =>
            {
                placed.location = inside.clone();
                placed.note = String::new();
            }
            (Body::Resumed { .. } | Body::Decided { .. }, Some(placed)) => placed.is_past = true,
            _ => {}
        }
    }
    placed
}

/// Whether the Job of a run was given up, and nobody has decided anything since: it waits for a person.
#[must_use]
pub fn is_given_up(entries: &[Entry]) -> bool {
    placed(entries).is_some_and(|placed| placed.placement == Placement::GivenUp && !placed.is_past)
}

/// Whether a Job is where a run is to execute. One that was left or given up is not, even while its pod still lives, and
/// neither is one that another has taken the place of.
#[must_use]
pub fn is_to_execute(entries: &[Entry], job: &str) -> bool {
    placed(entries).is_none_or(|placed| placed.placement.is_expected() && placed.location.job == job)
}

/// The texts of a run as they were last run.
///
/// # Errors
/// When the journal or a text cannot be read.
pub fn sources(store: &dyn Store, entries: &[Entry]) -> Result<Sources, EngineError> {
    let started = started(entries)?;
    let edited = entries.iter().rev().find_map(|entry| match &entry.body {
        Body::Resumed { sources: Some(sources), .. } => Some(sources),
        _ => None,
    });
    let mut texts: Option<Sources> = None;
    let hashes = edited.unwrap_or(&started.sources);
    if let Some(hash) = hashes.get(&started.main) {
        texts = Some(Sources::new(&started.main, store.text(hash)?));
    }
    let mut texts =
        texts.ok_or_else(|| CallError::new(codes::CORRUPT, "the journal does not name its script"))?;
    for (name, hash) in hashes.iter().filter(|(name, _)| **name != started.main) {
        texts = texts.with(name, store.text(hash)?);
    }
    Ok(texts)
}

fn runbook(store: &dyn Store, entries: &[Entry]) -> Result<Runbook, EngineError> {
    Ok(Runbook::from_sources(sources(store, entries)?)?)
}

/// Parameters of a stored run: plain ones from the journal, secret ones from the environment again.
fn params(
    runbook: &Runbook,
    started: &Started,
    vault: &Vault,
    execution: &Execution,
    mode: Mode,
) -> Result<Params, EngineError> {
    let empty = Map::new();
    let recorded = started.parameters.as_object().unwrap_or(&empty);
    let (secret, plain): (Vec<_>, Vec<_>) =
        recorded.iter().partition(|(_, value)| crate::secret::is_placeholder(value));
    let plain = plain.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut params = Params { plain, ..Params::default() };
    if secret.is_empty() || mode == Mode::Replay {
        return Ok(params);
    }
    let given = params.plain.iter().filter(|(name, _)| runbook.header.params.contains_key(*name));
    let given = given.map(|(name, value)| (name.clone(), value.clone())).collect();
    let bound = runbook
        .header
        .bind(&given, &execution.environment)
        .map_err(|diagnostics| Problems { diagnostics, sources: runbook.sources.clone() })?;
    for (name, placeholder) in secret {
        match bound.secret.get(name) {
            Some(secret) if vault.seal(secret) == *placeholder => {
                params.secret.insert(name.clone(), secret.clone());
            }
            _ => return Err(other_secret(name).into()),
        }
    }
    Ok(params)
}

fn other_secret(name: &str) -> CallError {
    let variable = format!("AEGIS_PARAM_{}", name.to_uppercase());
    CallError::new(
        codes::PARAMETER,
        format!("the secret parameter `{name}` is not the one the run started with"),
    )
    .hint(format!("secrets are never stored; give it again in `{variable}`"))
}

pub(crate) fn ended(run: &str, verdict: Verdict) -> CallError {
    let (how, hint) = match verdict {
        Verdict::Succeeded => {
            ("succeeded", format!("`aegis show {run}` shows it; `aegis run` starts a new one"))
        }
        Verdict::Failed => ("failed", format!("`aegis retry {run}` performs what failed again")),
        Verdict::Cancelled => {
            ("been cancelled", format!("`aegis fork {run} --from STEP` starts a new one from there"))
        }
    };
    CallError::new(codes::NOT_POSSIBLE, format!("`{run}` has {how} and cannot be resumed")).hint(hint)
}
