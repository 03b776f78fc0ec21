//! New objects: named, admitted, filled in, checked, stored.

use serde_json::Value;

use super::change::{admit, schema_problems};
use super::{Draft, remove};
use crate::admission::Operation;
use crate::api::status::Status;
use crate::api::{custom, metadata, strategy};
use crate::store::{Key, Object, Transaction};

/// Creates an object that was read, or made by an apply.
pub(in crate::api) fn create_in(
    t: &mut Transaction<'_>,
    draft: &mut Draft<'_>,
    object: Value,
) -> Result<Object, Status> {
    let mut object = object;
    check_is_new(&object)?;
    draft.own(None, &mut object, &t.ambient().timestamp());
    let object = prepare_creation(t, draft, object)?;
    store_new(t, draft, object)
}

/// A new object has no version yet.
pub(super) fn check_is_new(object: &Value) -> Result<(), Status> {
    match object["metadata"]["resourceVersion"].as_str() {
        None | Some("") => Ok(()),
        Some(_) => Err(Status::internal("resourceVersion should not be set on objects to be created")),
    }
}

/// Everything a new object goes through once its fields have owners: what the server adds has none.
pub(super) fn prepare_creation(
    t: &Transaction<'_>,
    draft: &mut Draft<'_>,
    mut object: Value,
) -> Result<Value, Status> {
    let fields = [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "generation",
        "resourceVersion",
    ];
    for field in fields {
        remove(&mut object["metadata"], field);
    }
    give_name(t, draft, &mut object);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    object["metadata"]["uid"] = t.ambient().uid(&draft.call.key_of(name).to_string()).into();
    object["metadata"]["creationTimestamp"] = t.ambient().timestamp().into();
    admit(t, draft, Operation::Create, None, &mut object)?;
    strategy::prepare_for_create(t, draft.kind, &mut object)?;
    let mut causes = metadata::problems(&object, draft.kind);
    causes.extend(schema_problems(draft, None, &object));
    causes.extend(strategy::validate(t, draft.kind, None, &object));
    if !causes.is_empty() {
        return Err(draft.invalid(&object, &causes));
    }
    Ok(object)
}

pub(super) fn give_name(t: &Transaction<'_>, draft: &Draft<'_>, object: &mut Value) {
    let metadata = &mut object["metadata"];
    let prefix = metadata["generateName"].as_str().unwrap_or_default().to_owned();
    if metadata["name"].as_str().unwrap_or_default().is_empty() && !prefix.is_empty() {
        // A name has at most 63 characters with its suffix of five.
        let prefix: String = prefix.chars().take(58).collect();
        let purpose = draft.call.key_of(&prefix).to_string();
        metadata["name"] = format!("{prefix}{}", t.ambient().suffix(&purpose, 5)).into();
    }
}

pub(super) fn store_new(t: &mut Transaction<'_>, draft: &Draft<'_>, object: Value) -> Result<Object, Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let key = draft.call.key_of(name);
    let stored = strategy::to_storage(object, draft.kind);
    let object = t.create(&key, stored).map_err(|error| draft.store_error(&error))?;
    settle(t, draft, &key)?;
    Ok(object)
}

/// What follows from a write at once: definitions are accepted, or go with their last object.
pub(super) fn settle(t: &mut Transaction<'_>, draft: &Draft<'_>, key: &Key) -> Result<(), Status> {
    let settled = if custom::is_definition(key) {
        custom::accept(t, key)
    } else if draft.kind.custom {
        custom::finish(t, &draft.kind.storage)
    } else {
        Ok(())
    };
    settled.map_err(|error| draft.store_error(&error))
}
