//! Admission: what the cluster makes of a write before it is stored.
//!
//! One ordered list of units, all alike: each looks at the request and at the store, and changes the object,
//! adds a warning, or refuses. Admission runs after defaulting and before validation; what it fills in
//! belongs to no field manager. Addresses of Services are handed out where Services are written.
//!
//! Deletions and ways in (exec, attach, port-forward) store nothing, so only those units look at them that the cluster's
//! users configured: policies and webhooks.
//!
//! | file | what it holds |
//! |---|---|
//! | `webhook` | which webhooks are asked, in what order, and again |
//! | `matching` | whether a rule with its selectors is about a request |
//! | `facts` | what an expression of a policy or a webhook's condition can speak of |
//! | `service` | what stands behind the Service of a webhook |
//! | `answer`, `tally` | asking for real, and counting who was taken to say yes |
//! | the others | one unit each |
//!
//! Not played: CEL functions beyond the standard ones.

mod answer;
mod defaults;
mod facts;
mod limit_range;
mod limits;
mod matching;
mod namespace;
mod pod_security;
mod policy;
mod priority;
mod quota;
mod service;
mod service_account;
mod tally;
mod webhook;

pub use self::answer::Webhooks;
pub use self::tally::{Counts, Tally};

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
    /// A way into a running object: exec, attach, port-forward.
    Connect,
}

impl Operation {
    /// Its name in rules and reviews.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }

    /// The options that go with it.
    fn options(self) -> Option<&'static str> {
        match self {
            Self::Create => Some("CreateOptions"),
            Self::Update => Some("UpdateOptions"),
            Self::Delete => Some("DeleteOptions"),
            Self::Connect => None,
        }
    }

    /// Whether an object is stored at the end of it.
    fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Update)
    }
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
    /// The name in the path; a new object may have none yet.
    pub name: &'a str,
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
    /// 400: nothing may be asked of this webhook that is not meant.
    #[error("admission webhook {0:?} does not support dry run")]
    NoDryRun(String),
    /// 500: a webhook could not be called; the sentence after `Internal error occurred: `.
    #[error("{0}")]
    Webhook(String),
}

/// One admission rule.
struct Unit {
    /// The name the real server's plugin has.
    name: &'static str,
    sort: Sort,
    admit: fn(&Request<'_>, &mut Value, &mut Vec<String>) -> Result<(), Denial>,
}

/// When a rule has its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// Changes what is written; once more when a webhook changed it afterwards.
    Mutates,
    /// Asks the webhooks that change things, about everything.
    AsksToMutate,
    /// Looks at what is written.
    Validates,
    /// Looks at everything that is done.
    ValidatesAll,
}

/// Every rule, in the order the real server runs them: first those that change the object.
const UNITS: &[Unit] = &[
    Unit { name: "NamespaceLifecycle", sort: Sort::Mutates, admit: namespace::admit },
    Unit { name: "LimitRanger", sort: Sort::Mutates, admit: limit_range::admit },
    Unit { name: "ServiceAccount", sort: Sort::Mutates, admit: service_account::admit },
    Unit { name: "TaintNodesByCondition", sort: Sort::Mutates, admit: defaults::new_nodes_are_not_ready },
    Unit { name: "Priority", sort: Sort::Mutates, admit: priority::admit },
    Unit {
        name: "DefaultTolerationSeconds",
        sort: Sort::Mutates,
        admit: defaults::pods_outlive_node_trouble,
    },
    Unit { name: "DefaultStorageClass", sort: Sort::Mutates, admit: defaults::claims_have_a_class },
    Unit {
        name: "StorageObjectInUseProtection",
        sort: Sort::Mutates,
        admit: defaults::volumes_in_use_are_kept,
    },
    Unit { name: "DefaultIngressClass", sort: Sort::Mutates, admit: defaults::ingresses_have_a_class },
    Unit { name: "MutatingAdmissionWebhook", sort: Sort::AsksToMutate, admit: webhook::mutate },
    Unit { name: "PodSecurity", sort: Sort::Validates, admit: pod_security::admit },
    Unit { name: "ValidatingAdmissionPolicy", sort: Sort::ValidatesAll, admit: policy::admit },
    Unit { name: "ValidatingAdmissionWebhook", sort: Sort::ValidatesAll, admit: webhook::validate },
    Unit { name: "ResourceQuota", sort: Sort::Validates, admit: quota::admit },
];

/// Names of all rules, in order.
pub fn unit_names() -> impl Iterator<Item = &'static str> {
    UNITS.iter().map(|unit| unit.name)
}

/// Lets a request pass, its object perhaps changed, and returns its warnings. What is deleted or entered has no
/// object: it is null, and the request has the old one.
///
/// # Errors
/// The first rule's refusal.
pub fn admit(request: &Request<'_>, object: &mut Value) -> Result<Vec<String>, Denial> {
    let mut warnings = Vec::new();
    for unit in UNITS.iter().filter(|unit| unit.concerns(request.operation)) {
        (unit.admit)(request, object, &mut warnings)?;
        if unit.sort == Sort::AsksToMutate && request.webhooks.changed() {
            admit_again(request, object)?;
        }
    }
    Ok(warnings)
}

/// What webhooks put into an object is filled in like the rest of it. Whoever warned has done so.
fn admit_again(request: &Request<'_>, object: &mut Value) -> Result<(), Denial> {
    let again = UNITS.iter().filter(|unit| unit.sort == Sort::Mutates && request.operation.is_write());
    again.into_iter().try_for_each(|unit| (unit.admit)(request, object, &mut Vec::new()))
}

impl Unit {
    fn concerns(&self, operation: Operation) -> bool {
        operation.is_write() || matches!(self.sort, Sort::AsksToMutate | Sort::ValidatesAll)
    }
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

    /// The name of what it is about: a new object may have been given one.
    fn object_name<'b>(&'b self, object: &'b Value) -> &'b str {
        let names = [name_of(object), self.old.map(name_of).unwrap_or_default(), self.name];
        names.into_iter().find(|name| !name.is_empty()).unwrap_or_default()
    }

    /// Group, version and kind of the object that goes with it: a scale, an eviction, or the object itself.
    fn speaks(&self) -> (&str, &str, &str) {
        let own = (&*self.kind.group, &*self.kind.version, &*self.kind.kind);
        match self.kind.subresource(self.subresource).map(|sub| &sub.speaks) {
            Some(("", "", kind)) if *kind != self.kind.kind => ("", "v1", kind),
            Some((group, version, kind)) if *kind != self.kind.kind => (group, version, kind),
            _ => own,
        }
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
