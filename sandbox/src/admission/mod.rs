//! Admission: what the cluster makes of a write before it is stored.
//!
//! One ordered list of units, all alike: each looks at the request and at the store, and changes the object,
//! adds a warning, or refuses. Admission runs after defaulting and before validation; what it fills in
//! belongs to no field manager. Addresses of Services are handed out where Services are written.
//!
//! Not played: CEL functions beyond the standard ones.

mod answer;
mod defaults;
mod limit_range;
mod limits;
mod namespace;
mod pod_security;
mod policy;
mod priority;
mod quota;
mod service_account;
mod webhook;

pub use self::answer::Webhooks;

use crate::kinds::Kind;
use crate::store::{Object, Resource, Transaction};
use serde_json::Value;

/// What is being done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object.
    Update,
    /// An object on its way out.
    Delete,
}

/// One write, as admission sees it.
pub struct Request<'a> {
    /// What is done.
    pub operation: Operation,
    /// To what kind.
    pub kind: &'a Kind,
    /// In which namespace; empty for cluster-scoped kinds.
    pub namespace: &'a str,
    /// `status`, `scale` ..., empty for the object itself.
    pub subresource: &'a str,
    /// The stored object; none for a new one.
    pub old: Option<&'a Value>,
    /// The cluster as the write finds it.
    pub store: &'a Transaction<'a>,
    /// Who asks, as webhooks are told it.
    pub user: Value,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// What webhooks have said about this write.
    pub webhooks: &'a Webhooks,
}

/// Why a write was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Denial {
    /// 404: the namespace is not there.
    #[error("namespaces {0:?} not found")]
    NoNamespace(String),
    /// 403: `pods "x" is forbidden: ` and this sentence.
    #[error("{0}")]
    Forbidden(String),
    /// 403 because the namespace is going away.
    #[error("unable to create new content in namespace {0} because it is being terminated")]
    Terminating(String),
    /// An admission policy's rule does not hold: its reason, and the sentence after `is forbidden: `.
    #[error("{sentence}")]
    Policy {
        /// `Invalid`, `Forbidden`, `Unauthorized` or `RequestEntityTooLarge`.
        reason: String,
        /// What the policy says.
        sentence: String,
    },
    /// A webhook said no.
    #[error("{sentence}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// The reason it gave; empty for none.
        reason: String,
        /// The whole sentence.
        sentence: String,
    },
    /// A webhook has to be asked before the write can go on.
    #[error("an admission webhook has to be asked first")]
    Unasked,
    /// 500: a webhook could not be called; the sentence after `Internal error occurred: `.
    #[error("{0}")]
    Webhook(String),
}

/// One admission rule.
struct Unit {
    /// The name the real server's plugin has.
    name: &'static str,
    admit: fn(&Request<'_>, &mut Value, &mut Vec<String>) -> Result<(), Denial>,
}

/// Every rule, in the order the real server runs them: first those that change the object.
const UNITS: &[Unit] = &[
    Unit { name: "NamespaceLifecycle", admit: namespace::admit },
    Unit { name: "LimitRanger", admit: limit_range::admit },
    Unit { name: "ServiceAccount", admit: service_account::admit },
    Unit { name: "TaintNodesByCondition", admit: defaults::new_nodes_are_not_ready },
    Unit { name: "Priority", admit: priority::admit },
    Unit { name: "DefaultTolerationSeconds", admit: defaults::pods_outlive_node_trouble },
    Unit { name: "DefaultStorageClass", admit: defaults::claims_have_a_class },
    Unit { name: "StorageObjectInUseProtection", admit: defaults::volumes_in_use_are_kept },
    Unit { name: "DefaultIngressClass", admit: defaults::ingresses_have_a_class },
    Unit { name: "MutatingAdmissionWebhook", admit: webhook::mutate },
    Unit { name: "PodSecurity", admit: pod_security::admit },
    Unit { name: "ValidatingAdmissionPolicy", admit: policy::admit },
    Unit { name: "ValidatingAdmissionWebhook", admit: webhook::validate },
    Unit { name: "ResourceQuota", admit: quota::admit },
];

/// Names of all rules, in order.
pub fn unit_names() -> impl Iterator<Item = &'static str> {
    UNITS.iter().map(|unit| unit.name)
}

/// Lets a write pass, perhaps changed, and returns its warnings.
///
/// # Errors
/// The first rule's refusal.
pub fn admit(request: &Request<'_>, object: &mut Value) -> Result<Vec<String>, Denial> {
    let mut warnings = Vec::new();
    for unit in UNITS {
        (unit.admit)(request, object, &mut warnings)?;
    }
    Ok(warnings)
}

impl Request<'_> {
    /// Whether this is about the object itself and its kind is this one.
    fn is_of(&self, group: &str, kind: &str) -> bool {
        self.subresource.is_empty() && self.kind.group == group && self.kind.kind == kind
    }

    fn creates(&self, group: &str, kind: &str) -> bool {
        self.operation == Operation::Create && self.is_of(group, kind)
    }

    /// The objects of a resource in the request's namespace.
    fn neighbours(&self, group: &str, plural: &str) -> Vec<Object> {
        self.store.list(&Resource::new(group, plural), Some(self.namespace))
    }

    /// The objects of a cluster-scoped resource.
    fn all(&self, group: &str, plural: &str) -> Vec<Object> {
        self.store.list(&Resource::new(group, plural), None)
    }

    fn find(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Object> {
        self.store.get(&Resource::new(group, plural).key(namespace, name))
    }

    /// The request's namespace as an object.
    fn own_namespace(&self) -> Option<Object> {
        self.find("", "namespaces", "", self.namespace)
    }
}

fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests;
