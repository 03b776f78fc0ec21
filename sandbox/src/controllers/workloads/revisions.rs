//! ControllerRevisions: the templates a StatefulSet or DaemonSet has had.

use serde_json::{Value, json};

use crate::controllers::controller::{Plan, World, Write};
use crate::controllers::fields::{Fields, Object, controlled_by, set, set_key};
use crate::controllers::names::template_hash;

const KIND: &str = "ControllerRevision.apps";

/// The revisions of one workload, oldest first, and which is that of the present template.
pub(super) struct Revisions<'a> {
    pub(super) all: Vec<&'a Object>,
    /// The name of the revision of the present template.
    pub(super) update: String,
    /// The hash in that name.
    pub(super) hash: String,
}

impl Revisions<'_> {
    /// The hash label's value of a revision by name, which StatefulSet pods carry whole.
    pub(super) fn template(&self, name: &str) -> Option<Value> {
        let held = self.all.iter().find(|held| held.name() == name)?;
        let mut template = held.at("/data/spec/template").clone();
        template.as_object_mut()?.remove("$patch");
        Some(template)
    }
}

/// Finds the revisions and plans what is missing: the one of the present template, or its renewal.
/// `label` is the key under which the kind keeps the hash.
pub(super) fn of<'a>(owner: &Value, label: &str, world: &World<'a>, plan: &mut Plan) -> Revisions<'a> {
    let mut all = world.cache.controlled(KIND, owner.uid());
    all.sort_by_key(|held| held.count("/revision"));
    let data = data(owner);
    let newest = all.last().map_or(0, |held| held.count("/revision"));
    if let Some(held) = all.iter().rev().find(|held| held.at("/data") == &data) {
        if held.count("/revision") < newest {
            let mut renewed = Value::clone(held);
            set(&mut renewed, "/revision", (newest + 1).into());
            plan.push(Write::Replace(renewed));
        }
        let (update, hash) = (held.name().to_owned(), held.label(label).to_owned());
        return Revisions { all, update, hash };
    }
    let hash = template_hash(&data, owner.count("/status/collisionCount"));
    let update = format!("{}-{hash}", owner.name());
    plan.push(Write::Ensure(revision(owner, &update, label, &hash, data, newest + 1)));
    Revisions { all, update, hash }
}

/// The part of the owner a revision keeps, in the shape `kubectl rollout undo` patches back.
fn data(owner: &Value) -> Value {
    let mut template = owner.at("/spec/template").clone();
    template["$patch"] = "replace".into();
    json!({ "spec": { "template": template } })
}

fn revision(owner: &Value, name: &str, label: &str, hash: &str, data: Value, number: i64) -> Value {
    let mut revision = json!({
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": owner.namespace(),
            "labels": owner.at("/spec/template/metadata/labels"),
            "ownerReferences": controlled_by(owner),
        },
        "data": data,
        "revision": number,
    });
    if owner.at("/metadata/annotations").is_object() {
        let mut kept = owner.at("/metadata/annotations").clone();
        if let Some(kept) = kept.as_object_mut() {
            kept.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
        set(&mut revision, "/metadata/annotations", kept);
    }
    set_key(&mut revision, "/metadata/labels", label, hash);
    revision
}

/// Deletes the oldest revisions that no pod and no status names, beyond `revisionHistoryLimit`.
pub(super) fn clean_up(owner: &Value, revisions: &Revisions<'_>, live: &[&str], plan: &mut Plan) {
    let limit = owner.number("/spec/revisionHistoryLimit").unwrap_or(10);
    let is_live = |held: &&&Object| {
        held.name() == revisions.update
            || live.iter().any(|name| held.name() == *name || held.name().ends_with(&format!("-{name}")))
    };
    let dead: Vec<&&Object> = revisions.all.iter().filter(|held| !is_live(held)).collect();
    let surplus = usize::try_from(dead.len() as i64 - limit).unwrap_or_default();
    for revision in dead.into_iter().take(surplus) {
        plan.push(Write::delete(revision));
    }
}
