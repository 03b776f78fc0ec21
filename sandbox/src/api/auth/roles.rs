//! Role-based access: what the roles bound to a user allow.

use serde_json::{Value, json};

use super::{Attempt, User};
use crate::api::Api;
use crate::api::status::Status;
use crate::kinds::Kind;
use crate::store::{Item, Object, Resource};

const GROUP: &str = "rbac.authorization.k8s.io";

/// The bindings to what everyone may do, which a cluster cannot do without.
const ANYONES: &[&str] = &[
    "system:basic-user",
    "system:discovery",
    "system:public-info-viewer",
    "system:service-account-issuer-discovery",
];
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

    /// Refuses rules that give more than their writer has: nobody raises themselves.
    pub(in crate::api) fn check_grant(&self, user: &User, kind: &Kind, object: &Value) -> Result<(), Status> {
        let grants = kind.group == GROUP && matches!(&*kind.kind, "Role" | "ClusterRole");
        if !grants || user.is_master() {
            return Ok(());
        }
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let may = |verb: &str| {
            let attempt = Attempt {
                verb: verb.into(),
                group: GROUP.into(),
                resource: kind.plural.clone(),
                namespace: text("namespace"),
                name: text("name"),
                path: String::new(),
            };
            self.allows(user, &attempt).is_allowed
        };
        let held = self.rules_for(user, &text("namespace"));
        let rules = object["rules"].as_array().into_iter().flatten();
        let missing: Vec<String> = rules.filter(|rule| !is_covered(rule, &held)).map(shown).collect();
        if missing.is_empty() || may("escalate") {
            return Ok(());
        }
        let groups: Vec<String> = user.groups.iter().map(|group| format!("{group:?}")).collect();
        let problem = format!(
            "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
            user.name,
            groups.join(" "),
            missing.join("\n")
        );
        Err(Status::forbidden(kind, &text("name"), &problem))
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
        let bound = bindings.iter().filter(|binding| is_bound(binding, user));
        rules_of_anyone(user).into_iter().chain(bound.flat_map(|binding| self.rules_of(binding))).collect()
    }

    /// The bindings that hold in a namespace, but for those of what everyone may do (`rules_of_anyone`).
    fn bindings(&self, namespace: &str) -> Vec<Object> {
        let of_cluster = self.store().list(&Resource::new(GROUP, "clusterrolebindings"), None);
        let others = of_cluster.items.iter().filter(|binding| !ANYONES.contains(&binding.name()));
        let mut bindings: Vec<Object> = others.map(Item::object).collect();
        if !namespace.is_empty() {
            let own = self.store().list(&Resource::new(GROUP, "rolebindings"), Some(namespace));
            bindings.extend(own.objects());
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

/// Whether every single thing a rule allows is allowed by one of the rules held.
fn is_covered(rule: &Value, held: &[Value]) -> bool {
    const PARTS: [&str; 4] = ["verbs", "apiGroups", "resources", "nonResourceURLs"];
    let values = |part: &str| match list(rule, part).map(str::to_owned).collect::<Vec<_>>() {
        none if none.is_empty() => vec![String::new()],
        some => some,
    };
    let parts = PARTS.map(values);
    let single = |index: usize, rest: usize| (rest % parts[index].len(), rest / parts[index].len());
    let count: usize = parts.iter().map(Vec::len).product();
    (0..count).all(|number| {
        let mut rest = number;
        let chosen: Vec<&str> = (0..PARTS.len())
            .map(|index| {
                let (place, left) = single(index, rest);
                rest = left;
                parts[index][place].as_str()
            })
            .collect();
        held.iter().any(|own| {
            let has = |index: usize| {
                chosen[index].is_empty() && list(own, PARTS[index]).next().is_none()
                    || list(own, PARTS[index]).any(|value| value == "*" || value == chosen[index])
            };
            (0..PARTS.len()).all(has) && list(own, "resourceNames").next().is_none()
        })
    })
}

/// A rule as messages show it.
fn shown(rule: &Value) -> String {
    let names = [
        ("apiGroups", "APIGroups"),
        ("resources", "Resources"),
        ("resourceNames", "ResourceNames"),
        ("nonResourceURLs", "NonResourceURLs"),
        ("verbs", "Verbs"),
    ];
    let parts = names.iter().filter(|(part, _)| rule[*part].is_array()).map(|(part, name)| {
        let values: Vec<String> = list(rule, part).map(|value| format!("{value:?}")).collect();
        format!("{name}:[{}]", values.join(" "))
    });
    format!("{{{}}}", parts.collect::<Vec<_>>().join(", "))
}

/// What everyone may do, as the rules of the roles that every cluster binds.
fn rules_of_anyone(user: &User) -> Vec<Value> {
    let paths = |paths: &[&str]| json!({"verbs": ["get"], "nonResourceURLs": paths});
    let mut rules = vec![paths(PUBLIC)];
    let is_in = |name: &str| user.groups.iter().any(|group| group == name);
    if is_in("system:authenticated") {
        let create = |group: &str, resources: &[&str]| json!({"verbs": ["create"], "apiGroups": [group], "resources": resources});
        rules.splice(
            0..0,
            [
                create("authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
                create("authentication.k8s.io", &["selfsubjectreviews"]),
            ],
        );
        rules.push(paths(&["/.well-known", "/.well-known/*"]));
        rules.push(paths(&[
            "/api",
            "/api/*",
            "/apis",
            "/apis/*",
            "/healthz",
            "/livez",
            "/openapi",
            "/openapi/*",
            "/readyz",
            "/version",
            "/version/",
        ]));
    }
    if is_in("system:serviceaccounts") {
        rules.push(paths(&[
            "/.well-known/openid-configuration",
            "/.well-known/openid-configuration/",
            "/openid/v1/jwks",
            "/openid/v1/jwks/",
        ]));
    }
    rules
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
