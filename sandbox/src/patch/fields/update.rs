//! Ownership after a write that is not an apply: the writer takes what it added or changed.

use super::managed::{self, Entry, Manager, Operation};
use super::set::FieldSet;
use super::walk::{Comparison, compare};
use super::{NEVER_OWNED, without_managers};
use crate::schema::Schema;
use serde_json::{Value, json};

/// Sets `new.metadata.managedFields` after a create (`live` is `None`, or blank: the parts a type always
/// has, never stored), an update or a non-apply patch.
///
/// The writer takes every field that differs from `live`, others lose those fields. Call it after
/// defaulting and before mutating admission. `time` is RFC 3339 in whole seconds; `untouched` are the
/// fields this write cannot reach ([`super::untouched_fields`]). A scale is written without a time; it takes the
/// field from its owners, so one without an owner stays so, as does one that is scaled to nothing. A list given by the writer replaces the old
/// one on the object itself; `[{}]` resets it, and from then on writes are not tracked until an apply.
pub fn track_update(
    schema: &Schema,
    live: Option<&Value>,
    new: &mut Value,
    manager: &Manager,
    time: &str,
    untouched: &FieldSet,
) {
    let reset = manager.subresource.is_empty() && managed::is_reset(new);
    let entries = if reset { Vec::new() } else { given_or_live(live, new, manager) };
    let is_blank = |live: &Value| live["kind"].is_string() && live["metadata"] == json!({});
    if entries.is_empty() && live.is_some_and(|live| !is_blank(live)) {
        managed::write(new, Vec::new());
        return;
    }
    let entries = take_changed(schema, live, new, manager, time, untouched, entries);
    managed::write(new, entries);
}

fn given_or_live(live: Option<&Value>, new: &Value, manager: &Manager) -> Vec<Entry> {
    let given =
        if manager.subresource.is_empty() { managed::read(new).unwrap_or_default() } else { Vec::new() };
    if given.is_empty() { live.and_then(managed::read).unwrap_or_default() } else { given }
}

#[expect(clippy::too_many_arguments, reason = "one step of `track_update`, split for length only")]
fn take_changed(
    schema: &Schema,
    live: Option<&Value>,
    new: &Value,
    manager: &Manager,
    time: &str,
    untouched: &FieldSet,
    mut entries: Vec<Entry>,
) -> Vec<Entry> {
    let nothing = json!({});
    let old = without_managers(live.unwrap_or(&nothing));
    let change = compare(schema, Some(&old), Some(&without_managers(new))).without(untouched);
    let is_scale = manager.subresource == "scale";
    let replicas = FieldSet::of_fields(&["spec.replicas"]);
    let is_owned = entries.iter().any(|entry| !entry.fields.intersection(&replicas).is_empty());
    release(&mut entries, &change);
    let mut taken = change.added.union(&change.modified).difference(&NEVER_OWNED);
    if is_scale && (!is_owned || new["spec"]["replicas"] == 0) {
        taken = FieldSet::default();
        release(&mut entries, &Comparison { removed: replicas, ..Comparison::default() });
    }
    let time = if is_scale { "" } else { time };
    if taken.is_empty() {
        return entries;
    }
    match entries.iter_mut().find(|entry| entry.is(manager, Operation::Update)) {
        Some(entry) => {
            entry.fields = entry.fields.union(&taken);
            entry.time = time.to_owned();
        }
        None => entries.push(Entry {
            manager: manager.clone(),
            operation: Operation::Update,
            time: time.to_owned(),
            fields: taken,
        }),
    }
    entries
}

/// Takes changed and removed fields from every manager; entries left empty go.
pub(super) fn release(entries: &mut Vec<Entry>, change: &Comparison) {
    let changed = change.added.union(&change.modified).union(&change.removed);
    for entry in entries.iter_mut() {
        entry.fields = entry.fields.difference(&changed);
    }
    entries.retain(|entry| !entry.fields.is_empty());
}
