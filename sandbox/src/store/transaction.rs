//! Reading and writing atomically: changes are made at once, and undone when the work fails.

use std::sync::Arc;

use serde_json::Value;

use super::lifecycle::{self, DeleteOptions, Deleted};
use super::log::Log;
use super::state::State;
use super::{Error, Event, EventKind, Item, Key, Object, Resource, Slot};
use crate::ambient::Ambient;
use crate::kinds::Kinds;

/// The store while it is locked for one atomic piece of work.
pub struct Transaction<'a> {
    state: &'a mut State,
    kinds: &'a Kinds,
    ambient: &'a Ambient,
    started_at: u64,
    events: Vec<Event>,
}

impl<'a> Transaction<'a> {
    pub(super) fn begin(state: &'a mut State, kinds: &'a Kinds, ambient: &'a Ambient) -> Self {
        let started_at = state.version;
        Self { state, kinds, ambient, started_at, events: Vec::new() }
    }

    /// One object, or none; sees the transaction's own writes.
    pub fn get(&self, key: &Key) -> Option<Object> {
        self.state.get(key)
    }

    /// The objects of a resource, by namespace and name; sees the transaction's own writes.
    pub fn list(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Object> {
        self.state.list(resource, namespace).iter().map(Item::object).collect()
    }

    /// The kinds this cluster serves.
    pub fn kinds(&self) -> &Kinds {
        self.kinds
    }

    /// The cluster's clock and randomness.
    pub fn ambient(&self) -> &Ambient {
        self.ambient
    }

    /// See [`super::Store::create`].
    pub fn create(&mut self, key: &Key, mut object: Value) -> Result<Object, Error> {
        if let Some(existing) = self.get(key) {
            let terminating = lifecycle::is_terminating(&existing);
            return Err(Error::AlreadyExists { key: key.clone(), terminating });
        }
        let kind = self.kinds.of(&key.resource);
        lifecycle::birth(&mut object, key, kind.as_deref(), self.ambient);
        Ok(self.record(EventKind::Added, key, object, None))
    }

    /// See [`super::Store::update`].
    pub fn update(&mut self, key: &Key, mut object: Value) -> Result<Object, Error> {
        let old = self.get(key).ok_or_else(|| Error::NotFound(key.clone()))?;
        let stored_version = &old["metadata"]["resourceVersion"];
        let expected = &object["metadata"]["resourceVersion"];
        if expected.as_str().is_some_and(|expected| !expected.is_empty()) && expected != stored_version {
            return Err(Error::Conflict(key.clone()));
        }
        let kind = self.kinds.of(&key.resource);
        lifecycle::change(&old, &mut object, key, kind.as_deref());
        Ok(self.replace(key, object, old))
    }

    fn replace(&mut self, key: &Key, mut object: Value, old: Object) -> Object {
        if lifecycle::is_finished(key, &object) {
            // Watchers see what was stored last; the writer sees what it wrote.
            let gone = self.record(EventKind::Deleted, key, Value::clone(&old), Some(old));
            object["metadata"]["resourceVersion"] = gone["metadata"]["resourceVersion"].clone();
            return Arc::new(object);
        }
        if object == *old {
            return old;
        }
        self.record(EventKind::Modified, key, object, Some(old))
    }

    /// Like [`Transaction::update`], but the change is no new wish: the generation stays.
    pub fn update_quietly(&mut self, key: &Key, mut object: Value) -> Result<Object, Error> {
        let old = self.get(key).ok_or_else(|| Error::NotFound(key.clone()))?;
        lifecycle::change(&old, &mut object, key, None);
        if let Some(generation) = old["metadata"].get("generation") {
            object["metadata"]["generation"] = generation.clone();
        }
        Ok(self.replace(key, object, old))
    }

    /// See [`super::Store::delete`].
    pub fn delete(&mut self, key: &Key, options: &DeleteOptions) -> Result<Deleted, Error> {
        let old = self.get(key).ok_or_else(|| Error::NotFound(key.clone()))?;
        options.check(key, &old)?;
        let mut object = Value::clone(&old);
        lifecycle::mark_for_deletion(&mut object, key, options, self.ambient);
        if lifecycle::is_finished(key, &object) {
            // The last state is what was stored: an object that goes at once was never terminating.
            let last = Value::clone(&old);
            let gone = self.record(EventKind::Deleted, key, last, Some(old));
            if !lifecycle::has_grace(key) {
                return Ok(Deleted::Removed(gone));
            }
            // A kind with a grace period is answered as it was marked.
            object["metadata"]["resourceVersion"] = gone["metadata"]["resourceVersion"].clone();
            return Ok(Deleted::Removed(Arc::new(object)));
        }
        if object == *old {
            return Ok(Deleted::Marked(old));
        }
        Ok(Deleted::Marked(self.record(EventKind::Modified, key, object, Some(old))))
    }

    fn record(&mut self, kind: EventKind, key: &Key, mut object: Value, previous: Option<Object>) -> Object {
        self.state.version += 1;
        let version = self.state.version;
        object["metadata"]["resourceVersion"] = Value::String(version.to_string());
        let object = Arc::new(object);
        let slot = Arc::new(Slot::new(object.clone()));
        let previous = previous.map(|old| self.state.slot(key).unwrap_or_else(|| Arc::new(Slot::new(old))));
        self.state.set(key, (kind != EventKind::Deleted).then(|| slot.clone()));
        self.events.push(Event { version, key: key.clone(), kind, object: slot, previous });
        object
    }

    pub(super) fn commit(self, log: Option<&Log>) -> Result<Vec<Arc<Event>>, Error> {
        if self.events.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(log) = log
            && let Err(source) = log.append(&self.events)
        {
            self.revert();
            return Err(Error::Log(source));
        }
        let events: Vec<Arc<Event>> = self.events.into_iter().map(Arc::new).collect();
        let now = self.ambient.now();
        for event in &events {
            self.state.publish(now, event.clone());
        }
        Ok(events)
    }

    pub(super) fn revert(self) {
        for event in self.events.iter().rev() {
            self.state.revert(event);
        }
        self.state.version = self.started_at;
    }
}
