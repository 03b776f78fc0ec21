//! What changed: one event for each change of one object.

use std::sync::Arc;

use super::{Key, Object, Slot};

/// How an object changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It did not exist before.
    Added,
    /// It existed and still does.
    Modified,
    /// It exists no longer.
    Deleted,
}

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Event {
    /// The cluster's resourceVersion after the change.
    pub version: u64,
    /// Which object.
    pub key: Key,
    /// How it changed.
    pub kind: EventKind,
    pub(super) object: Arc<Slot>,
    pub(super) previous: Option<Arc<Slot>>,
}

impl Event {
    /// The object after the change; for [`EventKind::Deleted`] its last state, with the
    /// resourceVersion of the deletion.
    pub fn object(&self) -> Object {
        self.object.object()
    }

    /// The object after the change, without its `managedFields`.
    pub fn outline(&self) -> Object {
        self.object.outline()
    }

    /// The same as one line of JSON.
    pub fn text(&self) -> bytes::Bytes {
        self.object.text()
    }

    /// The object before the change; none for [`EventKind::Added`].
    pub fn previous(&self) -> Option<Object> {
        self.previous.as_ref().map(|slot| slot.object())
    }

    /// The object before the change without its `managedFields`; none for [`EventKind::Added`].
    pub fn previous_outline(&self) -> Option<Object> {
        self.previous.as_ref().map(|slot| slot.outline())
    }

    /// Nobody is expected to look at it soon.
    pub(super) fn cool(&self) {
        self.object.cool();
        if let Some(previous) = &self.previous {
            previous.cool();
        }
    }
}
