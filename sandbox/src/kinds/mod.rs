//! Which kinds the cluster serves: the built-in table, plus what CustomResourceDefinitions add.
//!
//! A [`Kind`] is one served version of one resource. Everything generic (routing, discovery,
//! storage keys, tables) reads it; nothing else lists kinds.

mod builtin;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Value, json};

use crate::schema::{CustomType, ObjectType};
use crate::store::Resource;

/// The verbs of an ordinary resource, in the order discovery prints them.
pub const VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// One served version of one resource.
#[derive(Clone)]
pub struct Kind {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version, such as `v1`.
    pub version: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
    /// The kind of its lists, such as `DeploymentList`.
    pub list_kind: String,
    /// The plural name used in paths.
    pub plural: String,
    /// The singular name.
    pub singular: String,
    /// Short names for command lines.
    pub short_names: Vec<String>,
    /// Groups of resources it belongs to, such as `all`.
    pub categories: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What can be done with it.
    pub verbs: Vec<&'static str>,
    /// Its subresources.
    pub subresources: Vec<Subresource>,
    /// Whether its objects count their generation.
    pub generation: bool,
    /// Field paths that custom resources may be selected by, besides name and namespace.
    pub selectable_fields: Vec<String>,
    /// Whether a CustomResourceDefinition defines it.
    pub custom: bool,
    /// What the version of the definition says, when one does: columns, scale paths and so on.
    pub definition: Arc<Value>,
    /// What its objects look like; none for a built-in kind, which is looked up.
    pub custom_type: Option<ObjectType>,
    /// Where its objects are stored: the same for all versions, and for the groups that share one.
    pub storage: Resource,
}

/// A path below an object, such as `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// Its name.
    pub name: String,
    /// The group, version and kind it speaks; empty group and version when those of its parent.
    pub speaks: (&'static str, &'static str, String),
    /// What can be done with it.
    pub verbs: Vec<&'static str>,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.api_version(), self.kind)
    }
}

impl Kind {
    /// `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        match &*self.group {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// Group and plural name, as it is served.
    pub fn resource(&self) -> Resource {
        Resource::new(&self.group, &self.plural)
    }

    /// The subresource of a name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// What its objects look like.
    pub fn object_type(&self) -> ObjectType {
        let builtin = || ObjectType::builtin(&self.group, &self.version, &self.kind);
        self.custom_type
            .clone()
            .or_else(builtin)
            .unwrap_or_else(|| ObjectType::Custom(CustomType::new(&open())))
    }

    /// Whether objects of this kind are stored: reviews and bindings are only answered, metrics only read.
    pub fn is_stored(&self) -> bool {
        self.verbs.contains(&"get") && self.verbs.contains(&"create")
    }
}

/// The served kinds; cheap to clone, all clones are one.
#[derive(Clone, Debug)]
pub struct Kinds(Arc<RwLock<Registry>>);

#[derive(Debug, Default)]
struct Registry {
    /// In the order discovery prints them.
    served: Vec<Arc<Kind>>,
    by_path: HashMap<(String, String, String), Arc<Kind>>,
    by_kind: HashMap<(String, String, String), Arc<Kind>>,
    by_storage: HashMap<Resource, Arc<Kind>>,
}

impl Kinds {
    /// The built-in kinds.
    pub fn builtin() -> Self {
        let mut registry = Registry::default();
        for kind in builtin::kinds() {
            registry.add(Arc::new(kind));
        }
        Self(Arc::new(RwLock::new(registry)))
    }

    /// The kind served at a group, version and plural name.
    pub fn served(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        self.read(|registry| registry.by_path.get(&(group.into(), version.into(), plural.into())).cloned())
    }

    /// The kind of a group, version and kind name.
    pub fn named(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Kind>> {
        self.read(|registry| registry.by_kind.get(&(group.into(), version.into(), kind.into())).cloned())
    }

    /// The kind that an object's `apiVersion` and `kind` name.
    pub fn of_object(&self, object: &serde_json::Value) -> Option<Arc<Kind>> {
        let (group, version) = split_api_version(object["apiVersion"].as_str()?);
        self.named(group, version, object["kind"].as_str()?)
    }

    /// The kind whose objects are stored under a resource, in its preferred version.
    pub fn of(&self, storage: &Resource) -> Option<Arc<Kind>> {
        self.read(|registry| registry.by_storage.get(storage).cloned())
    }

    /// Every served version of the kind whose objects are stored under a resource.
    pub fn versions(&self, storage: &Resource) -> Vec<Arc<Kind>> {
        let of_it = |kind: &&Arc<Kind>| kind.storage == *storage;
        self.read(|registry| registry.served.iter().filter(of_it).cloned().collect())
    }

    /// All served kinds, in the order of discovery: versions of one group by preference.
    pub fn all(&self) -> Vec<Arc<Kind>> {
        self.read(|registry| registry.served.clone())
    }

    /// Serves what a CustomResourceDefinition defines, instead of what it defined before.
    pub fn define(&self, storage: &Resource, versions: Vec<Kind>) {
        let mut registry = self.0.write().unwrap_or_else(PoisonError::into_inner);
        registry.remove_custom(storage);
        for kind in versions {
            registry.add(Arc::new(kind));
        }
    }

    /// Serves a custom resource no longer.
    pub fn forget(&self, storage: &Resource) {
        self.define(storage, Vec::new());
    }

    fn read<T>(&self, work: impl FnOnce(&Registry) -> T) -> T {
        work(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Registry {
    fn add(&mut self, kind: Arc<Kind>) {
        let place = |last: &str| (kind.group.clone(), kind.version.clone(), last.to_owned());
        self.by_path.insert(place(&kind.plural), kind.clone());
        self.by_kind.insert(place(&kind.kind), kind.clone());
        self.by_storage.entry(kind.storage.clone()).or_insert_with(|| kind.clone());
        self.served.push(kind);
    }

    fn remove_custom(&mut self, storage: &Resource) {
        let goes = |kind: &Arc<Kind>| kind.custom && kind.storage == *storage;
        self.served.retain(|kind| !goes(kind));
        self.by_path.retain(|_, kind| !goes(kind));
        self.by_kind.retain(|_, kind| !goes(kind));
        self.by_storage.retain(|_, kind| !goes(kind));
    }
}

/// The schema of objects that nothing is known about.
fn open() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Splits `apps/v1` into group and version; the core group is empty.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_found_by_path_by_kind_and_by_storage() {
        let kinds = Kinds::builtin();
        let by_path = kinds.served("apps", "v1", "deployments").unwrap();
        assert_eq!(by_path.kind, "Deployment");
        assert!(by_path.generation && by_path.namespaced);
        assert_eq!(kinds.named("apps", "v1", "Deployment").unwrap().plural, "deployments");
        assert_eq!(kinds.of(&Resource::new("apps", "deployments")).unwrap().api_version(), "apps/v1");
        assert_eq!(by_path.subresource("scale").unwrap().speaks.2, "Scale");
    }

    #[test]
    fn both_groups_of_events_share_one_storage() {
        let kinds = Kinds::builtin();
        let core = kinds.served("", "v1", "events").unwrap();
        let grouped = kinds.served("events.k8s.io", "v1", "events").unwrap();
        assert_eq!(core.storage, grouped.storage);
        assert_eq!(kinds.of(&core.storage).unwrap().group, "");
    }
}
