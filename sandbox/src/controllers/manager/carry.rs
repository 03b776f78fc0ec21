//! Carrying out a plan: each write through the API, in order, until one is refused.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::Manager;
use crate::controllers::api::{Deletion, Part, Refused};
use crate::controllers::controller::{Plan, Write};
use crate::controllers::events::{Note, Record};
use crate::controllers::fields::{Fields, set};

impl Manager {
    pub(super) async fn carry_out(
        &mut self,
        index: usize,
        plan: Plan,
        versions: &mut Versions,
    ) -> Result<(), Dropped> {
        for write in plan.writes {
            self.write(index, write, versions).await?;
        }
        Ok(())
    }

    async fn write(&mut self, index: usize, write: Write, versions: &mut Versions) -> Result<(), Dropped> {
        let manager = self.controllers[index].manager;
        match write {
            Write::Create(object) => {
                let created = self.api.create(manager, object).await;
                created.map(|object| versions.keep(&object)).map_err(Dropped::Refused)
            }
            Write::Ensure(object) => match self.api.create(manager, object).await {
                Err(refused) if refused.is_present() => Ok(()),
                made => made.map(|object| versions.keep(&object)).map_err(Dropped::Refused),
            },
            Write::Replace(object) => self.replace(manager, object, Part::Main, versions).await,
            Write::Status(object) => self.replace(manager, object, Part::Status, versions).await,
            Write::Apply { object, subresource } => tolerate(
                self.api.apply(manager, object, subresource).await.map(|object| versions.keep(&object)),
            ),
            Write::Token { mut secret, account } => {
                let token = self.api.token(&account, &secret);
                set(&mut secret, "/data/token", token.into());
                self.replace(manager, secret, Part::Main, versions).await
            }
            Write::Scale(object) => self.replace(manager, object, Part::Scale, versions).await,
            Write::Finalize(object) => self.replace(manager, object, Part::Finalizers, versions).await,
            Write::Bind { pod, node } => tolerate(self.api.bind(manager, &pod, &node).await),
            Write::Delete { object, grace, propagation } => {
                tolerate(self.api.delete(manager, &object, Deletion { grace, propagation }).await)
            }
            Write::Note(note) => self.record(index, &note).await,
            Write::Run(launch) => {
                self.processes.start(*launch, self.store.ambient());
                Ok(())
            }
            Write::Signal { pod, signal } => {
                self.processes.signal(&pod, signal);
                Ok(())
            }
        }
    }

    async fn replace(
        &self,
        manager: &str,
        mut object: Value,
        part: Part,
        versions: &mut Versions,
    ) -> Result<(), Dropped> {
        versions.freshen(&mut object);
        let replaced = self.api.replace(manager, object, part).await;
        tolerate(replaced.map(|object| versions.keep(&object)))
    }

    async fn record(&mut self, index: usize, note: &Note) -> Result<(), Dropped> {
        let controller = &self.controllers[index];
        let record = self.recorder.record(note, controller.name, &self.cache, self.store.ambient());
        let written = match record {
            None => return Ok(()),
            Some(Record::New(event)) => self.api.create(controller.manager, event).await,
            Some(Record::Again(event)) => self.api.replace(controller.manager, event, Part::Main).await,
        };
        // Losing a note must not hold up work: namespaces that go refuse new ones.
        if let Err(refused) = written {
            tracing::debug!(%refused, reason = note.reason, "an event was not recorded");
        }
        Ok(())
    }
}

/// Why the rest of a plan was dropped.
#[derive(Debug)]
pub(super) enum Dropped {
    /// The object changed since it was read: plan again.
    Stale,
    /// The API refuses.
    Refused(Refused),
}

impl Dropped {
    /// What the API refused with.
    pub(super) fn message(self) -> Option<String> {
        match self {
            Self::Stale => None,
            Self::Refused(refused) => Some(refused.message),
        }
    }
}

/// A target that is gone needs no write; one that changed needs another look.
fn tolerate<T>(answer: Result<T, Refused>) -> Result<(), Dropped> {
    match answer {
        Ok(_) => Ok(()),
        Err(refused) if refused.is_absent() => Ok(()),
        Err(refused) if refused.code == 409 => Err(Dropped::Stale),
        Err(refused) => Err(Dropped::Refused(refused)),
    }
}

/// The versions that a plan's own writes made, so that a second write to one object is not stale.
#[derive(Default)]
pub(super) struct Versions {
    /// By uid, the last version of each object.
    last: HashMap<String, String>,
    /// All of them.
    pub(super) made: HashSet<String>,
}

impl Versions {
    fn keep(&mut self, object: &Value) {
        let version = object.text("/metadata/resourceVersion").to_owned();
        self.made.insert(version.clone());
        self.last.insert(object.uid().to_owned(), version);
    }

    fn freshen(&mut self, object: &mut Value) {
        if let Some(version) = self.last.get(object.uid()) {
            set(object, "/metadata/resourceVersion", version.clone().into());
        }
    }
}
