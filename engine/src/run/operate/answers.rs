//! Answers to approvals: by those who are asked, while the question stands, and never by who started the run.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::outcomes::is_named;
use super::{Decider, Desk, Pending, pending, started};
use crate::codes;
use crate::error::CallError;
use crate::journal::{Act, Person, Wait};

/// What came of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// The call that asked.
    pub call: String,
    /// What it asked.
    pub question: String,
    /// Who has said yes so far.
    pub approved_by: BTreeSet<String>,
    /// How many must.
    pub quorum: u32,
}

impl Answered {
    /// True when nobody else is asked any more.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.approved_by.len() >= self.quorum as usize
    }
}

impl Desk<'_> {
    /// Says yes to a question. It holds for what is asked now and for nothing else. `what` says which question: words of it,
    /// its call's place in the run, or the name of its step; nothing, when there is but one.
    ///
    /// # Errors
    /// When nothing is asked, the person may not answer, or it could be several questions.
    pub fn approve(&self, run: &str, what: Option<&str>, by: &Decider<'_>) -> Result<Answered, CallError> {
        let (asked, starter) = self.asked(run, what)?;
        self.refuse_late(run, asked.until)?;
        if *by.person == starter {
            let message = format!("`{}` started the run and cannot approve it", by.person.0);
            return Err(
                CallError::new(codes::APPROVAL, message).hint("somebody else must; `--operator` says who")
            );
        }
        refuse_stranger(&asked.approvers, by.person)?;
        let Asked { mut answered, subject, .. } = asked;
        if answered.approved_by.contains(&by.person.0) {
            let (given, quorum) = (answered.approved_by.len(), answered.quorum);
            let message = format!("`{}` has said yes already: {given} of {quorum} approvals", by.person.0);
            return Err(CallError::new(codes::APPROVAL, message).hint("somebody else has to say yes, too"));
        }
        self.decide(run, Act::Approve { call: answered.call.clone(), subject }, by)?;
        answered.approved_by.insert(by.person.0.clone());
        Ok(answered)
    }

    /// Says no to a question.
    ///
    /// # Errors
    /// As [`Desk::approve`], but who started the run may say no.
    pub fn reject(&self, run: &str, what: Option<&str>, by: &Decider<'_>) -> Result<Answered, CallError> {
        let (asked, _) = self.asked(run, what)?;
        self.refuse_late(run, asked.until)?;
        refuse_stranger(&asked.approvers, by.person)?;
        self.decide(run, Act::Reject { call: asked.answered.call.clone() }, by)?;
        Ok(asked.answered)
    }

    /// The one question that is meant, and who started the run.
    fn asked(&self, run: &str, what: Option<&str>) -> Result<(Asked, Person), CallError> {
        let entries = self.entries(run)?;
        let asked: Vec<Asked> = pending(&entries).into_iter().filter_map(Asked::of).collect();
        let named = |asked: &Asked| what.is_none_or(|what| asked.is_meant(what));
        let (mut meant, others): (Vec<Asked>, Vec<Asked>) = asked.into_iter().partition(named);
        match (meant.pop(), meant.is_empty()) {
            (Some(only), true) => Ok((only, started(&entries)?.person.clone())),
            (Some(last), false) => {
                meant.push(last);
                let message = format!("`{run}` asks {} questions", meant.len());
                Err(CallError::new(codes::NOT_POSSIBLE, message).hint(format!("say which: {}", told(&meant))))
            }
            (None, _) if others.is_empty() => Err(nothing_asked(run)),
            (None, _) => {
                let message = format!("`{run}` does not ask anything at `{}`", what.unwrap_or_default());
                Err(CallError::new(codes::NOT_POSSIBLE, message)
                    .hint(format!("it asks at {}", told(&others))))
            }
        }
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
}

/// A question that is open.
struct Asked {
    answered: Answered,
    approvers: Vec<String>,
    subject: String,
    until: Option<Timestamp>,
}

impl Asked {
    fn of(pending: Pending) -> Option<Self> {
        let Pending { call, approved_by, .. } = pending;
        let Wait::Approval { question, quorum, approvers, subject, until } = pending.wait else {
            return None;
        };
        let answered = Answered { call, question, approved_by, quorum };
        Some(Self { answered, approvers, subject, until })
    }

    fn is_meant(&self, what: &str) -> bool {
        let Answered { call, question, .. } = &self.answered;
        let mut steps = call.split('/').map(|part| part.split('#').next().unwrap_or(part));
        is_named(call, what) || question.contains(what) || steps.any(|step| step == what)
    }
}

/// The questions, each with its place.
fn told(asked: &[Asked]) -> String {
    let told = |asked: &Asked| format!("`{}` ({})", asked.answered.call, asked.answered.question);
    asked.iter().map(told).collect::<Vec<_>>().join(", ")
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
