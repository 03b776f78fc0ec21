//! Budgets, quotas, limits, priorities, roles and autoscalers.

use super::check::{at_most_all, items, not_negative, number_or_percent, text};
use crate::schema::cause::Cause;
use crate::schema::quantity::Quantity;
use serde_json::{Value, json};

/// The greatest priority a user may define.
const MAX_PRIORITY: i64 = 1_000_000_000;

pub(super) fn disruption_budget(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &new["spec"];
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        // The fields in the order of the server's type.
        let shown = format!(
            r#"{{"MinAvailable":{},"Selector":{},"MaxUnavailable":{},"UnhealthyPodEvictionPolicy":{}}}"#,
            spec["minAvailable"],
            spec["selector"],
            spec["maxUnavailable"],
            spec["unhealthyPodEvictionPolicy"]
        );
        let detail = "minAvailable and maxUnavailable cannot be both set";
        causes.push(Cause::invalid_shown("spec", &shown, detail));
    }
    for field in ["minAvailable", "maxUnavailable"] {
        let path = format!("spec.{field}");
        number_or_percent(&spec[field], &path, &mut causes);
        at_most_all(&spec[field], &path, &mut causes);
    }
    causes
}

pub(super) fn priority_class(old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = text(&new["metadata"], "name");
    let known = matches!(name, "system-node-critical" | "system-cluster-critical");
    if name.starts_with("system-") && !known {
        let detail = format!(
            "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a known system priority class"
        );
        causes.push(Cause::forbidden("metadata.name", &detail));
    } else if !known && new["value"].as_i64().is_some_and(|value| value > MAX_PRIORITY) {
        let detail = format!("maximum allowed value of a user defined priority is {MAX_PRIORITY}");
        causes.push(Cause::forbidden("value", &detail));
    }
    if old.is_some_and(|old| old["value"] != new["value"]) {
        causes.push(Cause::forbidden("value", "may not be changed in an update."));
    }
    causes
}

/// Resources a quota can count besides `requests.*`, `limits.*` and `count/*`.
const QUOTA_RESOURCES: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "pods",
    "services",
    "services.loadbalancers",
    "services.nodeports",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
];
/// Those that are whole numbers.
const WHOLE_RESOURCES: &[&str] = &[
    "pods",
    "services",
    "services.loadbalancers",
    "services.nodeports",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
];

pub(super) fn resource_quota(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (name, amount) in new["spec"]["hard"].as_object().into_iter().flatten() {
        let path = format!("spec.hard[{name}]");
        let standard = QUOTA_RESOURCES.contains(&name.as_str())
            || ["requests.", "limits.", "count/", "hugepages-"].iter().any(|prefix| name.starts_with(prefix));
        if !standard && !name.contains('/') {
            let value = json!(name);
            causes.push(Cause::invalid(&path, &value, "must be a standard resource type or fully qualified"));
            causes.push(Cause::invalid(&path, &value, "must be a standard resource for quota"));
            continue;
        }
        let Some(quantity) = Quantity::from_json(amount) else { continue };
        let whole = WHOLE_RESOURCES.contains(&name.as_str()) || name.starts_with("count/");
        if quantity.nanos() < 0 {
            causes.push(Cause::invalid(&path, amount, "must be greater than or equal to 0"));
        } else if whole && !quantity.is_whole() {
            causes.push(Cause::invalid(&path, amount, "must be an integer"));
        }
    }
    causes
}

pub(super) fn limit_range(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (at, item) in items(&new["spec"], "limits").iter().enumerate() {
        limits(item, &format!("spec.limits[{at}]"), &mut causes);
    }
    causes
}

/// What must not exceed what: lower part, its words, upper part, its words, the field that is blamed and
/// the part whose value is shown with it (sometimes not its own, as in the real server).
const LIMIT_ORDER: &[(&str, &str, &str, &str, &str, &str)] = &[
    ("min", "min", "max", "max", "min", "min"),
    ("min", "min", "defaultRequest", "default request", "defaultRequest", "defaultRequest"),
    ("defaultRequest", "default request", "max", "max", "defaultRequest", "defaultRequest"),
    ("defaultRequest", "default request", "default", "default limit", "defaultRequest", "defaultRequest"),
    ("min", "min", "default", "default", "default", "min"),
    ("default", "default", "max", "max", "default", "max"),
];

fn limits(item: &Value, path: &str, causes: &mut Vec<Cause>) {
    let parts = ["max", "min", "default", "defaultRequest"].iter().filter_map(|part| item[*part].as_object());
    let mut names: Vec<&String> = parts.flat_map(|part| part.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let amount = |part: &str| Quantity::from_json(&item[part][name]);
        for (lower, lower_word, upper, upper_word, field, shown) in LIMIT_ORDER {
            let both = amount(lower).zip(amount(upper));
            let Some((low, high)) = both.filter(|(low, high)| low.exceeds(*high)) else { continue };
            let detail = format!("{lower_word} value {low} is greater than {upper_word} value {high}");
            let shown = amount(shown).map(|amount| amount.to_string());
            causes.push(Cause::invalid(format!("{path}.{field}[{name}]"), &json!(shown), detail));
        }
    }
}

pub(super) fn role(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    rules(new, true)
}

pub(super) fn cluster_role(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    rules(new, false)
}

fn rules(new: &Value, namespaced: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (at, rule) in items(new, "rules").iter().enumerate() {
        let path = format!("rules[{at}]");
        if items(rule, "verbs").is_empty() {
            causes.push(Cause::required(format!("{path}.verbs"), "verbs must contain at least one value"));
        }
        let urls = !items(rule, "nonResourceURLs").is_empty();
        if urls && namespaced {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            causes.push(Cause::invalid(format!("{path}.nonResourceURLs"), &rule["nonResourceURLs"], detail));
        }
        if urls {
            continue;
        }
        if items(rule, "apiGroups").is_empty() {
            let detail = "resource rules must supply at least one api group";
            causes.push(Cause::required(format!("{path}.apiGroups"), detail));
        }
        if items(rule, "resources").is_empty() {
            let detail = "resource rules must supply at least one resource";
            causes.push(Cause::required(format!("{path}.resources"), detail));
        }
    }
    causes
}

pub(super) fn role_binding(old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let role = &new["roleRef"];
    if text(role, "name").is_empty() {
        causes.push(Cause::required("roleRef.name", ""));
    }
    if old.is_some_and(|old| old["roleRef"] != *role) {
        let shown = json!({"APIGroup": role["apiGroup"], "Kind": role["kind"], "Name": role["name"]});
        causes.push(Cause::invalid("roleRef", &shown, "cannot change roleRef"));
    }
    for (at, subject) in items(new, "subjects").iter().enumerate() {
        let path = format!("subjects[{at}]");
        if text(subject, "name").is_empty() {
            causes.push(Cause::required(format!("{path}.name"), ""));
        }
        match text(subject, "kind") {
            "ServiceAccount"
                if text(subject, "namespace").is_empty()
                    && text(&new["metadata"], "namespace").is_empty() =>
            {
                causes.push(Cause::required(format!("{path}.namespace"), ""));
            }
            "ServiceAccount" | "User" | "Group" => {}
            _ => causes.push(Cause::unsupported(
                format!("{path}.kind"),
                &subject["kind"],
                &["ServiceAccount", "User", "Group"],
            )),
        }
    }
    causes
}

pub(super) fn autoscaler(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &new["spec"];
    let (least, most) =
        (spec["minReplicas"].as_i64().unwrap_or(1), spec["maxReplicas"].as_i64().unwrap_or(0));
    not_negative(spec, "minReplicas", "spec", &mut causes);
    if most < 1 {
        causes.push(Cause::invalid("spec.maxReplicas", &json!(most), "must be greater than 0"));
    }
    if most < least {
        let detail = "must be greater than or equal to `minReplicas`";
        causes.push(Cause::invalid("spec.maxReplicas", &json!(most), detail));
    }
    let target = &spec["scaleTargetRef"];
    for field in ["kind", "name"] {
        if text(target, field).is_empty() {
            causes.push(Cause::required(format!("spec.scaleTargetRef.{field}"), ""));
        }
    }
    let version = text(target, "apiVersion");
    if version.is_empty() && text(target, "kind") != "ReplicationController" {
        let detail = "apiVersion must specify API group";
        causes.push(Cause::invalid("spec.scaleTargetRef.apiVersion", &json!(version), detail));
    }
    causes
}
