//! Server-side apply: merge what the manager wants, refuse what others own, drop what it gave up.

use super::managed::{self, Entry, Manager, Operation};
use super::merge::{merge, remove, with_named_parents};
use super::set::FieldSet;
use super::typed::misfits;
use super::update::{release, track_update};
use super::walk::{Comparison, compare, field_set};
use super::{NEVER_OWNED, without_managers};
use crate::patch::{Conflict, PatchError};
use crate::schema::Schema;
use serde_json::{Value, json};

/// Where `kubectl apply` keeps the configuration it sent last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// One apply request.
#[derive(Clone, Debug)]
pub struct Apply<'a> {
    /// Schema of the kind.
    pub schema: &'a Schema,
    /// The stored object; `None` creates.
    pub live: Option<&'a Value>,
    /// The applied configuration, with `apiVersion`, `kind` and `metadata.name`.
    pub config: &'a Value,
    /// Who applies.
    pub manager: &'a Manager,
    /// Take fields other managers own instead of refusing.
    pub force: bool,
    /// Now, RFC 3339 in whole seconds.
    pub time: &'a str,
    /// Fields this write cannot reach ([`super::untouched_fields`]).
    pub untouched: &'a FieldSet,
}

/// Carries out a server-side apply and returns the new object with its `managedFields`.
///
/// The result is not defaulted or validated; applying the same configuration again returns the same object.
///
/// # Errors
/// 400 when the configuration carries `managedFields`, 500 when it does not fit the schema, 409 when other
/// managers own fields it changes and `force` is not set.
pub fn apply(request: &Apply<'_>) -> Result<Value, PatchError> {
    if request.config.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(PatchError::BadRequest("metadata.managedFields must be nil".to_owned()));
    }
    check_types(request)?;
    let live = request.live.map(|live| adopt_untracked(request, live));
    let entries = live.as_ref().and_then(managed::read).unwrap_or_default();
    let outcome = attempt(request, live.as_ref(), entries.clone(), request.force);
    let applied = match outcome {
        Err(conflicts) if request.manager.name == "kubectl" => {
            let left = not_last_applied(request, live.as_ref(), conflicts);
            if left.is_empty() {
                attempt(request, live.as_ref(), entries, true).map_err(into_error)
            } else {
                Err(into_error(left))
            }
        }
        other => other.map_err(into_error),
    };
    applied.map(|object| sync_last_applied(request, object))
}

/// `kubectl` keeps its last-applied annotation in step when it moves to server-side apply.
fn sync_last_applied(request: &Apply<'_>, mut object: Value) -> Value {
    let pointer = "/metadata/annotations";
    let has_one = object.pointer(pointer).is_some_and(|annotations| annotations.get(LAST_APPLIED).is_some());
    if request.manager.name != "kubectl" || !has_one {
        return object;
    }
    let mut config = without_managers(request.config);
    let own = config.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations"));
    if let Some(own) = own.and_then(Value::as_object_mut) {
        own.remove(LAST_APPLIED);
    }
    object["metadata"]["annotations"][LAST_APPLIED] = json!(format!("{config}\n"));
    object
}

type Conflicts = Vec<(Entry, FieldSet)>;

fn into_error(conflicts: Conflicts) -> PatchError {
    let named = conflicts.into_iter().flat_map(|(entry, fields)| {
        let owner = entry.owner();
        fields.paths().into_iter().map(move |path| Conflict { owner: owner.clone(), path })
    });
    PatchError::Conflicts(named.collect())
}

fn check_types(request: &Apply<'_>) -> Result<(), PatchError> {
    let found = misfits(request.schema, request.config);
    if found.is_empty() {
        return Ok(());
    }
    let why = match found.as_slice() {
        [only] => only.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    Err(PatchError::Failed(format!(
        "failed to create typed patch object ({}): {why}",
        identity(request.config)
    )))
}

/// `namespace/name; group/version, Kind=Kind`, as conversion errors name an object.
fn identity(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let version = text("/apiVersion");
    let version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
    format!("{}/{}; {version}, Kind={}", text("/metadata/namespace"), text("/metadata/name"), text("/kind"))
}

/// An object without managers gets one for what it holds before its first apply.
fn adopt_untracked(request: &Apply<'_>, live: &Value) -> Value {
    if managed::read(live).is_some_and(|entries| !entries.is_empty()) {
        return live.clone();
    }
    let mut adopted = without_managers(live);
    let before = Manager { name: "before-first-apply".to_owned(), ..request.manager.clone() };
    let before = Manager { subresource: String::new(), ..before };
    track_update(request.schema, None, &mut adopted, &before, request.time, request.untouched);
    adopted
}

fn attempt(
    request: &Apply<'_>,
    live: Option<&Value>,
    mut entries: Vec<Entry>,
    force: bool,
) -> Result<Value, Conflicts> {
    let config = without_managers(request.config);
    let old = live.map(without_managers);
    let wanted =
        field_set(request.schema, &config).difference(&NEVER_OWNED).recursive_difference(request.untouched);
    let last = replace_entry(&mut entries, request, wanted);
    let merged = merge(request.schema, old.as_ref(), Some(&config));
    let mut merged = give_up(request.schema, merged, &last, &entries);

    let nothing = json!({});
    let base = old.as_ref().unwrap_or(&nothing);
    let change = compare(request.schema, Some(base), Some(&merged)).without(request.untouched);
    settle(request, &mut entries, &change, force)?;
    if !change.is_same() {
        touch(&mut entries, request);
    }
    managed::write(&mut merged, entries);
    Ok(merged)
}

/// Puts the manager's new fields in place of its last ones and returns the last ones.
fn replace_entry(entries: &mut Vec<Entry>, request: &Apply<'_>, fields: FieldSet) -> FieldSet {
    match entries.iter_mut().find(|entry| entry.is(request.manager, Operation::Apply)) {
        Some(entry) => {
            entry.manager.api_version.clone_from(&request.manager.api_version);
            std::mem::replace(&mut entry.fields, fields)
        }
        None => {
            let manager = request.manager.clone();
            entries.push(Entry { manager, operation: Operation::Apply, time: String::new(), fields });
            FieldSet::default()
        }
    }
}

fn touch(entries: &mut [Entry], request: &Apply<'_>) {
    if let Some(entry) = entries.iter_mut().find(|entry| entry.is(request.manager, Operation::Apply)) {
        request.time.clone_into(&mut entry.time);
    }
}

/// Removes from `merged` the fields of `last` that nobody owns any more.
fn give_up(schema: &Schema, merged: Value, last: &FieldSet, entries: &[Entry]) -> Value {
    if last.is_empty() {
        return merged;
    }
    let named = |set: &FieldSet| with_named_parents(schema, set);
    let last = named(last);
    let owned = entries.iter().fold(FieldSet::default(), |all, entry| all.union(&entry.fields));
    let without = |gone: &FieldSet| remove(schema, &merged, gone).unwrap_or_else(|| json!({}));

    let all = named(&field_set(schema, &merged));
    let pruned = without(&last);
    let kept = named(&field_set(schema, &pruned)).union(&named(&owned));
    let pruned = without(&all.difference(&kept));
    let dangling = all.difference(&named(&field_set(schema, &pruned)));
    without(&dangling.intersection(&last))
}

/// Refuses changes to fields of other managers, or takes those fields from them.
fn settle(
    request: &Apply<'_>,
    entries: &mut Vec<Entry>,
    change: &Comparison,
    force: bool,
) -> Result<(), Conflicts> {
    let (mine, mut others): (Vec<Entry>, Vec<Entry>) =
        entries.drain(..).partition(|entry| entry.is(request.manager, Operation::Apply));
    let changed = change.added.union(&change.modified);
    let conflicts: Conflicts = others
        .iter()
        .map(|entry| (entry.clone(), entry.fields.intersection(&changed)))
        .filter(|(_, fields)| !fields.is_empty())
        .collect();
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    release(&mut others, change);
    entries.extend(others);
    entries.extend(mine);
    Ok(())
}

/// Conflicts that remain when fields of the last client-side apply may be taken.
///
/// Moving from client-side to server-side apply must not conflict with one's own earlier writes: a field is
/// free when the last-applied annotation has it with the value it still has.
fn not_last_applied(request: &Apply<'_>, live: Option<&Value>, conflicts: Conflicts) -> Conflicts {
    let annotation =
        live.and_then(|live| live.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str());
    let Some(last) = annotation.and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return conflicts;
    };
    let change = compare(request.schema, Some(&last), live);
    let free = field_set(request.schema, &last)
        .difference(&change.added.union(&change.modified).union(&change.removed));
    let left = conflicts.into_iter().map(|(entry, fields)| (entry, fields.difference(&free)));
    left.filter(|(_, fields)| !fields.is_empty()).collect()
}
