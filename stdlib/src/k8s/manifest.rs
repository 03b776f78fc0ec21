//! What `apply` and `diff` are given: one object, several, YAML text, a file or a folder of files. Ends as a
//! list of objects in the order in which a cluster can take them.

use std::path::Path;

use aegis_engine::error::CallError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::client::manifest_files;

/// One object or several: a map, YAML text (several documents with `---`), the path of a file or folder below
/// the project, or an array of these.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Manifest {
    /// YAML text, or a path.
    Text(String),
    /// An object, or a `List`.
    Object(Map<String, Value>),
    /// Several.
    Many(Vec<Manifest>),
}

impl Manifest {
    /// Every object in it, definitions and namespaces first.
    pub(super) fn objects(&self, project: &Path) -> Result<Vec<Value>, CallError> {
        let mut objects = Vec::new();
        self.collect(project, &mut objects)?;
        if objects.is_empty() {
            return Err(CallError::argument("there is no object in the manifest"));
        }
        objects.sort_by_key(wave);
        Ok(objects)
    }

    fn collect(&self, project: &Path, objects: &mut Vec<Value>) -> Result<(), CallError> {
        match self {
            Self::Object(object) => unfold(Value::Object(object.clone()), "the manifest", objects),
            Self::Many(parts) => parts.iter().try_for_each(|part| part.collect(project, objects)),
            Self::Text(text) if is_yaml(text) => documents(text, "the manifest", objects),
            Self::Text(path) => {
                let files = manifest_files(project, path)?;
                files.iter().try_for_each(|(name, text)| documents(text, &format!("`{name}`"), objects))
            }
        }
    }
}

/// YAML of an object has a line break or a `: `; paths have neither.
fn is_yaml(text: &str) -> bool {
    text.contains('\n') || text.contains(": ") || text.trim_start().starts_with('{')
}

fn documents(text: &str, whence: &str, objects: &mut Vec<Value>) -> Result<(), CallError> {
    let documents = crate::yaml::documents(text)
        .map_err(|error| CallError::argument(format!("{whence} is not YAML")).because(error))?;
    documents.into_iter().try_for_each(|document| unfold(document, whence, objects))
}

/// Takes a `List` apart and checks that each object says what it is.
fn unfold(mut object: Value, whence: &str, objects: &mut Vec<Value>) -> Result<(), CallError> {
    let is_list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    if is_list && let Some(items) = object["items"].as_array_mut() {
        return std::mem::take(items).into_iter().try_for_each(|item| unfold(item, whence, objects));
    }
    for field in ["/apiVersion", "/kind"] {
        if object.pointer(field).and_then(Value::as_str).is_none() {
            let message = format!("an object in {whence} has no `{}`", &field[1..]);
            return Err(CallError::argument(message));
        }
    }
    if object.pointer("/metadata/name").and_then(Value::as_str).is_none() {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        return Err(CallError::argument(format!("the {kind} in {whence} has no `metadata.name`")));
    }
    objects.push(object);
    Ok(())
}

/// Which wave an object belongs to: each wave is applied when the one before it is in place.
pub(super) fn wave(object: &Value) -> u8 {
    match object["kind"].as_str().unwrap_or_default() {
        "Namespace" | "CustomResourceDefinition" => 0,
        // What others refer to when they are created.
        "ResourceQuota"
        | "LimitRange"
        | "PriorityClass"
        | "StorageClass"
        | "IngressClass"
        | "RuntimeClass"
        | "ServiceAccount"
        | "Role"
        | "ClusterRole"
        | "RoleBinding"
        | "ClusterRoleBinding"
        | "ConfigMap"
        | "Secret"
        | "PersistentVolume"
        | "PersistentVolumeClaim" => 1,
        // They would judge the objects of this very call before their own server runs.
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" | "APIService" => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kinds(manifest: Value) -> Result<Vec<String>, CallError> {
        let manifest: Manifest = serde_json::from_value(manifest).unwrap();
        let objects = manifest.objects(&std::env::temp_dir())?;
        Ok(objects.iter().map(super::super::object::title).collect())
    }

    #[test]
    fn namespaces_and_definitions_come_first() {
        let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
        assert_eq!(kinds(json!(yaml)).unwrap(), ["namespace/shop", "configmap/c"]);
    }

    #[test]
    fn lists_are_taken_apart() {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"}}]});
        assert_eq!(kinds(json!([list])).unwrap(), ["secret/t", "service/s"]);
    }

    #[test]
    fn an_object_that_does_not_say_what_it_is_is_refused() {
        let error = kinds(json!({"kind": "Pod", "metadata": {"name": "x"}})).unwrap_err();
        assert_eq!(error.message, "an object in the manifest has no `apiVersion`");
        let error = kinds(json!("apiVersion: v1\nkind: Pod\n")).unwrap_err();
        assert_eq!(error.message, "the Pod in the manifest has no `metadata.name`");
    }

    #[test]
    fn files_outside_of_the_project_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = Manifest::Text("../../etc/hostname".to_owned());
        let error = manifest.objects(folder.path()).unwrap_err();
        assert!(
            error.message.contains("outside of the runbook's project")
                || error.message.contains("cannot read")
        );
    }

    #[test]
    fn a_folder_is_all_its_manifests_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for (file, kind) in [("b.yaml", "Pod"), ("a.yml", "Job"), ("c.txt", "Nope")] {
            let text = format!("apiVersion: v1\nkind: {kind}\nmetadata:\n  name: x\n");
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let objects = Manifest::Text(".".to_owned()).objects(folder.path()).unwrap();
        let kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
        assert_eq!(kinds, ["Job", "Pod"]);
    }
}
