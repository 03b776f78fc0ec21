//! Answers to approvals: by those who are asked, while the question stands, and never by who started the run.

use jiff::Timestamp;

use super::{Decider, Desk, pending, started};
use crate::codes;
use crate::error::CallError;
use crate::journal::{Act, Entry, Person, Wait};

impl Desk<'_> {
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
}

fn asked(run: &str, entries: &[Entry]) -> Result<(String, Wait), CallError> {
    let approval = pending(entries).into_iter().find(|wait| matches!(wait.wait, Wait::Approval { .. }));
    approval.map(|pending| (pending.call, pending.wait)).ok_or_else(|| nothing_asked(run))
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
