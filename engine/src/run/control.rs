//! The door that the engine's own modules (`approval`, `lock`, `run`, `undo`) have into the run they are
//! called in. Host modules outside the engine see nothing of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::interrupt::Stop;
use super::session::Session;
use crate::codes;
use crate::error::CallError;
use crate::journal::{Body, Entry, Lease, StoreError, Wait};

/// The run and the place of the call.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) session: Arc<Session>,
    pub(crate) call: String,
}

impl Control {
    /// The journal as it is now, with what people decided.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, CallError> {
        self.session.store.entries(&self.session.run, 0).map_err(|error| stored(&error))
    }

    /// Journals that the run waits.
    pub(crate) fn wait_for(&self, wait: Wait) -> Result<(), CallError> {
        let waiting = Body::Waiting { call: self.call.clone(), wait };
        self.session.journal.commit(waiting).map_err(|error| stored(&error))
    }

    /// The run goes on.
    pub(crate) fn go_on(&self) -> Result<(), CallError> {
        let resumed = Body::Resumed {
            person: self.session.person.clone(),
            sources: None,
            break_glass: None,
            location: None,
            engine: crate::VERSION.to_owned(),
        };
        self.session.journal.commit(resumed).map_err(|error| stored(&error))
    }

    /// Rings when somebody has decided something.
    pub(crate) fn bell(&self) -> watch::Receiver<usize> {
        self.session.decided.subscribe()
    }

    /// Whether this process waits for people, or leaves and is resumed later.
    pub(crate) fn patient(&self) -> bool {
        self.session.patient
    }

    /// Takes a lease and keeps it alive until the run ends or gives it back.
    pub(crate) fn hold(&self, name: &str, time_to_live: Duration) -> Result<Result<Lease, Lease>, CallError> {
        if self.session.vault.masked(name) != name {
            return Err(CallError::argument("the name of a lock holds a secret")
                .hint("everybody may read who holds which lock: name it by what it protects"));
        }
        self.session.hold(name, time_to_live).map_err(|error| self.without_store(error))
    }

    /// Gives a lease back.
    pub(crate) fn release(&self, name: &str) -> Result<(), CallError> {
        self.session.release(name).map_err(|error| self.without_store(error))
    }

    /// What the store cannot do now is no failure of the script: the run stops, and goes on at this call.
    fn without_store(&self, error: StoreError) -> CallError {
        let told = stored(&error);
        self.session.stop(Stop::Store(error));
        told
    }
}

fn stored(error: &StoreError) -> CallError {
    let told = CallError::new(error.code(), error.to_string());
    error.hint().map_or_else(|| told.clone(), |hint| told.clone().hint(hint))
}

impl crate::function::Context {
    /// The run this call is part of.
    pub(crate) fn control(&self) -> Result<&Control, CallError> {
        self.control
            .as_ref()
            .ok_or_else(|| CallError::new(codes::SCRIPT, "this function works only inside a run"))
    }
}
