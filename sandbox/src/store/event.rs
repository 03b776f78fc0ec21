//! What changed: one event for each change of one object.

use super::{Key, Object};

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
    /// The object after the change; for [`EventKind::Deleted`] its last state, with the
    /// resourceVersion of the deletion.
    pub object: Object,
    /// The object before the change; none for [`EventKind::Added`].
    pub previous: Option<Object>,
}
