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
    outline: Mutex<Weak<Value>>,
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
        Self { text: OnceLock::new(), tree: Mutex::new(Tree::Kept(object)), outline: Mutex::default() }
    }

    /// `text` was checked against its checksum, so it is what we once wrote.
    pub(super) fn unread(text: Bytes) -> Self {
        Self {
            text: OnceLock::from(text),
            tree: Mutex::new(Tree::Borrowed(Weak::new())),
            outline: Mutex::default(),
        }
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

    /// The object without the record of who set which of its fields, which is more than half of a pod. Everybody who
    /// holds one holds the same.
    pub fn outline(&self) -> Object {
        let mut outline = self.outline.lock().unwrap_or_else(PoisonError::into_inner);
        outline.upgrade().unwrap_or_else(|| {
            let object = outline_of(&self.object());
            *outline = Arc::downgrade(&object);
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

fn outline_of(object: &Value) -> Object {
    let without = |fields: &Value, left_out: &str| -> Value {
        let fields = fields.as_object().into_iter().flatten();
        let kept = fields.filter(|(field, _)| *field != left_out);
        kept.map(|(field, value)| (field.clone(), value.clone())).collect::<serde_json::Map<_, _>>().into()
    };
    let mut outline = without(object, "metadata");
    if let Some(metadata) = object.get("metadata") {
        outline["metadata"] = without(metadata, "managedFields");
    }
    Arc::new(outline)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_outline_is_all_but_the_managers_and_everybody_holds_the_same() {
        let object = json!({"kind": "Pod", "metadata": {"name": "a", "managedFields": [{}]}, "spec": {}});
        let slot = Slot::new(Arc::new(object));
        let (one, other) = (slot.outline(), slot.outline());
        assert_eq!(*one, json!({"kind": "Pod", "metadata": {"name": "a"}, "spec": {}}));
        assert!(Arc::ptr_eq(&one, &other));
    }

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
