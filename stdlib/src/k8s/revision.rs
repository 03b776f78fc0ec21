//! The revisions of a workload: the ReplicaSets of a Deployment, the ControllerRevisions of a StatefulSet or
//! DaemonSet.

use aegis_engine::error::CallError;
use serde_json::{Value, json};

use super::diagnose::selector_of;
use super::object::{self, items, number, text};
use super::world::{Place, Selection, World};

/// One revision.
#[derive(Debug)]
pub(super) struct Revision {
    pub(super) number: i64,
    /// The pod template as it was.
    pub(super) template: Value,
    created: String,
    cause: String,
}

impl Revision {
    /// As it is answered to scripts.
    pub(super) fn describe(&self, current: bool) -> Value {
        let images =
            items(&self.template, "/spec/containers").iter().map(|container| container["image"].clone());
        json!({
            "revision": self.number, "current": current, "images": images.collect::<Vec<_>>(),
            "change_cause": self.cause, "created": self.created,
        })
    }
}

/// All revisions of a workload, oldest first.
pub(super) async fn revisions(
    world: &World<'_>,
    place: &Place,
    object: &Value,
) -> Result<Vec<Revision>, CallError> {
    let deployment = place.kind.plural == "deployments";
    let kind =
        world.built_in(if deployment { "replicasets.apps" } else { "controllerrevisions.apps" }).await?;
    let selection = Selection { labels: selector_of(object), ..Selection::default() };
    let all = world.list(&place.sibling(kind, ""), &selection).await?;
    let uid = text(object, "/metadata/uid");
    let own = all.iter().filter(|item| object::controller(item).is_some_and(|owner| owner["uid"] == uid));
    let mut revisions: Vec<Revision> = own
        .map(|item| if deployment { of_replica_set(item) } else { of_controller_revision(item, object) })
        .collect();
    revisions.sort_by_key(|revision| revision.number);
    Ok(revisions)
}

fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"]["annotations"][key].as_str().unwrap_or_default()
}

fn revision(item: &Value, number: i64, template: Value) -> Revision {
    let created = text(item, "/metadata/creationTimestamp").to_owned();
    Revision { number, template, created, cause: annotation(item, "kubernetes.io/change-cause").to_owned() }
}

fn of_replica_set(item: &Value) -> Revision {
    let mut template = item["spec"]["template"].clone();
    // The controller's own mark; it is put on anew.
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove("pod-template-hash");
    }
    let number = annotation(item, "deployment.kubernetes.io/revision").parse().unwrap_or_default();
    revision(item, number, template)
}

/// A ControllerRevision holds a patch whose template replaces the one of the workload.
fn of_controller_revision(item: &Value, workload: &Value) -> Revision {
    let mut template = item.pointer("/data/spec/template").unwrap_or(&workload["spec"]["template"]).clone();
    if let Some(map) = template.as_object_mut() {
        map.remove("$patch");
    }
    revision(item, number(item, "/revision"), template)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_replica_set_is_not_part_of_the_template() {
        let item = json!({"metadata": {"annotations": {"deployment.kubernetes.io/revision": "3"}},
            "spec": {"template": {"metadata": {"labels": {"app": "web", "pod-template-hash": "x"}}}}});
        let revision = of_replica_set(&item);
        assert_eq!(
            (revision.number, revision.template),
            (3, json!({"metadata": {"labels": {"app": "web"}}}))
        );
    }

    #[test]
    fn the_directive_of_a_controller_revision_is_not_part_of_the_template() {
        let item = json!({"revision": 2, "data": {"spec": {"template": {"$patch": "replace", "spec": {}}}}});
        assert_eq!(of_controller_revision(&item, &json!({})).template, json!({"spec": {}}));
    }
}
