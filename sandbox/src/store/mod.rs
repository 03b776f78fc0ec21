//! The cluster's memory: objects by resource, namespace and name, under one resourceVersion.
//!
//! API and controllers write through the same few operations, all of them atomic:
//!
//! ```text
//!   Store::transaction(|t| ..)      t.get, t.list, t.create, t.update, t.delete
//!        | one write(2) to the log, then visible, then
//!        v
//!   Watch::next()                   Added / Modified / Deleted, old and new object
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `key` | where an object lives |
//! | `event` | what a change is |
//! | `slot` | one version of one object: a tree while it is fresh, then text |
//! | `state` | objects and recent events in memory |
//! | `transaction` | reading and writing atomically |
//! | `lifecycle` | birth, generation, deletion and finalizers of any object |
//! | `watch` | following the events |
//! | `selector` | label and field selectors |
//! | `log` | the state directory: snapshot and log |
//!
//! The store knows no schema, no admission and no HTTP: that is `api`.

mod error;
mod event;
mod key;
pub mod lifecycle;
mod log;
pub mod selector;
mod slot;
mod state;
#[cfg(test)]
mod tests;
mod transaction;
mod watch;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;

pub use self::error::{Error, OpenError, TooOld};
pub use self::event::{Event, EventKind};
pub use self::key::{Key, Resource};
pub use self::lifecycle::{DeleteOptions, Deleted, Propagation};
pub use self::slot::Slot;
pub use self::transaction::Transaction;
pub use self::watch::Watch;

use self::log::Log;
use self::state::State;
use crate::ambient::Ambient;
use crate::kinds::Kinds;

/// A stored object. It is never changed in place: a write stores a new one.
pub type Object = Arc<Value>;

/// What a list saw, and when. Objects are read one at a time, as they are asked for.
#[derive(Clone, Debug)]
pub struct List {
    /// The objects, by namespace and then name.
    pub items: Vec<Item>,
    /// The resourceVersion they were read at; a watch from here misses nothing.
    pub version: u64,
}

impl List {
    /// The objects, each read when its turn comes.
    pub fn objects(&self) -> impl Iterator<Item = Object> {
        self.items.iter().map(Item::object)
    }
}

/// One object of a list.
#[derive(Clone, Debug)]
pub struct Item {
    namespace: Arc<str>,
    name: Arc<str>,
    slot: Arc<Slot>,
}

impl Item {
    /// Its namespace, empty when it has none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The object.
    pub fn object(&self) -> Object {
        self.slot.object()
    }

    /// The object without its `managedFields`.
    pub fn outline(&self) -> Object {
        self.slot.outline()
    }

    /// The same as one line of JSON.
    pub fn text(&self) -> bytes::Bytes {
        self.slot.text()
    }
}

/// The cluster's memory; cheap to clone, all clones are one.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    state: RwLock<State>,
    log: Option<Log>,
    kinds: Kinds,
    ambient: Ambient,
    observers: RwLock<Vec<Observer>>,
}

type Observer = Box<dyn Fn(&Event) + Send + Sync>;

impl Store {
    /// An empty store that is gone with the process.
    pub fn in_memory(kinds: Kinds, ambient: Ambient) -> Self {
        Self::with(State::default(), None, kinds, ambient)
    }

    /// The store kept in `directory`, which must exist. Only one process may have it open.
    pub fn open(directory: &Path, kinds: Kinds, ambient: Ambient) -> Result<Self, OpenError> {
        let (log, state) = Log::open(directory, ambient.now())?;
        Ok(Self::with(state, Some(log), kinds, ambient))
    }

    fn with(state: State, log: Option<Log>, kinds: Kinds, ambient: Ambient) -> Self {
        Self(Arc::new(Inner { state: RwLock::new(state), log, kinds, ambient, observers: RwLock::default() }))
    }

    /// The kinds this cluster serves.
    pub fn kinds(&self) -> &Kinds {
        &self.0.kinds
    }

    /// The cluster's clock and randomness.
    pub fn ambient(&self) -> &Ambient {
        &self.0.ambient
    }

    /// The resourceVersion of the last write.
    pub fn version(&self) -> u64 {
        self.read().version
    }

    /// One object, or none.
    pub fn get(&self, key: &Key) -> Option<Object> {
        self.read().get(key)
    }

    /// The objects of a resource, in one namespace or in all.
    pub fn list(&self, resource: &Resource, namespace: Option<&str>) -> List {
        let state = self.read();
        List { items: state.list(resource, namespace), version: state.version }
    }

    /// The objects of a resource as they were at `version`, as far back as events are kept.
    pub fn list_at(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<List, TooOld> {
        let items = self.read().list_at(resource, namespace, version)?;
        Ok(List { items, version })
    }

    /// The objects of a resource whose labels match, in one namespace or in all.
    pub fn select(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        labels: &selector::LabelSelector,
    ) -> Vec<Object> {
        self.list(resource, namespace)
            .items
            .iter()
            .filter(|item| labels.matches(&item.outline()))
            .map(Item::object)
            .collect()
    }

    /// How many objects of a resource there are.
    pub fn count(&self, resource: &Resource) -> usize {
        self.read().count(resource)
    }

    /// Creates an object; uid, creation time and generation are given to it here.
    pub fn create(&self, key: &Key, object: Value) -> Result<Object, Error> {
        self.transaction(|t| t.create(key, object))
    }

    /// Replaces an object. With a `metadata.resourceVersion` it must be the stored one. Equal
    /// content writes nothing; a terminating object without finalizers is removed.
    pub fn update(&self, key: &Key, object: Value) -> Result<Object, Error> {
        self.transaction(|t| t.update(key, object))
    }

    /// Changes an object in place, atomically: reads it, hands a copy to `change`, stores the result.
    pub fn modify(&self, key: &Key, change: impl FnOnce(&mut Value)) -> Result<Object, Error> {
        self.transaction(|t| {
            let mut object = Value::clone(&*t.get(key).ok_or_else(|| Error::NotFound(key.clone()))?);
            change(&mut object);
            t.update(key, object)
        })
    }

    /// Deletes an object, or marks it as terminating while finalizers or a grace period hold it.
    pub fn delete(&self, key: &Key, options: &DeleteOptions) -> Result<Deleted, Error> {
        self.transaction(|t| t.delete(key, options))
    }

    /// Reads and writes atomically: either all writes of `work` happen, or (when it fails, or the
    /// log cannot be written) none. `work` holds the store's lock: it must not wait for anything,
    /// nor use the store in another way than through its argument.
    pub fn transaction<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut state = self.write();
        let mut transaction = Transaction::begin(&mut state, &self.0.kinds, &self.0.ambient);
        let answer = match work(&mut transaction) {
            Ok(answer) => match transaction.commit(self.0.log.as_ref()) {
                Ok(events) => {
                    self.tell_observers(&events);
                    Ok(answer)
                }
                Err(error) => Err(error.into()),
            },
            Err(error) => {
                transaction.revert();
                Err(error)
            }
        };
        drop(state);
        self.compact_when_due();
        answer
    }

    /// Like [`Store::transaction`], but nothing that `work` writes ever happens.
    pub fn rehearse<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut state = self.write();
        let mut transaction = Transaction::begin(&mut state, &self.0.kinds, &self.0.ambient);
        let answer = work(&mut transaction);
        transaction.revert();
        answer
    }

    /// Follows the changes of one resource after `version`.
    pub fn watch(&self, resource: &Resource, version: u64) -> Result<Watch, TooOld> {
        Watch::start(self.clone(), Some(resource.clone()), version)
    }

    /// Follows the changes of all resources after `version`.
    pub fn watch_all(&self, version: u64) -> Result<Watch, TooOld> {
        Watch::start(self.clone(), None, version)
    }

    /// Writes a fresh snapshot and drops the log it replaces; done by itself when the log grows.
    pub fn compact(&self) -> Result<(), Error> {
        match &self.0.log {
            None => Ok(()),
            Some(log) => log.compact(|| {
                let state = self.read();
                (state.version, state.slots())
            }),
        }
        .map_err(Error::Log)
    }

    /// Lets go of the state directory, so that another process may open it. Writes fail from here on.
    pub fn close(&self) {
        if let Some(log) = &self.0.log {
            log.close();
        }
    }

    /// Calls `observer` with every change, after it happened and before its writer gets an answer.
    /// It runs while the store is locked: it must be quick and must not use the store.
    pub fn observe(&self, observer: impl Fn(&Event) + Send + Sync + 'static) {
        self.0.observers.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(observer));
    }

    fn tell_observers(&self, events: &[Arc<Event>]) {
        let observers = self.0.observers.read().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            for observer in observers.iter() {
                observer(event);
            }
        }
    }

    /// Compacts on a thread of its own, so that no writer waits for it.
    fn compact_when_due(&self) {
        if self.0.log.as_ref().is_some_and(Log::is_due) {
            let store = self.clone();
            std::thread::spawn(move || {
                if let Err(error) = store.compact() {
                    tracing::warn!(?error, "the cluster's log was not compacted");
                }
            });
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("version", &self.version()).finish_non_exhaustive()
    }
}

/// A copy of an object that carries another resourceVersion.
fn with_version(object: &Object, version: u64) -> Object {
    let mut copy = Value::clone(object);
    copy["metadata"]["resourceVersion"] = Value::String(version.to_string());
    Arc::new(copy)
}
