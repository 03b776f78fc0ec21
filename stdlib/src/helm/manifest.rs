//! Rendered manifests: text with many YAML documents to objects, and two manifests to one diff. Pure.

use std::collections::BTreeMap;

use aegis_engine::CallError;
use aegis_engine::codes;
use serde_json::{Value, json};

/// One object of a manifest, and where in the chart it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rendered {
    pub(super) object: Value,
    pub(super) origin: Origin,
}

/// Which part of a chart an object belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A template: part of the release.
    Template,
    /// The `crds/` folder: installed once, before everything, never changed or removed by helm.
    Definition,
    /// A template with a hook annotation: run at its moment, not part of the release.
    Hook,
}

/// Reads what `helm template` or a release record holds.
pub(super) fn parse(text: &str) -> Result<Vec<Rendered>, CallError> {
    let mut rendered = Vec::new();
    let mut definition = false;
    for document in documents(text) {
        if let Some(source) = document.lines().find_map(|line| line.strip_prefix("# Source: ")) {
            definition = source.split('/').rev().nth(1) == Some("crds") || source.contains("/crds/");
        }
        let object = read(&document)?;
        if object.get("kind").is_none() {
            continue;
        }
        for object in unfolded(object) {
            let origin = origin(&object, definition);
            rendered.push(Rendered { object, origin });
        }
    }
    Ok(rendered)
}

/// Splits at lines that are `---`; a block of text inside a document is indented and never such a line.
fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push(String::new());
        } else if let Some(document) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    documents.retain(|document| !document.trim().is_empty());
    documents
}

fn read(document: &str) -> Result<Value, CallError> {
    let content = document.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    if !content {
        return Ok(Value::Null);
    }
    let one = |mut documents: Vec<Value>| documents.pop().unwrap_or_default();
    crate::yaml::documents(document).map(one).map_err(|problem| {
        let source =
            document.lines().find_map(|line| line.strip_prefix("# Source: ")).unwrap_or("the manifest");
        CallError::new(codes::HELM, format!("`{source}` renders to something that is not YAML"))
            .because(problem)
    })
}

fn unfolded(object: Value) -> Vec<Value> {
    let is_list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match object["items"].as_array() {
        Some(items) if is_list => items.clone(),
        _ => vec![object],
    }
}

fn origin(object: &Value, definition: bool) -> Origin {
    let annotations = object.pointer("/metadata/annotations");
    if annotations.is_some_and(|annotations| annotations.get("helm.sh/hook").is_some()) {
        Origin::Hook
    } else if definition {
        Origin::Definition
    } else {
        Origin::Template
    }
}

/// What tells two objects apart: group, kind, namespace and name. Versions of one kind are the same object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    kind: String,
    namespace: String,
    name: String,
    group: String,
}

impl Identity {
    /// Of an object; one without a namespace gets the release's.
    pub(super) fn of(object: &Value, namespace: &str) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let group = text("/apiVersion").unwrap_or_default();
        Self {
            kind: text("/kind").unwrap_or_default(),
            namespace: text("/metadata/namespace").unwrap_or_else(|| namespace.to_owned()),
            name: text("/metadata/name").unwrap_or_default(),
            group: group.split_once('/').map_or_else(String::new, |(group, _)| group.to_owned()),
        }
    }

    /// `deployment/web`.
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.kind.to_lowercase(), self.name)
    }
}

/// The difference between two manifests.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Difference {
    pub(super) added: Vec<String>,
    pub(super) changed: Vec<String>,
    pub(super) removed: Vec<String>,
    /// Unified, object by object.
    pub(super) text: String,
}

impl Difference {
    /// From the live release's objects to the rendered ones.
    pub(super) fn between(live: &[Value], rendered: &[Value], namespace: &str) -> Self {
        let index = |objects: &[Value]| -> BTreeMap<Identity, Value> {
            objects.iter().map(|object| (Identity::of(object, namespace), object.clone())).collect()
        };
        let (live, rendered) = (index(live), index(rendered));
        let mut all: Vec<&Identity> = live.keys().chain(rendered.keys()).collect();
        all.sort();
        all.dedup();
        let mut difference = Self::default();
        for identity in all {
            difference.compare(identity, live.get(identity), rendered.get(identity));
        }
        difference
    }

    fn compare(&mut self, identity: &Identity, live: Option<&Value>, rendered: Option<&Value>) {
        let list = match (live, rendered) {
            (Some(live), Some(rendered)) if live == rendered => return,
            (None, _) => &mut self.added,
            (_, None) => &mut self.removed,
            _ => &mut self.changed,
        };
        list.push(identity.title());
        self.text.push_str(&crate::k8s::diff::diff(live, rendered, &identity.title()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// `2 added, 1 changed`; `nothing changes`.
    pub(super) fn summary(&self) -> String {
        let parts = [(&self.added, "added"), (&self.changed, "changed"), (&self.removed, "removed")];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(list, _)| !list.is_empty())
            .map(|(list, word)| format!("{} {word}", aegis_engine::text::count(list.len(), "object")))
            .collect();
        if parts.is_empty() { "no object changes".to_owned() } else { parts.join(", ") }
    }

    /// As it is answered to scripts.
    pub(super) fn describe(&self) -> Value {
        json!({
            "changes": !self.is_empty(), "added": self.added, "changed": self.changed, "removed": self.removed,
            "diff": self.text,
        })
    }
}

/// The objects of one origin.
pub(super) fn objects(rendered: &[Rendered], origin: Origin) -> Vec<Value> {
    rendered.iter().filter(|one| one.origin == origin).map(|one| one.object.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "\
---
# Source: web/crds/gadgets.yaml
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
---
# Source: web/templates/empty.yaml
# nothing here
---
# Source: web/templates/config.yaml
apiVersion: v1
kind: ConfigMap
metadata:
  name: web
data:
  text: |
    one
    ---
    two
---
# Source: web/templates/job.yaml
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  annotations:
    helm.sh/hook: pre-upgrade
";

    #[test]
    fn each_object_knows_which_part_of_the_chart_it_is() {
        let rendered = parse(MANIFEST).unwrap();
        let told: Vec<(String, Origin)> =
            rendered.iter().map(|one| (Identity::of(&one.object, "shop").title(), one.origin)).collect();
        assert_eq!(
            told,
            [
                ("customresourcedefinition/gadgets.example.com".to_owned(), Origin::Definition),
                ("customresourcedefinition/widgets.example.com".to_owned(), Origin::Definition),
                ("configmap/web".to_owned(), Origin::Template),
                ("job/migrate".to_owned(), Origin::Hook),
            ]
        );
        assert_eq!(rendered[2].object["data"]["text"], "one\n---\ntwo\n");
    }

    #[test]
    fn a_difference_names_what_comes_goes_and_changes() {
        let object = |kind: &str, name: &str, value: &str| json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name }, "data": { "k": value } });
        let live =
            [object("ConfigMap", "a", "1"), object("ConfigMap", "b", "1"), object("Secret", "s", "b2xk")];
        let next =
            [object("ConfigMap", "b", "2"), object("ConfigMap", "c", "1"), object("Secret", "s", "bmV3")];
        let difference = Difference::between(&live, &next, "shop");
        assert_eq!(difference.summary(), "1 object added, 2 objects changed, 1 object removed");
        assert_eq!(difference.changed, ["configmap/b", "secret/s"]);
        assert!(!difference.text.contains("bmV3"), "{}", difference.text);
        assert!(Difference::between(&live, &live, "shop").is_empty());
    }
}
