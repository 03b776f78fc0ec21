//! Custom kinds: a CustomResourceDefinition that is written is served at once.
//!
//! This file keeps the served kinds in step with the stored definitions; `definition` is about the
//! definitions themselves.

mod definition;

use std::sync::Arc;

use serde_json::Value;

use self::definition::is_established;
pub(super) use self::definition::{accept, delete, finish};

use crate::kinds::{Kind, Kinds, Subresource};
use crate::schema::{ObjectType, first_definition_status};
use crate::store::{Event, EventKind, Key, Resource, Store};

const GROUP: &str = "apiextensions.k8s.io";
const PLURAL: &str = "customresourcedefinitions";

/// The verbs in the order discovery prints them for custom kinds.
const CUSTOM_VERBS: &[&str] =
    &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

/// Serves every definition a store holds, and from now on every one that is written.
pub(super) fn serve_all(store: &Store) {
    for definition in store.list(&Resource::new(GROUP, PLURAL), None).objects() {
        serve(store.kinds(), &definition);
    }
    let kinds = store.kinds().clone();
    store.observe(move |event| {
        if is_definition(&event.key) {
            follow(&kinds, event);
        }
    });
}

/// Keeps the served kinds in step with a definition that was just written or removed.
fn follow(kinds: &Kinds, event: &Event) {
    let definition = event.object();
    if event.kind == EventKind::Deleted && is_established(&definition) {
        kinds.forget(&storage_of(&definition));
    } else if event.kind != EventKind::Deleted {
        serve(kinds, &definition);
    }
}

pub(super) fn is_definition(key: &Key) -> bool {
    key.resource.group() == GROUP && key.resource.plural() == PLURAL
}

fn storage_of(definition: &Value) -> Resource {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Resource::new(&text(&definition["spec"]["group"]), &text(&definition["spec"]["names"]["plural"]))
}

fn serve(kinds: &Kinds, definition: &Value) {
    if !is_established(definition) {
        return;
    }
    let mut versions: Vec<&Value> = definition["spec"]["versions"].as_array().into_iter().flatten().collect();
    versions.sort_by_key(|version| version_rank(version["name"].as_str().unwrap_or_default()));
    let served = versions.into_iter().filter(|version| version["served"] == true);
    let storage = storage_of(definition);
    kinds.define(&storage, served.map(|version| kind(definition, version, &storage)).collect());
}

/// Stable versions come first, then betas and alphas, the higher before the lower.
fn version_rank(name: &str) -> (u8, std::cmp::Reverse<(u32, u32)>, String) {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let Some(rest) = name.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    else {
        return (3, std::cmp::Reverse((0, 0)), name.to_owned());
    };
    let major = digits(rest);
    let tail = &rest[major.len()..];
    let number = |text: &str| text.parse().unwrap_or(0);
    let (stability, minor) = match tail {
        "" => (0, 0),
        _ if tail.starts_with("beta") => (1, number(&tail[4..])),
        _ if tail.starts_with("alpha") => (2, number(&tail[5..])),
        _ => (3, 0),
    };
    (stability, std::cmp::Reverse((number(&major), minor)), name.to_owned())
}

fn kind(definition: &Value, version: &Value, storage: &Resource) -> Kind {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let name = text(&spec["names"]["kind"]);
    let or = |value: &Value, default: String| value.as_str().map_or(default, str::to_owned);
    let selectable = version["selectableFields"].as_array().into_iter().flatten();
    Kind {
        group: text(&spec["group"]),
        version: text(&version["name"]),
        list_kind: or(&spec["names"]["listKind"], format!("{name}List")),
        plural: text(&spec["names"]["plural"]),
        singular: or(&spec["names"]["singular"], name.to_lowercase()),
        short_names: texts(&spec["names"]["shortNames"]),
        categories: texts(&spec["names"]["categories"]),
        namespaced: spec["scope"] != "Cluster",
        verbs: CUSTOM_VERBS.to_vec(),
        subresources: subresources(&version["subresources"], &name),
        generation: true,
        selectable_fields: selectable
            .map(|field| text(&field["jsonPath"]).trim_start_matches('.').to_owned())
            .collect(),
        custom: true,
        custom_type: ObjectType::custom(definition, version["name"].as_str().unwrap_or_default()),
        definition: Arc::new(version.clone()),
        storage: storage.clone(),
        kind: name,
    }
}

fn subresources(declared: &Value, kind: &str) -> Vec<Subresource> {
    let verbs = vec!["get", "patch", "update"];
    let mut subresources = Vec::new();
    if declared["status"].is_object() {
        let speaks = ("", "", kind.to_owned());
        subresources.push(Subresource { name: "status".into(), speaks, verbs: verbs.clone() });
    }
    if declared["scale"].is_object() {
        let speaks = ("autoscaling", "v1", "Scale".to_owned());
        subresources.push(Subresource { name: "scale".into(), speaks, verbs });
    }
    subresources
}

/// Fills in a new definition's names.
pub(super) fn prepare_for_create(object: &mut Value) {
    object["status"] = first_definition_status(object);
}

/// Remembers every version that objects were ever stored in.
pub(super) fn prepare_for_update(new: &mut Value) {
    let versions = new["spec"]["versions"].as_array().cloned().unwrap_or_default();
    let Some(stored) = versions.iter().find(|version| version["storage"] == true) else { return };
    if let Some(known) = new["status"]["storedVersions"].as_array_mut()
        && !known.contains(&stored["name"])
    {
        known.push(stored["name"].clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use crate::kinds::VERBS;

    #[test]
    fn custom_kinds_have_all_verbs() {
        let sorted = |verbs: &[&'static str]| verbs.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(sorted(CUSTOM_VERBS), sorted(VERBS));
    }

    #[test]
    fn stable_versions_come_first_and_higher_before_lower() {
        let mut names = ["v1alpha1", "v1", "foo", "v2beta1", "v10", "v2"];
        names.sort_by_key(|name| version_rank(name));
        assert_eq!(names, ["v10", "v2", "v1", "v2beta1", "v1alpha1", "foo"]);
    }
}
