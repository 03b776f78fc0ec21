//! What people decide about runs from outside: approve, reject, skip, mark done, retry, fork, cancel. Each
//! is one journaled entry with who and why; a process that executes the run hears of it within a moment.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::recorded::{Recorded, is_below};
use super::stored::{self, started};
use super::undo::{Debt, Ledger};
use crate::clock::Clock;
use crate::codes;
use crate::error::CallError;
use crate::journal::{
    Act, Body, Entry, Outcome, Person, Placement, RunRecord, Started, Status, Store, Verdict, Wait,
};
use crate::text::did_you_mean;

/// The person in whose name aegis starts what nobody asked for: messages to people.
pub const AEGIS: &str = "aegis";

/// What asks people: nobody answers it with a skip or a mark.
const APPROVAL: &str = "approval::ask";

/// Who decides, and why.
#[derive(Debug, Clone)]
pub struct Decider<'a> {
    /// Who.
    pub person: &'a Person,
    /// Why.
    pub note: &'a str,
    /// Proof, as text or a link.
    pub evidence: &'a str,
}

/// What a person can do to stored runs.
pub struct Desk<'a> {
    /// Where the journals live.
    pub store: &'a dyn Store,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// Something a run waits for.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// The call.
    pub call: String,
    /// For what.
    pub wait: Wait,
    /// Since when.
    pub since: Timestamp,
}

impl Desk<'_> {
    /// The one run whose id is, begins or ends with a text; `last` is the newest that is no message of aegis itself.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn find(&self, text: &str) -> Result<RunRecord, CallError> {
        let runs = self.store.runs().map_err(|error| stored(&error))?;
        if let Some(exact) = runs.iter().find(|run| run.id == text) {
            return Ok(exact.clone());
        }
        if text == "last"
            && let Some(newest) = runs.iter().find(|run| run.person.0 != AEGIS)
        {
            return Ok(newest.clone());
        }
        let fits = |run: &&RunRecord| run.id.starts_with(text) || run.id.ends_with(text);
        let mut found: Vec<&RunRecord> = runs.iter().filter(fits).collect();
        match (found.pop(), found.len()) {
            (Some(only), 0) => Ok(only.clone()),
            (Some(_), more) => {
                let message = format!("`{text}` could be any of {} runs", more + 1);
                Err(CallError::new(codes::NO_RUN, message).hint("write more of the id"))
            }
            (None, _) => {
                let known = did_you_mean(text, runs.iter().map(|run| run.id.as_str()));
                Err(CallError::new(codes::NO_RUN, format!("there is no run `{text}`"))
                    .hint(known.unwrap_or_else(|| "`aegis runs` lists them".to_owned())))
            }
        }
    }

    /// What a run waits for now.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn pending(&self, run: &str) -> Result<Vec<Pending>, CallError> {
        let entries = self.entries(run)?;
        Ok(pending(&entries))
    }

    /// Says yes to an approval. It holds for what is asked now and for nothing else.
    ///
    /// # Errors
    /// When nothing is asked, or the person may not answer.
    pub fn approve(&self, run: &str, by: &Decider<'_>) -> Result<String, CallError> {
        let entries = self.entries(run)?;
        let (call, wait) = asked(run, &entries)?;
        let Wait::Approval { approvers, subject, until, .. } = wait else { return Err(nothing_asked(run)) };
        self.refuse_late(run, until)?;
        let starter = &started(&entries)?.person;
        if by.person == starter {
            let message = format!("`{}` started the run and cannot approve it", by.person.0);
            return Err(
                CallError::new(codes::APPROVAL, message).hint("somebody else must; `--operator` says who")
            );
        }
        refuse_stranger(&approvers, by.person)?;
        self.decide(run, Act::Approve { call: call.clone(), subject }, by)?;
        Ok(call)
    }

    /// What comes too late is no answer.
    fn refuse_late(&self, run: &str, until: Option<Timestamp>) -> Result<(), CallError> {
        match until.filter(|until| self.clock.now() > *until) {
            None => Ok(()),
            Some(until) => Err(CallError::new(codes::APPROVAL, format!("the question stood until {until}"))
                .hint(format!(
                    "`aegis resume {run}` goes on without an answer; `aegis retry {run}` asks again then"
                ))),
        }
    }

    /// Says no to an approval.
    ///
    /// # Errors
    /// When nothing is asked, or the person may not answer.
    pub fn reject(&self, run: &str, by: &Decider<'_>) -> Result<String, CallError> {
        let (call, wait) = asked(run, &self.entries(run)?)?;
        if let Wait::Approval { approvers, until, .. } = wait {
            self.refuse_late(run, until)?;
            refuse_stranger(&approvers, by.person)?;
        }
        self.decide(run, Act::Reject { call: call.clone() }, by)?;
        Ok(call)
    }

    /// Leaves a call or step out: on resume the script is given `()`.
    ///
    /// # Errors
    /// When there is no such call or step, it is done, or it is an approval.
    pub fn skip(&self, run: &str, what: &str, by: &Decider<'_>) -> Result<String, CallError> {
        let key = self.undone_key(run, what)?;
        self.decide(run, Act::Skip { key: key.clone() }, by)?;
        Ok(key)
    }

    /// Records that a call or step was done by hand, and what the script is given as its answer.
    ///
    /// # Errors
    /// When there is no such call or step, it is done, it is an approval, or there is no note.
    pub fn mark_done(
        &self,
        run: &str,
        what: &str,
        value: Value,
        by: &Decider<'_>,
    ) -> Result<String, CallError> {
        if by.note.trim().is_empty() {
            return Err(CallError::argument("a mark needs a note").hint("add `--note WHY`"));
        }
        let key = self.undone_key(run, what)?;
        self.decide(run, Act::MarkDone { key: key.clone(), value }, by)?;
        Ok(key)
    }

    /// Forgets what failed, so that the next resume performs it again. Effects that worked stay done, unless
    /// they were undone.
    ///
    /// # Errors
    /// When the run neither failed nor waits for somebody to say what happened.
    pub fn retry(&self, run: &str, by: &Decider<'_>) -> Result<Vec<String>, CallError> {
        let entries = self.entries(run)?;
        let recorded = Recorded::of(&entries);
        let unknown = recorded.calls.values().any(|call| matches!(call.outcome, Some(Outcome::Unknown(_))));
        if recorded.verdict != Some(Verdict::Failed) && !unknown {
            let message = format!("`{run}` has not failed");
            return Err(CallError::new(codes::NOT_POSSIBLE, message)
                .hint(format!("`aegis resume {run}` goes on where it stands")));
        }
        let forget = to_forget(&recorded);
        self.decide(run, Act::Retry { forget: forget.clone() }, by)?;
        if recorded.verdict.is_some() {
            // Takes the end back; the resume that follows journals its own entry.
            let resumed = Body::Resumed {
                person: by.person.clone(),
                sources: None,
                break_glass: None,
                location: None,
                engine: crate::VERSION.to_owned(),
            };
            self.append(run, resumed)?;
        }
        Ok(forget)
    }

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
        let bodies = entries[..cut].iter().filter_map(|entry| copied(entry, run, from, by.person, &undone));
        let mut bodies: Vec<(Timestamp, Body)> = bodies.collect();
        let sources = stored::sources(self.store, &entries).map_err(|error| match error {
            super::engine::EngineError::Call(error) => error,
            super::engine::EngineError::Problems(problems) => {
                CallError::new(codes::SYNTAX, problems.to_string())
            }
        })?;
        let texts = sources.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        let hashes = self.store.keep_texts(&texts).map_err(|error| stored(&error))?;
        if let Some((_, Body::Started(started))) = bodies.first_mut() {
            started.sources = hashes;
        }
        self.store.append(id, &bodies).map_err(|error| stored(&error))?;
        Ok(id.to_owned())
    }

    /// Asks the process that executes a run to cancel it.
    ///
    /// # Errors
    /// When the run has ended.
    pub fn cancel(&self, run: &str, by: &Decider<'_>) -> Result<(), CallError> {
        let recorded = Recorded::of(&self.entries(run)?);
        if recorded.verdict.is_some() {
            return Err(CallError::new(codes::NOT_POSSIBLE, format!("`{run}` has ended"))
                .hint(format!("`aegis undo {run}` takes back what can be taken back")));
        }
        self.decide(run, Act::Cancel, by)
    }

    /// Asks the engines to put a run that nobody executes into a Job again; `break_glass` is why it need not wait for its
    /// maintenance window or the end of a freeze.
    ///
    /// # Errors
    /// When it has ended, is executed or in a Job, waits for people, or is of no schedule.
    pub fn into_job(
        &self,
        run: &str,
        by: &Decider<'_>,
        break_glass: Option<String>,
    ) -> Result<(), CallError> {
        let entries = self.entries(run)?;
        if let Some(verdict) = stored::verdict(&entries) {
            return Err(stored::ended(run, verdict));
        }
        let refused =
            |message: String, hint: String| Err(CallError::new(codes::NOT_POSSIBLE, message).hint(hint));
        if started(&entries)?.scheduled.is_none() {
            return refused(
                format!("`{run}` is of no schedule: no engine takes it up"),
                format!("`aegis resume {run}` goes on with it here"),
            );
        }
        if let Some(wait) = pending(&entries).first() {
            return refused(
                format!("`{run}` waits for people at `{}`", wait.call),
                format!("`aegis show {run}` says for what; then it goes on by itself"),
            );
        }
        let placed = stored::placed(&entries);
        let is_placed = placed.as_ref().is_some_and(|placed| placed.placement.is_expected());
        if is_placed || self.store.executed(run).map_err(|error| stored(&error))? {
            return refused(
                format!("`{run}` is executed already"),
                format!("`aegis logs {run} --follow` shows how it goes on"),
            );
        }
        let location = placed.map(|placed| placed.location).unwrap_or_default();
        let why = if by.note.is_empty() { String::new() } else { format!(": {}", by.note) };
        let (placement, note) = (Placement::Wanted, format!("by {}{why}", by.person.0));
        self.append(run, Body::Placed { location, placement, note, break_glass })
    }

    /// Effects of runs that did not succeed, and of drills, that could be undone and are not.
    ///
    /// # Errors
    /// When a journal cannot be read.
    pub fn leftovers(&self, run: Option<&str>) -> Result<Vec<(RunRecord, Vec<Debt>)>, CallError> {
        let runs = self.store.runs().map_err(|error| stored(&error))?;
        let mut found = Vec::new();
        for record in runs.into_iter().filter(|record| run.is_none_or(|run| run == record.id)) {
            let entries = self.entries(&record.id)?;
            let drill = started(&entries)?.drill;
            let intended = record.status == Status::Succeeded && !drill;
            let debts = Ledger::of(&Recorded::of(&entries)).below("");
            if !debts.is_empty() && (!intended || run.is_some() && drill) {
                found.push((record, debts));
            }
        }
        Ok(found)
    }

    /// The key of a call or step that is not done, from its key, the end of it, or a step's name.
    fn undone_key(&self, run: &str, what: &str) -> Result<String, CallError> {
        let recorded = Recorded::of(&self.entries(run)?);
        let calls = recorded.calls.iter().map(|(key, call)| (key, call.outcome.as_ref()));
        let steps = recorded.steps.iter().map(|(key, step)| (key, step.left.as_ref().map(|(o, _)| o)));
        let known: Vec<(&String, Option<&Outcome>)> = calls.chain(steps).collect();
        let ending = format!("/{}", what.trim_start_matches('/'));
        let first = format!("{ending}#0");
        let exact = known.iter().position(|(key, _)| key.as_str() == what);
        let fits = |(key, _): &&(&String, Option<&Outcome>)| key.ends_with(&ending) || key.ends_with(&first);
        let found: Vec<&(&String, Option<&Outcome>)> =
            exact.map_or_else(|| known.iter().filter(fits).collect(), |at| vec![&known[at]]);
        let [(key, outcome)] = found[..] else {
            let names = found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>();
            return Err(not_one(run, what, &names, known.iter().map(|(key, _)| key.as_str())));
        };
        match outcome {
            Some(settled @ (Outcome::Ok(_) | Outcome::Skipped(_))) => {
                let message = format!("`{key}` is already {}", settled.word());
                Err(CallError::new(codes::NOT_POSSIBLE, message))
            }
            _ if let Some(open) = open_approval(&recorded, key) => {
                let message = format!("`{open}` is an approval: it is answered by those who are asked");
                Err(CallError::new(codes::APPROVAL, message)
                    .hint(format!("`aegis approve {run}` or `aegis reject {run}`")))
            }
            _ => Ok((*key).clone()),
        }
    }

    fn entries(&self, run: &str) -> Result<Vec<Entry>, CallError> {
        self.store.entries(run, 0).map_err(|error| stored(&error))
    }

    fn decide(&self, run: &str, act: Act, by: &Decider<'_>) -> Result<(), CallError> {
        self.append(
            run,
            Body::Decided {
                person: by.person.clone(),
                act,
                note: by.note.to_owned(),
                evidence: by.evidence.to_owned(),
            },
        )
    }

    fn append(&self, run: &str, body: Body) -> Result<(), CallError> {
        self.store.append(run, &[(self.clock.now(), body)]).map(drop).map_err(|error| stored(&error))
    }
}

/// What is waited for and not yet decided.
#[must_use]
pub fn pending(entries: &[Entry]) -> Vec<Pending> {
    let recorded = Recorded::of(entries);
    if recorded.verdict.is_some() {
        return Vec::new();
    }
    let mut pending: Vec<Pending> = Vec::new();
    for entry in entries {
        match &entry.body {
            Body::Waiting { call, wait } => {
                pending.push(Pending { call: call.clone(), wait: wait.clone(), since: entry.at });
            }
            // It is asked anew.
            Body::Decided { act: Act::Retry { forget }, .. } => {
                pending.retain(|wait| !forget.contains(&wait.call));
            }
            _ => {}
        }
    }
    pending.retain(|wait| {
        let outcome = recorded.calls.get(&wait.call).and_then(|call| call.outcome.as_ref());
        match wait.wait {
            Wait::Approval { .. } => outcome.is_none(),
            Wait::Unknown { .. } => matches!(outcome, Some(Outcome::Unknown(_))),
            Wait::Halt { .. } => outcome.is_none(),
        }
    });
    pending.reverse();
    let mut seen = BTreeSet::new();
    pending.retain(|wait| seen.insert(wait.call.clone()));
    pending
}

fn asked(run: &str, entries: &[Entry]) -> Result<(String, Wait), CallError> {
    let approval = pending(entries).into_iter().find(|wait| matches!(wait.wait, Wait::Approval { .. }));
    approval.map(|pending| (pending.call, pending.wait)).ok_or_else(|| nothing_asked(run))
}

/// Why a text does not say which call or step is meant.
fn not_one<'a>(run: &str, what: &str, found: &[&str], known: impl Iterator<Item = &'a str>) -> CallError {
    if !found.is_empty() {
        let message = format!("`{what}` could be any of {} calls and steps of `{run}`", found.len());
        return CallError::new(codes::NOT_POSSIBLE, message)
            .hint(format!("write more of it: {}", crate::text::list(found)));
    }
    CallError::new(codes::NOT_POSSIBLE, format!("`{run}` has no call or step `{what}`"))
        .hint(did_you_mean(what, known).unwrap_or_else(|| format!("`aegis show {run}` lists them")))
}

/// The approval that a call is, or that a step still waits for.
fn open_approval<'a>(recorded: &'a Recorded, key: &str) -> Option<&'a String> {
    let open = |(call, recorded): &(&String, &super::recorded::RecordedCall)| {
        let answered = matches!(recorded.outcome, Some(Outcome::Ok(_)));
        recorded.function == APPROVAL && !answered && is_below_or_at(call, key)
    };
    recorded.calls.iter().find(open).map(|(call, _)| call)
}

fn is_below_or_at(call: &str, key: &str) -> bool {
    call == key || is_below(call, key)
}

fn refuse_stranger(approvers: &[String], person: &Person) -> Result<(), CallError> {
    if approvers.is_empty() || approvers.contains(&person.0) {
        return Ok(());
    }
    let names: Vec<&str> = approvers.iter().map(String::as_str).collect();
    Err(CallError::new(codes::APPROVAL, format!("`{}` is not asked", person.0))
        .hint(format!("asked are {}", crate::text::list(&names))))
}

fn nothing_asked(run: &str) -> CallError {
    CallError::new(codes::NOT_POSSIBLE, format!("`{run}` does not wait for an approval"))
        .hint(format!("`aegis show {run}` tells how it stands"))
}

/// Everything that failed or nobody can say, the steps that failed with it, reads since the last effect that
/// worked, and effects that were undone.
fn to_forget(recorded: &Recorded) -> Vec<String> {
    let worked = |call: &&super::recorded::RecordedCall| {
        call.effect.is_effect() && matches!(call.outcome, Some(Outcome::Ok(_)))
    };
    let last_effect = recorded
        .calls
        .iter()
        .filter(|(key, _)| !recorded.undone.contains(*key) && !key.contains('~'))
        .map(|(_, call)| call)
        .filter(worked)
        .map(|call| call.happened)
        .max()
        .unwrap_or(0);
    let calls = recorded.calls.iter().filter(|(key, call)| match &call.outcome {
        Some(Outcome::Failed(_) | Outcome::Unknown(_)) => true,
        Some(Outcome::Ok(_)) => {
            let is_read = !call.effect.is_effect() && call.function != APPROVAL;
            recorded.undone.contains(*key) || is_read && call.happened > last_effect
        }
        Some(Outcome::Skipped(_)) | None => false,
    });
    let steps = recorded.steps.iter().filter(|(key, step)| match &step.left {
        Some((Outcome::Failed(_) | Outcome::Unknown(_), _)) => true,
        Some(_) => recorded.undone.iter().any(|call| call.starts_with(key.as_str())),
        None => false,
    });
    let mut forget: Vec<String> =
        calls.map(|(key, _)| key.clone()).chain(steps.map(|(key, _)| key.clone())).collect();
    forget.sort();
    forget
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

fn stored(error: &crate::journal::StoreError) -> CallError {
    super::interrupt::Stop::Store(error.clone()).error()
}
