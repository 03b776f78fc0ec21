//! Walks of a value along its schema: which fields it has, and what changed between two values.
//!
//! Granular objects are walked key by key, granular lists element by element; anything atomic is one field.

use super::set::{FieldSet, field_edge};
use crate::schema::{ListKind, ListShape, ObjectShape, Schema, Shape};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A list whose elements are owned one by one, as edge and element.
pub(super) type Elements<'a> = Vec<(String, &'a Value)>;

/// How a value is walked.
pub(super) enum Walk<'s> {
    /// One field: a scalar or something atomic.
    Leaf,
    /// Key by key.
    Map(Keys<'s>),
    /// Element by element.
    List(&'s ListShape),
}

/// The keys of a granular object.
pub(super) enum Keys<'s> {
    /// An object with a schema.
    Declared(&'s ObjectShape),
    /// Undescribed data.
    Any,
}

impl Keys<'_> {
    /// Schema below a key, and whether the key is a declared field.
    pub(super) fn field(&self, key: &str) -> (Schema, bool) {
        match self {
            Keys::Any => (Schema::any(), false),
            Keys::Declared(object) => {
                (object.field(key).unwrap_or_else(Schema::any), object.fields.contains_key(key))
            }
        }
    }
}

/// Decides how a value of this schema is walked; the value decides where the schema is silent.
pub(super) fn walk<'s>(schema: &'s Schema, value: &Value) -> Walk<'s> {
    match schema.shape() {
        Shape::Object(object) if !object.atomic && (value.is_object() || value.is_null()) => {
            Walk::Map(Keys::Declared(object))
        }
        Shape::List(list) if list.kind != ListKind::Atomic && (value.is_array() || value.is_null()) => {
            Walk::List(list)
        }
        Shape::Any if value.is_object() => Walk::Map(Keys::Any),
        _ => Walk::Leaf,
    }
}

/// The edge that names a list element; `None` when it lacks a key.
pub(super) fn element_edge(list: &ListShape, item: &Value) -> Option<String> {
    match &list.kind {
        ListKind::Set => Some(format!("v:{item}")),
        ListKind::Map(keys) => key_edge(list, keys, item),
        ListKind::Atomic => None,
    }
}

fn key_edge(list: &ListShape, keys: &[String], item: &Value) -> Option<String> {
    let item = item.as_object()?;
    let mut found = BTreeMap::new();
    for key in keys {
        let default = || list.items.field(key).and_then(|field| field.node().default.clone());
        if let Some(value) = item.get(key).cloned().or_else(default) {
            found.insert(key.as_str(), value);
        }
    }
    if found.is_empty() {
        return None;
    }
    serde_json::to_string(&found).ok().map(|keys| format!("k:{keys}"))
}

/// The elements of a granular list with their edges; nameless ones get their position.
pub(super) fn elements<'a>(list: &ListShape, items: &'a [Value]) -> Elements<'a> {
    let edge = |(at, item)| (element_edge(list, item).unwrap_or_else(|| format!("i:{at}")), item);
    items.iter().enumerate().map(edge).collect()
}

/// Every field `value` has.
pub(super) fn field_set(schema: &Schema, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    match walk(schema, value) {
        Walk::Leaf => set.set_member(),
        Walk::Map(keys) => {
            for (key, below) in value.as_object().into_iter().flatten() {
                let (schema, declared) = keys.field(key);
                let mut child = field_set(&schema, below);
                let empty = below.is_null() || below.as_object().is_some_and(Map::is_empty);
                if empty || !declared {
                    child.set_member();
                }
                set.attach(field_edge(key), child);
            }
        }
        Walk::List(list) => {
            for (edge, item) in elements(list, array(Some(value))) {
                let mut child = field_set(&list.items, item);
                child.set_member();
                set.attach(edge, child);
            }
        }
    }
    set
}

/// What differs between two values.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

impl Comparison {
    pub(super) fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    fn attach(&mut self, edge: &str, child: Comparison) {
        self.added.attach(edge.to_owned(), child.added);
        self.modified.attach(edge.to_owned(), child.modified);
        self.removed.attach(edge.to_owned(), child.removed);
    }

    /// The comparison without the fields below `ignored`.
    pub(super) fn without(self, ignored: &FieldSet) -> Self {
        Self {
            added: self.added.recursive_difference(ignored),
            modified: self.modified.recursive_difference(ignored),
            removed: self.removed.recursive_difference(ignored),
        }
    }
}

/// Compares two values field by field; an absent side is `None`.
pub(super) fn compare(schema: &Schema, old: Option<&Value>, new: Option<&Value>) -> Comparison {
    let mut result = Comparison::default();
    let Some(some) = new.or(old) else { return result };
    let leaf = match walk(schema, if some.is_null() { old.unwrap_or(some) } else { some }) {
        Walk::Map(keys) if !(is_empty(old) && is_empty(new)) && walkable(old, new, Value::is_object) => {
            compare_maps(&keys, object(old), object(new), &mut result);
            false
        }
        Walk::List(list) if !(is_empty(old) && is_empty(new)) && walkable(old, new, Value::is_array) => {
            compare_lists(list, array(old), array(new), &mut result);
            false
        }
        _ => true,
    };
    match (old, new) {
        (None, _) => result.added.set_member(),
        (_, None) => result.removed.set_member(),
        (Some(old), Some(new)) if leaf && !same(old, new) => result.modified.set_member(),
        _ => {}
    }
    result
}

fn walkable(old: Option<&Value>, new: Option<&Value>, fits: fn(&Value) -> bool) -> bool {
    [old, new].into_iter().flatten().all(|value| value.is_null() || fits(value))
}

/// Equality with numbers compared by value: `1` and `1.0` are the same.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

static NO_KEYS: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);

fn object(value: Option<&Value>) -> &Map<String, Value> {
    value.and_then(Value::as_object).unwrap_or(&NO_KEYS)
}

pub(super) fn array(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn compare_maps(keys: &Keys<'_>, old: &Map<String, Value>, new: &Map<String, Value>, out: &mut Comparison) {
    let only_new = new.keys().filter(|key| !old.contains_key(*key));
    for key in old.keys().chain(only_new) {
        let (schema, _) = keys.field(key);
        out.attach(&field_edge(key), compare(&schema, old.get(key), new.get(key)));
    }
}

fn compare_lists(list: &ListShape, old: &[Value], new: &[Value], out: &mut Comparison) {
    let (old, new) = (unique(list, old), unique(list, new));
    let only_new = new.keys().filter(|edge| !old.contains_key(*edge));
    for edge in old.keys().chain(only_new) {
        let change = compare(&list.items, old.get(edge).copied(), new.get(edge).copied());
        out.attach(edge, change);
    }
}

fn unique<'a>(list: &ListShape, items: &'a [Value]) -> BTreeMap<String, &'a Value> {
    let mut found = BTreeMap::new();
    for (edge, item) in elements(list, items) {
        found.entry(edge).or_insert(item);
    }
    found
}
