//! Changed objects: the writer must mean the object that is there, and changes only its part of it.

use serde_json::{Value, json};

use super::creation::settle;
use super::{Draft, remove};
use crate::admission::{Operation, Request};
use crate::api::admit::admit as ask_admission;
use crate::api::reviews::user_info;
use crate::api::status::{Cause, Status};
use crate::api::{metadata, strategy, subresource};
use crate::patch;
use crate::store::{Object, Transaction};

/// Replaces an object by one that was read or patched.
pub(in crate::api) fn update_in(
    t: &mut Transaction<'_>,
    draft: &mut Draft<'_>,
    old: &Object,
    new: Value,
) -> Result<Object, Status> {
    let mut new = new;
    keep_other_parts(draft, old, &mut new);
    draft.own(Some(old), &mut new, &t.ambient().timestamp());
    let new = prepare_update(t, draft, old, new)?;
    store_changed(t, draft, old, new)
}

/// Everything a changed object goes through once its fields have owners.
pub(super) fn prepare_update(
    t: &Transaction<'_>,
    draft: &mut Draft<'_>,
    old: &Object,
    mut new: Value,
) -> Result<Value, Status> {
    let key_fields = [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
    ];
    for field in key_fields {
        match old["metadata"].get(field) {
            Some(value) => new["metadata"][field] = value.clone(),
            None => remove(&mut new["metadata"], field),
        }
    }
    admit(t, draft, Operation::Update, Some(old), &mut new)?;
    if draft.subresource.is_empty() {
        strategy::prepare_for_update(t, draft.kind, old, &mut new);
    }
    if draft.subresource == "status" {
        strategy::prepare_status(t, draft.kind, old, &mut new);
    }
    let mut causes = metadata::update_problems(old, &new);
    if !draft.kind.custom {
        // The real server checks these twice for built-in kinds, and tells of both.
        causes.extend(causes.clone());
    }
    causes.extend(metadata::problems(&new, draft.kind));
    causes.extend(schema_problems(draft, Some(old), &new));
    if draft.subresource.is_empty() {
        causes.extend(strategy::validate(t, draft.kind, Some(old), &new));
    }
    if !causes.is_empty() {
        return Err(draft.invalid(&new, &causes));
    }
    Ok(new)
}

/// The writer must mean the object that is there, in the version that is there.
pub(super) fn check_identity(draft: &Draft<'_>, old: &Object, new: &Value) -> Result<(), Status> {
    let name = draft.call.name();
    let version = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if version.is_empty() && draft.kind.custom {
        let causes =
            [Cause::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update")];
        // About options the resource is named, where objects name their kind.
        return Err(Status::invalid_named(&draft.kind.group, &draft.kind.plural, name, &causes));
    }
    if !version.is_empty() && version.parse::<u64>().is_err() {
        let message = format!("strconv.ParseUint: parsing {version:?}: invalid syntax");
        return Err(Status::internal(message));
    }
    let text = |object: &Value| object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let (expected, actual) = (text(new), text(old));
    if !expected.is_empty() && expected != actual {
        let place = format!("/registry/{}/{}/{name}", draft.kind.plural, draft.call.path.namespace);
        let problem = format!(
            "StorageError: invalid object, Code: 4, Key: {place}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {expected}, UID in object meta: {actual}"
        );
        return Err(Status::conflict(draft.kind, name, &problem));
    }
    check_version(draft, old, new)
}

pub(in crate::api) fn check_version(draft: &Draft<'_>, old: &Value, new: &Value) -> Result<(), Status> {
    let version = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    match version.is_empty() || old["metadata"]["resourceVersion"] == version {
        true => Ok(()),
        false => Err(Status::modified(draft.kind, draft.call.name())),
    }
}

/// A write to an object leaves its status alone, and a write to a subresource everything else.
pub(super) fn keep_other_parts(draft: &Draft<'_>, old: &Object, new: &mut Value) {
    if draft.subresource.is_empty() {
        if draft.kind.subresource("status").is_some() {
            copy_field(old, new, "status");
        }
        return;
    }
    if draft.subresource == "scale" {
        // Changed in place already.
        return;
    }
    let parts = strategy::parts_of(draft.subresource);
    let mut merged = Value::clone(old);
    for part in parts {
        copy_field(new, &mut merged, part);
    }
    let wished = new["metadata"].take();
    if !draft.kind.custom {
        let labels = strategy::kept_by_status(draft.kind).is_empty().then_some("labels");
        for field in ["annotations", "finalizers", "ownerReferences"].into_iter().chain(labels) {
            copy_field(&wished, &mut merged["metadata"], field);
        }
    }
    copy_field(&wished, &mut merged["metadata"], "managedFields");
    copy_field(&wished, &mut merged["metadata"], "resourceVersion");
    *new = merged;
}

pub(super) fn copy_field(from: &Value, to: &mut Value, field: &str) {
    match from.get(field) {
        Some(value) => to[field] = value.clone(),
        None => remove(to, field),
    }
}

pub(super) fn store_changed(
    t: &mut Transaction<'_>,
    draft: &Draft<'_>,
    old: &Object,
    new: Value,
) -> Result<Object, Status> {
    if patch::same_but_for_times(old, &new) {
        return Ok(old.clone());
    }
    let key = draft.call.key();
    let stored = strategy::to_storage(new, draft.kind);
    let written = match draft.subresource {
        "status" => t.update_quietly(&key, stored),
        _ => t.update(&key, stored),
    };
    let object = written.map_err(|error| draft.store_error(&error))?;
    settle(t, draft, &key)?;
    Ok(object)
}

/// Runs the admission rules; they may change the object.
pub(super) fn admit(
    t: &Transaction<'_>,
    draft: &mut Draft<'_>,
    operation: Operation,
    old: Option<&Value>,
    object: &mut Value,
) -> Result<(), Status> {
    let shown = draft.subresource == "scale";
    let old_scale = old.filter(|_| shown).map(|old| subresource::scale_of(draft.kind, old));
    let request = Request {
        operation,
        kind: draft.kind,
        namespace: &draft.call.path.namespace,
        subresource: draft.subresource,
        name: draft.call.name(),
        old: old_scale.as_ref().or(old),
        store: t,
        user: user_info(&draft.call.user),
        dry_run: draft.options.dry_run,
        webhooks: &draft.call.webhooks,
    };
    let warnings = match shown {
        // Of a workload that is scaled, admission is shown its scale, and may change that.
        true => {
            let mut scale = subresource::scale_of(draft.kind, object);
            let warnings = ask_admission(&request, &mut scale)?;
            subresource::rescale(draft.kind, object, &scale);
            warnings
        }
        false => ask_admission(&request, object)?,
    };
    if draft.call.webhooks.take_change() {
        draft.object_type().fill_defaults(object);
    }
    draft.warnings.extend(warnings);
    Ok(())
}

pub(super) fn schema_problems(draft: &Draft<'_>, old: Option<&Value>, object: &Value) -> Vec<Cause> {
    draft.object_type().problems(old, object)
}
