//! `metadata.managedFields`: who owns what, as a list of managers with their field sets.

use super::set::FieldSet;
use serde_json::{Value, json};

/// Update entries kept apart; older ones are folded into `ancient-changes`, as the real server does.
const MAX_UPDATE_MANAGERS: usize = 10;
/// The manager that stands for folded entries.
const ANCIENT: &str = "ancient-changes";

/// The two ways fields are taken: server-side apply, or any other write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Server-side apply.
    Apply,
    /// Create, update and the other patch types.
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// One writer of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// Name: the `fieldManager` parameter, else the user agent up to `/`.
    pub name: String,
    /// Version the write was made in, such as `apps/v1`.
    pub api_version: String,
    /// `status`, `scale` ..., empty for the object itself.
    pub subresource: String,
}

/// One entry of `managedFields`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) manager: Manager,
    pub(super) operation: Operation,
    /// RFC 3339 in whole seconds, empty when never set.
    pub(super) time: String,
    pub(super) fields: FieldSet,
}

impl Entry {
    fn read(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let operation = match value["operation"].as_str()? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        let manager = Manager {
            name: text("manager"),
            api_version: text("apiVersion"),
            subresource: text("subresource"),
        };
        let fields = FieldSet::from_fields_v1(&value["fieldsV1"]);
        Some(Self { manager, operation, time: text("time"), fields })
    }

    fn write(&self) -> Value {
        let mut entry = json!({
            "manager": self.manager.name, "operation": self.operation.name(),
            "apiVersion": self.manager.api_version, "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.to_fields_v1(),
        });
        if !self.time.is_empty() {
            entry["time"] = json!(self.time);
        }
        if !self.manager.subresource.is_empty() {
            entry["subresource"] = json!(self.manager.subresource);
        }
        entry
    }

    /// The owner in a conflict message.
    pub(super) fn owner(&self) -> String {
        let mut owner = format!("{:?}", self.manager.name);
        if !self.manager.subresource.is_empty() {
            owner += &format!(" with subresource {:?}", self.manager.subresource);
        }
        if self.operation == Operation::Update {
            owner += &format!(" using {}", self.manager.api_version);
        }
        owner
    }

    /// An apply entry is told apart by name and subresource; an update entry also by version.
    pub(super) fn is(&self, manager: &Manager, operation: Operation) -> bool {
        let same_version = operation == Operation::Apply || self.manager.api_version == manager.api_version;
        self.operation == operation
            && self.manager.name == manager.name
            && self.manager.subresource == manager.subresource
            && same_version
    }
}

/// The managers of an object. `Err` when an entry cannot be read.
pub(super) fn read(object: &Value) -> Option<Vec<Entry>> {
    match object.pointer("/metadata/managedFields") {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(entries)) => entries.iter().map(Entry::read).collect(),
        Some(_) => None,
    }
}

/// Whether the list asks for a reset: exactly one empty entry.
pub(super) fn is_reset(object: &Value) -> bool {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.is_some_and(|entries| matches!(entries.as_slice(), [Value::Object(only)] if only.is_empty()))
}

/// Puts the managers into the object, in the server's order, or removes the list when nobody owns anything.
pub(super) fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    fold_old_updates(&mut entries);
    entries.sort_by(|a, b| order(a).cmp(&order(b)));
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if entries.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), entries.iter().map(Entry::write).collect());
    }
}

fn order(entry: &Entry) -> (Operation, &str, &str, &str, &str) {
    let manager = &entry.manager;
    (entry.operation, &entry.time, &manager.name, &manager.api_version, &manager.subresource)
}

fn fold_old_updates(entries: &mut Vec<Entry>) {
    let mut updates: Vec<Entry> =
        entries.iter().filter(|e| e.operation == Operation::Update).cloned().collect();
    if updates.len() <= MAX_UPDATE_MANAGERS {
        return;
    }
    updates.sort_by(|a, b| order(a).cmp(&order(b)));
    let surplus = updates.len() - MAX_UPDATE_MANAGERS;
    let folded: Vec<Entry> = updates.drain(..=surplus).collect();
    entries.retain(|entry| !folded.contains(entry));
    let Some(last) = folded.last() else { return };
    let mut ancient = last.clone();
    ancient.manager = Manager { name: ANCIENT.to_owned(), subresource: String::new(), ..ancient.manager };
    ancient.fields = folded.iter().fold(FieldSet::default(), |all, entry| all.union(&entry.fields));
    entries.push(ancient);
}
