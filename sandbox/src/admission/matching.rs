//! Whether the rules and selectors of a webhook or policy are about a request.
//!
//! Rules name resources in versions. By the policy `Equivalent`, the default, a rule about one version of a resource is
//! about all versions of it, and whoever wrote it is shown the object in the version it names.

use super::{Operation, Request, items};
use crate::kinds::Kind;
use crate::store::selector::LabelSelector;
use serde_json::Value;
use std::sync::Arc;

/// Whether rules are about a request, in any version that counts.
pub(super) fn rules_match(request: &Request<'_>, rules: &[Value], match_policy: &Value) -> bool {
    matched(request, rules, match_policy).is_some()
}

/// The version in which rules are about a request.
pub(super) enum Matched {
    /// The version of the request.
    AsAsked,
    /// Another version of the same resource.
    As(Arc<Kind>),
}

/// In which version rules are about a request; none when they are not.
pub(super) fn matched(request: &Request<'_>, rules: &[Value], match_policy: &Value) -> Option<Matched> {
    let about = |kind: &Kind| rules.iter().any(|rule| rule_matches(request, kind, rule));
    if about(request.kind) {
        return Some(Matched::AsAsked);
    }
    if rules.is_empty() || match_policy == "Exact" {
        return None;
    }
    let others = request.store.kinds().versions(&request.kind.storage);
    others.into_iter().find(|other| about(other)).map(Matched::As)
}

fn rule_matches(request: &Request<'_>, kind: &Kind, rule: &Value) -> bool {
    let lists = |field: &str, wanted: &str| {
        items(rule, field).iter().filter_map(Value::as_str).any(|value| value == "*" || value == wanted)
    };
    let scope = match rule["scope"].as_str() {
        Some("Namespaced") => kind.namespaced,
        Some("Cluster") => !kind.namespaced,
        _ => true,
    };
    let names = items(rule, "/resourceNames");
    scope
        && lists("/operations", request.operation.name())
        && lists("/apiGroups", &kind.group)
        && lists("/apiVersions", &kind.version)
        && (names.is_empty() || names.iter().any(|name| name == request.name))
        && items(rule, "/resources")
            .iter()
            .filter_map(Value::as_str)
            .any(|pattern| resource_matches(request, kind, pattern))
}

/// `pods`, `pods/status`, `*`, `*/status`, `pods/*`, `*/*`.
fn resource_matches(request: &Request<'_>, kind: &Kind, pattern: &str) -> bool {
    let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
    let same = |pattern: &str, value: &str| pattern == "*" || pattern == value;
    same(resource, &kind.plural) && same(subresource, request.subresource)
}

/// Which objects in which namespaces.
pub(super) struct Scope<'a> {
    objects: &'a Value,
    namespaces: &'a Value,
}

impl<'a> Scope<'a> {
    /// The selectors of a webhook, of a policy or of its binding.
    pub(super) fn of(part: &'a Value) -> Self {
        Self { objects: &part["objectSelector"], namespaces: &part["namespaceSelector"] }
    }

    /// Whether a request is about an object that is, or was, selected.
    pub(super) fn includes(&self, request: &Request<'_>, object: &Value) -> bool {
        (selected(self.objects, object) || request.old.is_some_and(|old| selected(self.objects, old)))
            && in_selected_namespace(request, self.namespaces, object)
    }
}

/// Whether an object has the labels a selector wants; an empty one wants none.
fn selected(selector: &Value, object: &Value) -> bool {
    let Some(selector) = LabelSelector::from_object(selector).filter(|selector| !selector.is_empty()) else {
        return true;
    };
    object["metadata"].is_object() && selector.matches(object)
}

/// The selector is about the namespace an object lives in, or the namespace it is.
fn in_selected_namespace(request: &Request<'_>, selector: &Value, object: &Value) -> bool {
    let Some(selector) = LabelSelector::from_object(selector).filter(|selector| !selector.is_empty()) else {
        return true;
    };
    if request.kind.group.is_empty() && request.kind.kind == "Namespace" {
        // One that goes is looked up as it is; one that is written, as it will be.
        let own = if request.operation == Operation::Delete { request.old } else { Some(object) };
        return own.is_some_and(|namespace| selector.matches(namespace));
    }
    if !request.kind.namespaced {
        return true;
    }
    request.own_namespace().is_some_and(|namespace| selector.matches(&namespace))
}
