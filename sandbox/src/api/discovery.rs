//! What the server says it serves: groups, versions, resources; the old way and all at once.

use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Api;
use super::accept::{format_of, not_acceptable, wishes};
use super::answer::{host, set_header, text_response, without_type};
use super::route::unknown_path;
use super::status::Status;
use crate::kinds::{Kind, Subresource};

/// The content type of the answer that lists everything at once.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

impl Api {
    /// `/api` and `/apis`.
    pub(super) fn discovery_root(&self, core: bool, headers: &HeaderMap) -> Result<Response, Status> {
        for wish in wishes(headers) {
            let is_aggregated = wish.transform == Some("APIGroupDiscoveryList") && wish.version == Some("v2");
            if is_aggregated {
                return Ok(with_tag(headers, AGGREGATED, &self.aggregated(core)));
            }
            if wish.transform.is_none() && format_of(wish.media).is_some() {
                let body = if core { core_versions(headers) } else { self.group_list() };
                return super::answer::negotiated(headers, 200, &body);
            }
        }
        Err(not_acceptable())
    }

    /// `/apis/GROUP`.
    pub(super) fn group(&self, name: &str, headers: &HeaderMap) -> Result<Response, Status> {
        let groups = self.groups();
        let (_, versions) =
            groups.iter().find(|(group, _)| group == name).ok_or_else(Status::page_not_found)?;
        let mut body = group_entry(name, versions);
        body["kind"] = "APIGroup".into();
        body["apiVersion"] = "v1".into();
        super::answer::negotiated(headers, 200, &body)
    }

    /// `/api/v1` and `/apis/GROUP/VERSION`.
    pub(super) fn group_version(
        &self,
        group: &str,
        version: &str,
        headers: &HeaderMap,
    ) -> Result<Response, Status> {
        let kinds = self.store().kinds().all();
        let mut resources: Vec<Value> = Vec::new();
        for kind in kinds.iter().filter(|kind| kind.group == group && kind.version == version) {
            let stored = self.store().kinds().of(&kind.storage).filter(|_| kind.custom);
            resources.push(resource_entry(kind, stored.as_deref().unwrap_or(kind)));
            resources
                .extend(kind.subresources.iter().map(|subresource| subresource_entry(kind, subresource)));
        }
        if resources.is_empty() {
            return Err(unknown_path(self.store().kinds(), group));
        }
        let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let mut body =
            json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
        if !group.is_empty() {
            body["apiVersion"] = "v1".into();
        }
        super::answer::negotiated(headers, 200, &body)
    }

    fn group_list(&self) -> Value {
        let groups: Vec<Value> =
            self.groups().iter().map(|(name, versions)| group_entry(name, versions)).collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    }

    /// The named groups with their versions, both in the order they are served.
    pub(super) fn groups(&self) -> Vec<(String, Vec<String>)> {
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for kind in self.store().kinds().all().iter().filter(|kind| !kind.group.is_empty()) {
            let known = groups.iter().position(|(name, _)| *name == kind.group);
            let index = known.unwrap_or_else(|| {
                groups.push((kind.group.clone(), Vec::new()));
                groups.len() - 1
            });
            if !groups[index].1.contains(&kind.version) {
                groups[index].1.push(kind.version.clone());
            }
        }
        groups
    }

    fn aggregated(&self, core: bool) -> Value {
        let groups = if core { vec![(String::new(), vec!["v1".to_owned()])] } else { self.groups() };
        let kinds = self.store().kinds().all();
        let items: Vec<Value> = groups
            .iter()
            .map(|(group, versions)| {
                let of_version = |version: &String| {
                    let kinds = kinds.iter().filter(|kind| kind.group == *group && kind.version == *version);
                    let resources: Vec<Value> = kinds.map(|kind| aggregated_resource(kind)).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                };
                let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
                json!({"metadata": metadata, "versions": versions.iter().map(of_version).collect::<Vec<_>>()})
            })
            .collect();
        json!({
            "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
        })
    }
}

fn core_versions(headers: &HeaderMap) -> Value {
    let address = json!({"clientCIDR": "0.0.0.0/0", "serverAddress": host(headers)});
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]})
}

/// Answers with a tag, or with nothing when the client has this very answer.
pub(super) fn with_tag(headers: &HeaderMap, content_type: &str, body: &Value) -> Response {
    let text = format!("{body}\n");
    let tag = hex::encode_upper(Sha256::digest(&text));
    tagged(headers, content_type, text, &tag)
}

/// The same with a tag that the caller knows.
pub(super) fn tagged(headers: &HeaderMap, content_type: &str, body: impl Into<Body>, tag: &str) -> Response {
    let tag = format!("\"{tag}\"");
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = match is_known {
        true => without_type(304),
        false => text_response(200, content_type, body),
    };
    set_header(&mut response, header::ETAG, &tag);
    set_header(&mut response, header::VARY, "Accept");
    response
}

fn group_entry(name: &str, versions: &[String]) -> Value {
    let entry = |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let versions: Vec<Value> = versions.iter().map(entry).collect();
    json!({"name": name, "preferredVersion": versions.first(), "versions": versions})
}

fn resource_entry(kind: &Kind, stored: &Kind) -> Value {
    let mut entry = json!({
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
        "kind": kind.kind, "verbs": kind.verbs,
    });
    if !kind.short_names.is_empty() {
        entry["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        entry["categories"] = json!(kind.categories);
    }
    if kind.is_stored() {
        entry["storageVersionHash"] = storage_hash(stored).into();
    }
    entry
}

/// The version that a real server of this release stores, where it is not the one it serves.
fn storage_version(kind: &Kind) -> (&str, &str) {
    match (&*kind.group, &*kind.kind) {
        ("events.k8s.io", "Event") => ("", "v1"),
        ("autoscaling", "HorizontalPodAutoscaler") => ("autoscaling", "v2"),
        ("apiextensions.k8s.io", "CustomResourceDefinition")
        | ("admissionregistration.k8s.io", "MutatingAdmissionPolicy" | "MutatingAdmissionPolicyBinding") => {
            (&kind.group, "v1beta1")
        }
        (group, _) => (group, &kind.version),
    }
}

/// The first eight bytes of a hash over the stored version's name.
fn storage_hash(kind: &Kind) -> String {
    let (group, version) = storage_version(kind);
    let text = format!("{group}/{version}/{}", kind.kind);
    STANDARD.encode(&Sha256::digest(text)[..8])
}

fn subresource_entry(kind: &Kind, subresource: &Subresource) -> Value {
    let (group, version, speaks) = &subresource.speaks;
    let mut entry = json!({
        "name": format!("{}/{}", kind.plural, subresource.name), "singularName": "",
        "namespaced": kind.namespaced, "kind": speaks, "verbs": subresource.verbs,
    });
    if !group.is_empty() {
        entry["group"] = (*group).into();
        entry["version"] = (*version).into();
    }
    entry
}

fn aggregated_resource(kind: &Kind) -> Value {
    let spoken =
        |group: &str, version: &str, name: &str| json!({"group": group, "version": version, "kind": name});
    let mut entry = Map::new();
    entry.insert("resource".into(), json!(kind.plural));
    entry.insert(
        "responseKind".into(),
        spoken(&own(kind, &kind.group), &own(kind, &kind.version), &kind.kind),
    );
    entry.insert("scope".into(), json!(if kind.namespaced { "Namespaced" } else { "Cluster" }));
    entry.insert("singularResource".into(), json!(kind.singular));
    entry.insert("verbs".into(), json!(kind.verbs));
    if !kind.short_names.is_empty() {
        entry.insert("shortNames".into(), json!(kind.short_names));
    }
    if !kind.categories.is_empty() {
        entry.insert("categories".into(), json!(kind.categories));
    }
    let subresources: Vec<Value> = kind
        .subresources
        .iter()
        .map(|subresource| {
            let (group, version, name) = &subresource.speaks;
            let (group, version) = match group.is_empty() {
                true => (own(kind, &kind.group), own(kind, &kind.version)),
                false => ((*group).to_owned(), (*version).to_owned()),
            };
            json!({
                "subresource": subresource.name, "responseKind": spoken(&group, &version, name),
                "verbs": subresource.verbs,
            })
        })
        .collect();
    if !subresources.is_empty() {
        entry.insert("subresources".into(), subresources.into());
    }
    Value::Object(entry)
}

/// Built-in kinds leave their own group and version out here, custom kinds write them.
fn own(kind: &Kind, text: &str) -> String {
    if kind.custom { text.to_owned() } else { String::new() }
}
