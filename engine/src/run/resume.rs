//! Takes stored runs up again: resume and retry, replay, undo. What would be refused is refused before anything is decided
//! or journaled: a run that cannot go on stays as it was.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::Mode;
use super::engine::{Engine, EngineError, Execution, claimed, defect, keep, told};
use super::handle::{Conclusion, Handle};
use super::interrupt::Stop;
use super::operate::{refuse_half_undone, retried};
use super::recorded::Recorded;
use super::session::{Making, Session};
use super::stored::{self, Stored, started};
use super::undo::undo_below;
use crate::clock::Clock;
use crate::codes;
use crate::diagnostic::Problems;
use crate::error::CallError;
use crate::gate::halted;
use crate::journal::{Act, Body, Entry, Location, Started, Verdict};
use crate::runbook::Runbook;

/// A run that is taken up again.
pub struct Resume {
    /// Which.
    pub run: String,
    /// The edited script, for `--script current`; `None`: the recorded one.
    pub script: Option<Runbook>,
    /// Why it may go on outside its maintenance window or inside a freeze.
    pub break_glass: Option<String>,
    /// Where this process is, when it is in a Job.
    pub location: Option<Location>,
    /// Where it finds the project's files; `None`: where they were when the run was started.
    pub project: Option<PathBuf>,
    /// Forgets what failed, so that it is performed again; `None`: what has ended is refused.
    pub retry: Option<Retry>,
}

/// Why somebody retries a run.
#[derive(Debug, Clone, Default)]
pub struct Retry {
    /// In words.
    pub note: String,
    /// Proof, as text or a link.
    pub evidence: String,
}

impl Resume {
    /// A run as it is recorded.
    #[must_use]
    pub fn of(run: impl Into<String>) -> Self {
        Self { run: run.into(), script: None, break_glass: None, location: None, project: None, retry: None }
    }
}

/// A run that is taken back.
#[derive(Debug, Clone)]
pub struct Undo {
    /// Which.
    pub run: String,
    /// Why.
    pub note: String,
    /// Performs again what nobody can say happened while it was taken back before.
    pub again: bool,
}

impl Undo {
    /// A run, and why.
    #[must_use]
    pub fn of(run: impl Into<String>, note: impl Into<String>) -> Self {
        Self { run: run.into(), note: note.into(), again: false }
    }
}

impl Engine {
    /// Takes a run up where it stands.
    ///
    /// # Errors
    /// When it has ended and is not retried, another process runs it, its secrets are missing, an edited script does not
    /// fit, the Job it is in is not the one it was put into, or the journal cannot be read.
    pub fn resume(&self, resume: Resume, execution: Execution) -> Result<Handle, EngineError> {
        let Resume { run, script, break_glass, location, project, retry } = resume;
        let claim = claimed(&*self.store, &run)?;
        let entries = self.store.entries(&run, 0)?;
        let decided = match retry {
            Some(retry) => Some(self.retry(&run, &entries, retry, &execution)?),
            None => {
                refuse_to_resume(&run, &entries)?;
                None
            }
        };
        if let Some(location) = &location {
            refuse_other_job(&run, &entries, &location.job)?;
        }
        let edited = script.is_some();
        let stored = Stored { run, mode: Mode::Run, store: Arc::clone(&self.store), entries, claim };
        let mut making = stored.making(&*self.store, script, &execution)?;
        making.project = project.unwrap_or(making.project);
        if edited {
            self.refuse_misfit(&making, &execution, decided.clone())?;
        }
        if let Some(decided) = decided {
            making.entries.extend(self.store.append(&making.run, &[(self.clock.now(), decided)])?);
        }
        let sources = edited.then(|| keep(&*self.store, &making.runbook.sources)).transpose()?;
        let (person, engine) = (execution.person.clone(), crate::VERSION.to_owned());
        self.execute(making, execution, Body::Resumed { person, sources, break_glass, location, engine })
    }

    /// What is journaled of a retry.
    fn retry(
        &self,
        run: &str,
        entries: &[Entry],
        retry: Retry,
        execution: &Execution,
    ) -> Result<Body, EngineError> {
        let act = Act::Retry { forget: retried(run, entries)? };
        if let Some(halt) = self.store.halt()? {
            return Err(halted(&halt, run, "retry").into());
        }
        let Retry { note, evidence } = retry;
        Ok(Body::Decided { person: execution.person.clone(), act, note, evidence })
    }

    /// Refuses an edited script that does not fit what is recorded: it is run over the journal, with no outside at all, up
    /// to the first call that has no outcome. `decided` is what would be journaled before.
    fn refuse_misfit(
        &self,
        making: &Making,
        execution: &Execution,
        decided: Option<Body>,
    ) -> Result<(), EngineError> {
        let store = self.store_for(Mode::Replay)?;
        let sources = keep(&*store, &making.runbook.sources)?;
        let resumed = Body::Resumed {
            person: execution.person.clone(),
            sources: Some(sources.clone()),
            break_glass: None,
            location: None,
            engine: crate::VERSION.to_owned(),
        };
        let mut entries = making.entries.clone();
        for body in decided.into_iter().chain([resumed]) {
            let seq = entries.last().map_or(1, |entry| entry.seq + 1);
            entries.push(Entry { seq, at: self.clock.now(), body, hash: String::new() });
        }
        let first = Body::Started(Started { mode: Mode::Replay, sources, ..started(&entries)?.clone() });
        let skimmed = Making {
            run: making.run.clone(),
            mode: Mode::Replay,
            claim: claimed(&*store, &making.run)?,
            store,
            runbook: making.runbook.clone(),
            params: making.params.clone(),
            project: making.project.clone(),
            entries,
            vault: making.vault.clone(),
            scheduled: making.scheduled.clone(),
            skims: true,
        };
        let silent =
            Execution { listener: Arc::new(|_| {}), observer: None, logs: None, ..execution.clone() };
        let skimmed = self.execute(skimmed, silent, first)?.wait();
        match (skimmed.stop, skimmed.failure) {
            (Some(Stop::Mismatch(_)), Some(failure)) => {
                Err(Problems::of(failure, making.runbook.sources.clone()).into())
            }
            _ => Ok(()),
        }
    }

    /// Runs the script over its journal with no outside at all; nothing is written anywhere.
    ///
    /// # Errors
    /// When the journal or its script cannot be read.
    pub fn replay(&self, resume: Resume, execution: Execution) -> Result<Handle, EngineError> {
        let entries = self.store.entries(&resume.run, 0)?;
        let started = started(&entries)?.clone();
        let store = self.store_for(Mode::Replay)?;
        let claim = claimed(&*store, &resume.run)?;
        let stored = Stored { run: resume.run, mode: Mode::Replay, store, entries, claim };
        let making = stored.making(&*self.store, resume.script, &execution)?;
        self.execute(making, execution, Body::Started(Started { mode: Mode::Replay, ..started }))
    }

    /// Takes back what can be taken back of a run that no process executes. A run that has not ended is
    /// cancelled by it.
    ///
    /// # Errors
    /// When another process runs it, or the journal cannot be read or written.
    pub fn undo(&self, undo: Undo, execution: Execution) -> Result<Conclusion, EngineError> {
        let Undo { run, note, again } = undo;
        let claim = claimed(&*self.store, &run)?;
        let entries = self.store.entries(&run, 0)?;
        let open = stored::verdict(&entries).is_none();
        // Who cancels a run while effects are halted wants it to end; what it did is taken back later.
        if let Some(halt) = self.store.halt()?.filter(|_| again || !open) {
            return Err(halted(&halt, &run, "undo").into());
        }
        let store = Arc::clone(&self.store);
        let forget = Recorded::of(&entries).unknown_in_inverses();
        let stored = Stored { run: run.clone(), mode: Mode::Run, store, entries, claim };
        let mut making = stored.making(&*self.store, None, &execution)?;
        if again {
            let (person, act, note) = (execution.person.clone(), Act::Retry { forget }, note.clone());
            let decided = Body::Decided { person, act, note, evidence: String::new() };
            making.entries.extend(self.store.append(&run, &[(self.clock.now(), decided)])?);
        }
        let act = if open { Act::Cancel } else { Act::Undo };
        let person = execution.person.clone();
        let decided = Body::Decided { person, act, note, evidence: String::new() };
        let session = Session::new(self, &making, &execution, &decided)?;
        session.journal.commit(decided)?;
        session.start_undoing();
        std::thread::scope(|scope| scope.spawn(|| undo_below(&session, "")).join())
            .map_err(|_| defect(&session.run))?
            .map_err(told)?;
        if open {
            let ended = Body::Ended { verdict: Verdict::Cancelled, failure: None, value: Value::Null };
            session.journal.commit(ended)?;
        }
        Ok(Conclusion {
            run,
            verdict: open.then_some(Verdict::Cancelled),
            stop: None,
            failure: None,
            value: Value::Null,
            leftovers: session.ledger.below(""),
        })
    }
}

/// Refuses what has ended, and what is taken back in part by somebody who let go of it.
fn refuse_to_resume(run: &str, entries: &[Entry]) -> Result<(), EngineError> {
    if let Some(verdict) = stored::verdict(entries) {
        return Err(stored::ended(run, verdict).into());
    }
    Ok(refuse_half_undone(run, &Recorded::of(entries))?)
}

/// Refuses a pod whose Job is not, or no longer, where the run is to execute.
fn refuse_other_job(run: &str, entries: &[Entry], job: &str) -> Result<(), CallError> {
    if stored::is_to_execute(entries, job) {
        return Ok(());
    }
    let problem = format!("`{run}` is no longer to execute in the job `{job}`");
    Err(CallError::new(codes::NOT_POSSIBLE, problem))
}
