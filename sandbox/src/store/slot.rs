//! One version of one object, held as cheaply as its use allows.
//!
//! A parsed tree takes about ten times the memory of its text, and almost all that a cluster remembers is not looked
//! at: old versions, events, what a snapshot brought. So a version is a tree while it is fresh, then text, and a tree
//! again for as long as somebody holds one. The store's shelf and the events before and after share one slot.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use bytes::Bytes;
use serde_json::Value;

use super::Object;

/// One version of one object.
#[derive(Debug)]
pub struct Slot {
    text: OnceLock<Bytes>,
    tree: Mutex<Tree>,
}

#[derive(Debug)]
enum Tree {
    /// It stays.
    Kept(Object),
    /// It is there while somebody else holds it; else it is read from the text.
    Borrowed(Weak<Value>),
}

impl Slot {
    pub(super) fn new(object: Object) -> Self {
        Self { text: OnceLock::new(), tree: Mutex::new(Tree::Kept(object)) }
    }

    /// `text` was checked against its checksum, so it is what we once wrote.
    pub(super) fn unread(text: Bytes) -> Self {
        Self { text: OnceLock::from(text), tree: Mutex::new(Tree::Borrowed(Weak::new())) }
    }

    /// The object.
    pub fn object(&self) -> Object {
        let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        let held = match &*tree {
            Tree::Kept(object) => Some(object.clone()),
            Tree::Borrowed(object) => object.upgrade(),
        };
        held.unwrap_or_else(|| {
            let text = self.text.get().cloned().unwrap_or_default();
            let object = Arc::new(serde_json::from_slice(&text).unwrap_or(Value::Null));
            *tree = Tree::Borrowed(Arc::downgrade(&object));
            object
        })
    }

    /// The object as one line of JSON, written at most once.
    pub fn text(&self) -> Bytes {
        self.text.get_or_init(|| self.object().to_string().into()).clone()
    }

    /// From here on the tree is there only while somebody holds it.
    pub(super) fn cool(&self) {
        self.text();
        let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        if let Tree::Kept(object) = &*tree {
            *tree = Tree::Borrowed(Arc::downgrade(object));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_is_shared_while_it_is_used_and_read_again_afterwards() {
        let object = Arc::new(json!({"a": 1}));
        let slot = Slot::new(object.clone());
        slot.cool();
        assert!(Arc::ptr_eq(&slot.object(), &object));
        drop(object);
        let (one, other) = (slot.object(), slot.object());
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!((one, &*slot.text()), (Arc::new(json!({"a": 1})), &b"{\"a\":1}"[..]));
    }
}
