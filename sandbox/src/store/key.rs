//! Where an object lives: its resource, namespace and name.
//!
//! A resource here is the group and the plural name, without a version: all served versions of
//! one resource share one place in the store.

use std::fmt;
use std::sync::Arc;

/// A group and a plural name, such as `apps` and `deployments`; the core group is empty.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    group: Arc<str>,
    plural: Arc<str>,
}

impl Resource {
    /// Names a resource.
    pub fn new(group: &str, plural: &str) -> Self {
        Self { group: group.into(), plural: plural.into() }
    }

    /// Names a resource of the core group.
    pub fn core(plural: &str) -> Self {
        Self::new("", plural)
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The plural name.
    pub fn plural(&self) -> &str {
        &self.plural
    }

    /// The key of one object of this resource; `namespace` is empty for cluster-scoped ones.
    pub fn key(&self, namespace: &str, name: &str) -> Key {
        Key { resource: self.clone(), namespace: namespace.into(), name: name.into() }
    }
}

/// `deployments.apps`, or `pods` in the core group, as error messages print it.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group() {
            "" => f.write_str(self.plural()),
            group => write!(f, "{}.{group}", self.plural()),
        }
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The place of one object.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Which resource.
    pub resource: Resource,
    /// Which namespace; empty for cluster-scoped resources.
    pub namespace: Arc<str>,
    /// Which name.
    pub name: Arc<str>,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{}/{}", self.resource, self.name),
            namespace => write!(f, "{}/{namespace}/{}", self.resource, self.name),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
