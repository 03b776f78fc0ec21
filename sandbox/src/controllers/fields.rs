//! Reading and writing the fields of an API object by path.
//!
//! Objects are JSON values from end to end, so that built-in and custom kinds take one road. These
//! helpers make that readable: an absent field reads as empty text, zero or an empty list, which is
//! what absence means nearly everywhere in the API. Where it means something else, use `pointer`.

use std::sync::Arc;

use serde_json::{Map, Value};

/// An API object as the store hands it out: shared, never changed in place.
pub type Object = Arc<Value>;

static NOTHING: Value = Value::Null;

/// Read access by JSON pointer with Kubernetes' idea of absence.
pub trait Fields {
    /// The value at `path`, or JSON null.
    fn at(&self, path: &str) -> &Value;

    /// The text at `path`, or `""`.
    fn text(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or_default()
    }
    /// The whole number at `path`.
    fn number(&self, path: &str) -> Option<i64> {
        self.at(path).as_i64()
    }
    /// The whole number at `path`, or zero.
    fn count(&self, path: &str) -> i64 {
        self.number(path).unwrap_or_default()
    }
    /// Whether `path` holds `true`.
    fn flag(&self, path: &str) -> bool {
        self.at(path).as_bool().unwrap_or_default()
    }
    /// The list at `path`, or an empty one.
    fn list(&self, path: &str) -> &[Value] {
        self.at(path).as_array().map_or(&[], Vec::as_slice)
    }
    /// The entries of the map at `path`.
    fn entries(&self, path: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.at(path)
            .as_object()
            .into_iter()
            .flat_map(|map| map.iter().map(|(key, value)| (key.as_str(), value)))
    }

    /// `metadata.name`.
    fn name(&self) -> &str {
        self.text("/metadata/name")
    }
    /// `metadata.namespace`, or `""` for a cluster-scoped object.
    fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }
    /// `metadata.uid`.
    fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }
    /// `metadata.generation`.
    fn generation(&self) -> i64 {
        self.count("/metadata/generation")
    }
    /// The value of a label, or `""`.
    fn label(&self, key: &str) -> &str {
        self.at("/metadata/labels").get(key).and_then(Value::as_str).unwrap_or_default()
    }
    /// The value of an annotation, or `""`.
    fn annotation(&self, key: &str) -> &str {
        self.at("/metadata/annotations").get(key).and_then(Value::as_str).unwrap_or_default()
    }
    /// Whether the object has been asked to go.
    fn is_terminating(&self) -> bool {
        !self.at("/metadata/deletionTimestamp").is_null()
    }
    /// Whether `metadata.finalizers` holds `finalizer`.
    fn has_finalizer(&self, finalizer: &str) -> bool {
        self.list("/metadata/finalizers").iter().any(|held| held == finalizer)
    }
    /// The owner reference that says `controller: true`.
    fn controller(&self) -> Option<&Value> {
        self.list("/metadata/ownerReferences").iter().find(|owner| owner.flag("/controller"))
    }
    /// Whether the object with `uid` controls this one.
    fn is_controlled_by(&self, uid: &str) -> bool {
        self.controller().is_some_and(|owner| owner.text("/uid") == uid)
    }
    /// The status condition of the given type.
    fn condition(&self, kind: &str) -> Option<&Value> {
        self.list("/status/conditions").iter().find(|held| held.text("/type") == kind)
    }
    /// Whether the status condition of the given type is `True`.
    fn is(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|held| held.text("/status") == "True")
    }
}

impl Fields for Value {
    fn at(&self, path: &str) -> &Value {
        // The library's own walk makes a text for every part, in case it is escaped; most are not.
        let found = if path.contains('~') { self.pointer(path) } else { plain(self, path) };
        found.unwrap_or(&NOTHING)
    }
}

/// The value at a path whose parts hold no escapes.
fn plain<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('/').skip(1).try_fold(value, |value, part| match value {
        Value::Object(map) => map.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Sets the value at a `/`-separated path, making maps on the way. Keys may not hold a `/`.
pub fn set(object: &mut Value, path: &str, value: Value) {
    let mut place = object;
    for part in path.split('/').skip(1) {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else { return };
        place = map.entry(part).or_insert(Value::Null);
    }
    *place = value;
}

/// Sets one key below a path: the way to write labels and annotations, whose keys hold slashes.
pub fn set_key(object: &mut Value, path: &str, key: &str, value: impl Into<Value>) {
    if object.at(path).is_null() {
        set(object, path, Value::Object(Map::new()));
    }
    if let Some(Value::Object(map)) = object.pointer_mut(path) {
        map.insert(key.to_owned(), value.into());
    }
}

/// Removes one key below a path.
pub fn remove_key(object: &mut Value, path: &str, key: &str) {
    if let Some(Value::Object(map)) = object.pointer_mut(path) {
        map.remove(key);
    }
}

/// The object with these owners; without any the list goes as well.
pub fn with_owners(object: &Value, owners: Vec<Value>) -> Value {
    let mut object = object.clone();
    match owners.is_empty() {
        true => remove_key(&mut object, "/metadata", "ownerReferences"),
        false => set(&mut object, "/metadata/ownerReferences", owners.into()),
    }
    object
}

/// Takes a finalizer off an object, dropping the list with the last one.
pub fn remove_finalizer(object: &mut Value, finalizer: &str) {
    let left: Vec<Value> =
        object.list("/metadata/finalizers").iter().filter(|held| *held != finalizer).cloned().collect();
    match left.is_empty() {
        true => remove_key(object, "/metadata", "finalizers"),
        false => set(object, "/metadata/finalizers", left.into()),
    }
}

/// The kind of an object as kubectl writes it: `Pod`, `Deployment.apps`, `Certificate.cert-manager.io`.
pub fn kind_of(object: &Value) -> String {
    qualified(object.text("/kind"), object.text("/apiVersion"))
}

/// `kind` with the group of `api_version` behind a dot; bare for the core group.
pub fn qualified(kind: &str, api_version: &str) -> String {
    match api_version.split_once('/') {
        Some((group, _)) => format!("{kind}.{group}"),
        None => kind.to_owned(),
    }
}

/// The owners of what `owner` makes: itself alone, as the controller.
pub fn controlled_by(owner: &Value) -> Value {
    Value::Array(vec![owner_reference(owner)])
}

/// An owner reference to `owner` that marks it as the controller, as built-in controllers write it.
pub fn owner_reference(owner: &Value) -> Value {
    serde_json::json!({
        "apiVersion": owner.text("/apiVersion"),
        "kind": owner.text("/kind"),
        "name": owner.name(),
        "uid": owner.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}
