//! The door into a run that is under way: cancel it, leave it, wait for its end. Cheap to clone.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::interrupt::Stop;
use super::session::Session;
use super::undo::Debt;
use crate::diagnostic::Diagnostic;
use crate::journal::{Act, Body, Entry, Person, StoreError, Verdict};

/// What readers of a run hear, in order. As JSON it is one map with `event` (`recorded`, `progress`) and `at`,
/// the same in `--output json` and in log files.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The journal learned something.
    Recorded(Box<Entry>),
    /// A call tells how far it is. Live only.
    Progress {
        /// When, by the engine's clock.
        at: Timestamp,
        /// Its place in the run.
        call: String,
        /// `3/5 replicas ready`.
        text: String,
    },
}

/// Who is told of events. Must be quick: the run waits for it.
pub type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// Who looks at runs beside the listener: told the run, what earlier processes recorded of it, and an event. Must be quick.
pub type Observer = Arc<dyn Fn(&str, &[Entry], &Event) + Send + Sync>;

/// How a process left a run.
#[derive(Debug, Clone)]
pub struct Conclusion {
    /// The run.
    pub run: String,
    /// How it ended; `None`: it can be resumed, and `stop` says why it stands.
    pub verdict: Option<Verdict>,
    /// Why the engine stopped it, where it was not the script's own end.
    pub stop: Option<Stop>,
    /// The error as a person sees it.
    pub failure: Option<Diagnostic>,
    /// The value of the script.
    pub value: Value,
    /// Effects that could be undone and are not; told for runs that did not succeed, and for drills.
    pub leftovers: Vec<Debt>,
}

#[derive(Default)]
pub(crate) struct Ending {
    conclusion: Mutex<Option<Conclusion>>,
    rung: Condvar,
}

impl Ending {
    pub(crate) fn set(&self, conclusion: Conclusion) {
        *self.conclusion.lock().unwrap_or_else(PoisonError::into_inner) = Some(conclusion);
        self.rung.notify_all();
    }
}

/// A run that this process executes.
#[derive(Clone)]
pub struct Handle {
    pub(crate) session: Arc<Session>,
    pub(crate) ending: Arc<Ending>,
}

impl Handle {
    /// The run's id.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.session.run
    }

    /// Cancels it: what can be undone is undone, then it ends.
    ///
    /// # Errors
    /// When the decision cannot be journaled; the run is stopped all the same.
    pub fn cancel(&self, person: &Person, note: &str) -> Result<(), StoreError> {
        let journaled = self.decide(person, Act::Cancel, note);
        self.session.hear(&Act::Cancel);
        journaled
    }

    /// Leaves it where it is, as somebody decided who is not in front of it.
    ///
    /// # Errors
    /// When the decision cannot be journaled; the run is left all the same.
    pub fn leave(&self, person: &Person, note: &str) -> Result<(), StoreError> {
        let journaled = self.decide(person, Act::Leave, note);
        self.abandon();
        journaled
    }

    fn decide(&self, person: &Person, act: Act, note: &str) -> Result<(), StoreError> {
        let (person, note, evidence) = (person.clone(), note.to_owned(), String::new());
        self.session.journal.commit(Body::Decided { person, act, note, evidence })
    }

    /// Leaves it where it is: nothing more is undone, it can be resumed, even if it was being cancelled.
    pub fn abandon(&self) {
        self.session.left.cancel();
        self.session.stop(Stop::Abandoned);
    }

    /// Waits for its end.
    #[must_use]
    pub fn wait(&self) -> Conclusion {
        let mut conclusion = self.ending.conclusion.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match conclusion.as_ref() {
                Some(conclusion) => return conclusion.clone(),
                None => {
                    conclusion = self.ending.rung.wait(conclusion).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}
