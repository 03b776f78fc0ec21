//! The life of a CustomResourceDefinition: its names are accepted or not, and its objects go
//! before it does.
//!
//! A real server does this in controllers a moment later. Here it is part of the transaction that
//! writes the definition, so nobody meets one that is accepted and not yet served.

use serde_json::{Value, json};

use super::{GROUP, PLURAL, storage_of};
use crate::patch::{self, Manager};
use crate::schema::ObjectType;
use crate::store::{
    DeleteOptions, Deleted, Error, Key, Object, Propagation, Resource, Transaction, lifecycle,
};

/// The finalizer that keeps a definition until its objects are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Accepts the names of a definition that was just written, or says whose they are.
pub(in crate::api) fn accept(t: &mut Transaction<'_>, key: &Key) -> Result<(), Error> {
    let Some(definition) = t.get(key).filter(|definition| needs_acceptance(definition)) else {
        return Ok(());
    };
    let (accepted, conflict) = accepted_names(t, &definition);
    let mut status = definition["status"].clone();
    status["acceptedNames"] = accepted;
    let mut write =
        |t: &mut Transaction<'_>, accepted: (&str, &str, &str), established: (&str, &str, &str)| {
            set_condition(&mut status, t, "NamesAccepted", accepted);
            set_condition(&mut status, t, "Established", established);
            write_status(t, key, status.clone())
        };
    if let Some((reason, message)) = conflict {
        return write(t, ("False", reason, &message), ("False", "NotAccepted", "not all names are accepted"));
    }
    let accepted = ("True", "NoConflicts", "no conflicts found");
    let message = "the initial names have been accepted";
    write(t, accepted, ("False", "Installing", message))?;
    write(t, accepted, ("True", "InitialNamesAccepted", message))
}

fn needs_acceptance(definition: &Value) -> bool {
    let names = &definition["spec"]["names"];
    !is_established(definition) || definition["status"]["acceptedNames"] != *names
}

/// Whether the kind of a definition is served.
pub(super) fn is_established(definition: &Value) -> bool {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

/// The names that no other definition of the group has, and the last one that another has.
fn accepted_names(t: &Transaction<'_>, definition: &Value) -> (Value, Option<(&'static str, String)>) {
    let others: Vec<Object> = t
        .list(&Resource::new(GROUP, PLURAL), None)
        .into_iter()
        .filter(|other| other["metadata"]["uid"] != definition["metadata"]["uid"])
        .filter(|other| other["spec"]["group"] == definition["spec"]["group"])
        .collect();
    let taken = |fields: &[&str], name: &Value| {
        others.iter().any(|other| {
            let names = &other["status"]["acceptedNames"];
            fields.iter().any(|field| match &names[*field] {
                Value::Array(list) => list.contains(name),
                one => one == name && !one.is_null(),
            })
        })
    };
    let resource_names = ["plural", "singular", "shortNames"];
    let kind_names = ["kind", "listKind"];
    let names = &definition["spec"]["names"];
    let mut accepted = names.clone();
    let mut conflict = None;
    let checks = [
        ("plural", "PluralConflict", &resource_names[..]),
        ("singular", "SingularConflict", &resource_names[..]),
        ("shortNames", "ShortNamesConflict", &resource_names[..]),
        ("kind", "KindConflict", &kind_names[..]),
        ("listKind", "ListKindConflict", &kind_names[..]),
    ];
    for (field, reason, fields) in checks {
        let wanted = names[field].as_array().cloned().unwrap_or_else(|| vec![names[field].clone()]);
        if let Some(name) = wanted.iter().find(|name| taken(fields, name)) {
            conflict = Some((reason, format!("{name} is already in use")));
            match field {
                "plural" | "kind" => accepted[field] = "".into(),
                _ => crate::api::write::remove(&mut accepted, field),
            }
        }
    }
    (accepted, conflict)
}

fn set_condition(
    status: &mut Value,
    t: &Transaction<'_>,
    name: &str,
    (value, reason, message): (&str, &str, &str),
) {
    let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let old = conditions.iter().position(|condition| condition["type"] == name);
    let unchanged = old.map(|index| &conditions[index]).filter(|condition| condition["status"] == value);
    let since = unchanged.map(|condition| condition["lastTransitionTime"].clone());
    let since = since.unwrap_or_else(|| t.ambient().timestamp().into());
    let condition = json!({
        "type": name, "status": value, "lastTransitionTime": since, "reason": reason, "message": message,
    });
    match old {
        Some(index) => conditions[index] = condition,
        None => conditions.push(condition),
    }
    status["conditions"] = conditions.into();
}

fn write_status(t: &mut Transaction<'_>, key: &Key, status: Value) -> Result<(), Error> {
    let Some(old) = t.get(key) else { return Ok(()) };
    let mut new = Value::clone(&old);
    new["status"] = status;
    let manager = Manager {
        name: "kube-apiserver".into(),
        api_version: format!("{GROUP}/v1"),
        subresource: "status".into(),
    };
    if let Some(object_type) = ObjectType::builtin(GROUP, "v1", "CustomResourceDefinition") {
        let untouched = patch::untouched_fields("status", true, &["metadata.labels"]);
        let time = t.ambient().timestamp();
        patch::track_update(object_type.schema(), Some(&old), &mut new, &manager, &time, &untouched);
    }
    t.update_quietly(key, new).map(|_| ())
}

/// Deletes a definition: its objects go first, and as long as one stays it is terminating.
pub(in crate::api) fn delete(
    t: &mut Transaction<'_>,
    key: &Key,
    options: &DeleteOptions,
) -> Result<Deleted, Error> {
    let definition = t.get(key).ok_or_else(|| Error::NotFound(key.clone()))?;
    let mut marked = Value::clone(&definition);
    lifecycle::add_finalizer(&mut marked, CLEANUP);
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    set_condition(&mut marked["status"], t, "Terminating", ("True", "InstanceDeletionPending", message));
    t.update_quietly(key, marked)?;
    let mut options = options.clone();
    options.resource_version = None;
    let deleted = t.delete(key, &options)?;
    let storage = storage_of(&definition);
    let going = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    for object in t.list(&storage, None) {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        t.delete(&storage.key(text("namespace"), text("name")), &going)?;
    }
    finish(t, &storage)?;
    Ok(deleted)
}

/// Lets a terminating definition go when the last of its objects has gone.
pub(in crate::api) fn finish(t: &mut Transaction<'_>, storage: &Resource) -> Result<(), Error> {
    let key = Resource::new(GROUP, PLURAL).key("", &storage.to_string());
    let Some(definition) = t.get(&key).filter(|definition| lifecycle::is_terminating(definition)) else {
        return Ok(());
    };
    if t.list(storage, None).is_empty() {
        let mut done = Value::clone(&definition);
        lifecycle::remove_finalizer(&mut done, CLEANUP);
        t.update(&key, done)?;
    }
    Ok(())
}
