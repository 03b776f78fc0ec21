//! The roles that every cluster begins with, and who holds them: `roles.txt` as objects.
//!
//! `admin`, `edit` and `view` have no rules of their own: the controller that aggregates roles gives them theirs.

use serde_json::{Map, Value, json};

const GROUP: &str = "rbac.authorization.k8s.io";
const CONTROLLER: &str = "system:controller:";

/// Who holds which cluster role: `group`, `user` or `account` and a name. Each controller's account holds its own.
const HOLDERS: &[(&str, &[(&str, &str)])] = &[
    ("cluster-admin", &[("group", "system:masters")]),
    ("system:basic-user", &[("group", "system:authenticated")]),
    ("system:discovery", &[("group", "system:authenticated")]),
    ("system:kube-controller-manager", &[("user", "system:kube-controller-manager")]),
    ("system:kube-dns", &[("account", "kube-dns")]),
    ("system:kube-scheduler", &[("user", "system:kube-scheduler")]),
    ("system:monitoring", &[("group", "system:monitoring")]),
    ("system:node", &[]),
    ("system:node-proxier", &[("user", "system:kube-proxy")]),
    ("system:public-info-viewer", &[("group", "system:authenticated"), ("group", "system:unauthenticated")]),
    ("system:service-account-issuer-discovery", &[("group", "system:serviceaccounts")]),
    ("system:volume-scheduler", &[("user", "system:kube-scheduler")]),
];

/// Who holds which role of a namespace: the binding's name, the role's, and who.
type Holder = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const LOCAL_HOLDERS: &[Holder] = &[
    (
        "kube-system",
        "system::extension-apiserver-authentication-reader",
        "extension-apiserver-authentication-reader",
        &[("user", "system:kube-controller-manager"), ("user", "system:kube-scheduler")],
    ),
    (
        "kube-system",
        "system::leader-locking-kube-controller-manager",
        "system::leader-locking-kube-controller-manager",
        &[("user", "system:kube-controller-manager"), ("account", "kube-controller-manager")],
    ),
    (
        "kube-system",
        "system::leader-locking-kube-scheduler",
        "system::leader-locking-kube-scheduler",
        &[("user", "system:kube-scheduler"), ("account", "kube-scheduler")],
    ),
    ("kube-system", "system:controller:bootstrap-signer", "system:controller:bootstrap-signer", BOOTSTRAP),
    (
        "kube-system",
        "system:controller:cloud-provider",
        "system:controller:cloud-provider",
        &[("account", "cloud-provider")],
    ),
    (
        "kube-system",
        "system:controller:token-cleaner",
        "system:controller:token-cleaner",
        &[("account", "token-cleaner")],
    ),
    ("kube-public", "system:controller:bootstrap-signer", "system:controller:bootstrap-signer", BOOTSTRAP),
];
const BOOTSTRAP: &[(&str, &str)] = &[("account", "bootstrap-signer")];

/// All roles and bindings.
pub(super) fn objects() -> Vec<Value> {
    let roles = roles();
    let mut bindings: Vec<Value> =
        HOLDERS.iter().map(|(role, holders)| binding("ClusterRole", "", role, role, holders)).collect();
    for name in roles.iter().filter_map(|role| role["metadata"]["name"].as_str()) {
        if let Some(account) = name.strip_prefix(CONTROLLER).filter(|_| !is_local(name)) {
            bindings.push(binding("ClusterRole", "", name, name, &[("account", account)]));
        }
    }
    bindings.extend(
        LOCAL_HOLDERS
            .iter()
            .map(|(namespace, name, role, holders)| binding("Role", namespace, name, role, holders)),
    );
    roles.into_iter().chain(bindings).collect()
}

fn is_local(role: &str) -> bool {
    LOCAL_HOLDERS.iter().any(|(_, _, local, _)| *local == role)
}

fn roles() -> Vec<Value> {
    let mut roles: Vec<Value> = Vec::new();
    for line in include_str!("roles.txt").lines().filter(|line| !line.starts_with('#')) {
        match (line.strip_prefix("  "), roles.last_mut()) {
            (Some(words), Some(role)) => {
                if let Some(rules) = role["rules"].as_array_mut() {
                    rules.push(rule(words));
                }
            }
            _ => roles.push(role(line)),
        }
    }
    roles
}

/// A role without rules, from the line that names it.
fn role(line: &str) -> Value {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    let mut role = match name.split_once('/') {
        Some((namespace, name)) => object("Role", namespace, name),
        None => object("ClusterRole", "", name),
    };
    role["rules"] = json!([]);
    for word in words {
        let label = |to: &str| format!("rbac.authorization.k8s.io/aggregate-to-{to}");
        if let Some(to) = word.strip_prefix('>') {
            role["metadata"]["labels"][label(to)] = "true".into();
        } else if let Some(from) = word.strip_prefix('<') {
            let labels: Map<String, Value> = [(label(from), "true".into())].into_iter().collect();
            role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": labels}]});
            role["rules"] = Value::Null;
        }
    }
    role
}

fn rule(words: &str) -> Value {
    let mut words = words.split(' ');
    let mut next = || words.next().unwrap_or_default();
    let (verbs, groups, objects, names) = (next(), next(), next(), next());
    let mut rule = json!({"verbs": sorted(verbs)});
    if groups == "url" {
        rule["nonResourceURLs"] = sorted(objects);
        return rule;
    }
    rule["apiGroups"] = sorted(groups);
    rule["resources"] = sorted(objects);
    if let Some(names) = names.strip_prefix('=') {
        rule["resourceNames"] = sorted(names);
    }
    rule
}

/// The values of a list with commas, words for several written out.
fn sorted(list: &str) -> Value {
    let mut values: Vec<&str> = list
        .split(',')
        .flat_map(|word| {
            match word {
                "read" => &["get", "list", "watch"][..],
                "write" => &["create", "delete", "deletecollection", "patch", "update"][..],
                "core" => &[""][..],
                _ => &[],
            }
            .iter()
            .copied()
            .chain((!matches!(word, "read" | "write" | "core")).then_some(word))
        })
        .collect();
    values.sort_unstable();
    values.into()
}

fn binding(kind: &str, namespace: &str, name: &str, role: &str, holders: &[(&str, &str)]) -> Value {
    let mut binding = object(&format!("{kind}Binding"), namespace, name);
    binding["roleRef"] = json!({"apiGroup": GROUP, "kind": kind, "name": role});
    let subjects: Vec<Value> = holders.iter().map(subject).collect();
    if !subjects.is_empty() {
        binding["subjects"] = subjects.into();
    }
    binding
}

fn subject((kind, name): &(&str, &str)) -> Value {
    match *kind {
        "group" => json!({"apiGroup": GROUP, "kind": "Group", "name": name}),
        "user" => json!({"apiGroup": GROUP, "kind": "User", "name": name}),
        _ => json!({"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}),
    }
}

fn object(kind: &str, namespace: &str, name: &str) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    });
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(kind: &str, name: &str) -> Value {
        let found = objects().into_iter().find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
        found.unwrap()
    }

    #[test]
    fn a_line_is_a_rule_with_its_words_written_out() {
        assert_eq!(
            rule("read,create core,apps b,a =x"),
            json!({"verbs": ["create", "get", "list", "watch"], "apiGroups": ["", "apps"], "resources": ["a", "b"],
                "resourceNames": ["x"]})
        );
        assert_eq!(rule("get url /api"), json!({"verbs": ["get"], "nonResourceURLs": ["/api"]}));
    }

    #[test]
    fn people_s_roles_are_made_of_others_and_controllers_hold_their_own() {
        let edit = find("ClusterRole", "edit");
        assert_eq!(edit["rules"], Value::Null);
        assert_eq!(edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"], "true");
        let held = find("ClusterRoleBinding", "system:controller:job-controller");
        assert_eq!(held["subjects"][0]["name"], "job-controller");
        assert!(objects().iter().all(|one| one["kind"] != "ClusterRole"
            || one["aggregationRule"].is_object()
            || one["rules"].as_array().is_some_and(|rules| !rules.is_empty())));
    }
}
