//! Role-based access: what the roles bound to a user allow.

use serde_json::{Value, json};

use super::{Attempt, User};
use crate::api::Api;
use crate::store::{Object, Resource};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Paths that anyone may read.
const PUBLIC: &[&str] = &["/healthz", "/livez", "/readyz", "/version", "/version/"];
/// Paths that any authenticated user may read.
const DISCOVERY: &[&str] =
    &["/api", "/apis", "/openapi", "/.well-known/openid-configuration", "/openid/v1/jwks"];

/// Whether something is allowed, and by which binding.
pub(in crate::api) struct Decision {
    pub(in crate::api) is_allowed: bool,
    pub(in crate::api) reason: String,
}

impl Decision {
    fn allowed(reason: String) -> Self {
        Self { is_allowed: true, reason }
    }
}

impl Api {
    /// Decides whether a user may do something.
    pub(in crate::api) fn allows(&self, user: &User, attempt: &Attempt) -> Decision {
        if user.is_master() || allows_anyone(user, attempt) {
            return Decision::allowed(String::new());
        }
        let bindings = self.bindings(&attempt.namespace);
        for binding in bindings.iter().filter(|binding| is_bound(binding, user)) {
            let rules = self.rules_of(binding);
            if rules.iter().any(|rule| rule_allows(rule, attempt)) {
                return Decision::allowed(reason(binding, user));
            }
        }
        Decision { is_allowed: false, reason: String::new() }
    }

    /// All rules that hold for a user in a namespace.
    pub(in crate::api) fn rules_for(&self, user: &User, namespace: &str) -> Vec<Value> {
        if user.is_master() {
            return vec![
                json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
                json!({"verbs": ["*"], "nonResourceURLs": ["*"]}),
            ];
        }
        let bindings = self.bindings(namespace);
        bindings
            .iter()
            .filter(|binding| is_bound(binding, user))
            .flat_map(|binding| self.rules_of(binding))
            .collect()
    }

    fn bindings(&self, namespace: &str) -> Vec<Object> {
        let mut bindings = self.store().list(&Resource::new(GROUP, "clusterrolebindings"), None).items;
        if !namespace.is_empty() {
            let own = self.store().list(&Resource::new(GROUP, "rolebindings"), Some(namespace));
            bindings.extend(own.items);
        }
        bindings
    }

    fn rules_of(&self, binding: &Value) -> Vec<Value> {
        let name = binding["roleRef"]["name"].as_str().unwrap_or_default();
        let key = match binding["roleRef"]["kind"].as_str() {
            Some("ClusterRole") => Resource::new(GROUP, "clusterroles").key("", name),
            _ => {
                let namespace = binding["metadata"]["namespace"].as_str().unwrap_or_default();
                Resource::new(GROUP, "roles").key(namespace, name)
            }
        };
        let role = self.store().get(&key);
        role.and_then(|role| role["rules"].as_array().cloned()).unwrap_or_default()
    }
}

fn allows_anyone(user: &User, attempt: &Attempt) -> bool {
    let is_known = user.groups.iter().any(|group| group == "system:authenticated");
    let below = |root: &&str| attempt.path == **root || attempt.path.starts_with(&format!("{root}/"));
    let may_read = attempt.verb == "get";
    let asks_about_itself = attempt.verb == "create"
        && matches!(
            (&*attempt.group, &*attempt.resource),
            ("authorization.k8s.io", "selfsubjectaccessreviews" | "selfsubjectrulesreviews")
                | ("authentication.k8s.io", "selfsubjectreviews")
        );
    may_read && PUBLIC.iter().any(below)
        || is_known && (may_read && DISCOVERY.iter().any(below) || asks_about_itself)
}

fn is_bound(binding: &Value, user: &User) -> bool {
    let own_namespace = binding["metadata"]["namespace"].as_str().unwrap_or_default();
    binding["subjects"].as_array().into_iter().flatten().any(|subject| {
        let name = subject["name"].as_str().unwrap_or_default();
        match subject["kind"].as_str() {
            Some("User") => user.name == name,
            Some("Group") => user.groups.iter().any(|group| group == name),
            Some("ServiceAccount") => {
                let namespace = subject["namespace"].as_str().unwrap_or(own_namespace);
                user.name == format!("system:serviceaccount:{namespace}:{name}")
            }
            _ => false,
        }
    })
}

fn rule_allows(rule: &Value, attempt: &Attempt) -> bool {
    let has = |field: &str, wanted: &str| list(rule, field).any(|value| value == "*" || value == wanted);
    if !has("verbs", &attempt.verb) {
        return false;
    }
    if !attempt.path.is_empty() {
        return list(rule, "nonResourceURLs").any(|path| match path.strip_suffix('*') {
            Some(prefix) => attempt.path.starts_with(prefix),
            None => path == attempt.path,
        });
    }
    let any_parent = attempt.resource.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
    let has_resource = has("resources", &attempt.resource)
        || any_parent.is_some_and(|pattern| list(rule, "resources").any(|value| value == pattern));
    let mut names = list(rule, "resourceNames").peekable();
    let has_name = names.peek().is_none() || names.any(|name| name == attempt.name);
    has("apiGroups", &attempt.group) && has_resource && has_name
}

fn list<'a>(rule: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    rule[field].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn reason(binding: &Value, user: &User) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, role) = (text(&binding["metadata"]["name"]), text(&binding["roleRef"]["name"]));
    let role_kind = text(&binding["roleRef"]["kind"]);
    let subject = match user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
    {
        Some((namespace, name)) => format!("ServiceAccount \"{name}/{namespace}\""),
        None => format!("User {:?}", user.name),
    };
    match binding["metadata"]["namespace"].as_str() {
        None => format!("RBAC: allowed by ClusterRoleBinding {name:?} of {role_kind} {role:?} to {subject}"),
        Some(namespace) => {
            let place = format!("{name}/{namespace}");
            format!("RBAC: allowed by RoleBinding {place:?} of {role_kind} {role:?} to {subject}")
        }
    }
}
