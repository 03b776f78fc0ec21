//! A large answer as a script sees it: a map that reads the received JSON where it lies. It behaves like a
//! map (`pod.metadata.name`, `"x" in pod`, `pod.keys()`, `pod.len()`); writing to it makes a real map of it.

use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, ImmutableString};
use serde_json::Value;

/// An object inside received JSON.
#[derive(Clone)]
pub(crate) struct View {
    root: Arc<Value>,
    /// The part of `root` this view shows, as a JSON pointer; empty: all of it.
    pointer: Arc<str>,
}

impl View {
    pub(crate) fn new(root: Arc<Value>) -> Self {
        Self { root, pointer: Arc::from("") }
    }

    pub(crate) fn json(&self) -> &Value {
        self.root.pointer(&self.pointer).unwrap_or(&Value::Null)
    }

    fn get(&self, key: &str) -> Dynamic {
        self.json().get(key).map_or(Dynamic::UNIT, |value| self.show(value, &escaped(key)))
    }

    fn show(&self, value: &Value, step: &str) -> Dynamic {
        let pointer = || format!("{}/{step}", self.pointer);
        match value {
            Value::Object(_) => {
                Dynamic::from(Self { root: Arc::clone(&self.root), pointer: pointer().into() })
            }
            Value::Array(items) => {
                let here = Self { root: Arc::clone(&self.root), pointer: pointer().into() };
                items.iter().enumerate().map(|(i, v)| here.show(v, &i.to_string())).collect::<Array>().into()
            }
            scalar => super::convert::from_json(scalar, &crate::secret::Vault::default()),
        }
    }

    fn keys(&self) -> Array {
        self.json().as_object().into_iter().flatten().map(|(key, _)| key.into()).collect()
    }

    fn values(&self) -> Array {
        self.json().as_object().into_iter().flatten().map(|(key, v)| self.show(v, &escaped(key))).collect()
    }

    fn set(&mut self, key: &str, value: Value) {
        let mut owned = self.json().clone();
        if let Some(map) = owned.as_object_mut() {
            map.insert(key.to_owned(), value);
        }
        *self = Self::new(Arc::new(owned));
    }

    fn len(&self) -> i64 {
        self.json().as_object().map_or(0, |map| i64::try_from(map.len()).unwrap_or(i64::MAX))
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Makes views behave as maps in scripts.
pub(crate) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<View>("map")
        .register_indexer_get(|view: &mut View, key: ImmutableString| view.get(&key))
        .register_indexer_set(|view: &mut View, key: ImmutableString, value: Dynamic| {
            let json = super::convert::to_json(&value, &crate::secret::Vault::default()).unwrap_or_default();
            view.set(&key, json);
        })
        .register_fn("keys", |view: &mut View| view.keys())
        .register_fn("values", |view: &mut View| view.values())
        .register_fn("len", |view: &mut View| view.len())
        .register_fn("is_empty", |view: &mut View| view.len() == 0)
        .register_fn("contains", |view: &mut View, key: ImmutableString| {
            view.json().get(key.as_str()).is_some()
        })
        .register_fn("get", |view: &mut View, key: ImmutableString| view.get(&key))
        .register_fn("to_json", |view: &mut View| view.json().to_string())
        .register_fn("to_string", |view: &mut View| view.json().to_string())
        .register_fn("to_debug", |view: &mut View| view.json().to_string())
        .register_fn("==", |left: View, right: View| left.json() == right.json())
        .register_fn("!=", |left: View, right: View| left.json() != right.json());
}
