//! `scale`: the replicas of any workload as one small kind.

use axum::response::Response;
use serde_json::{Value, json};

use super::number;
use crate::api::answer::{value_response, with_warnings};
use crate::api::query::WriteOptions;
use crate::api::status::{Cause, Status};
use crate::api::write::{Draft, update_in};
use crate::api::{Api, Call, decode};
use crate::kinds::Kind;
use crate::patch;

/// Where a kind keeps what its scale shows.
struct Paths {
    wish: String,
    state: String,
    /// None for custom kinds that name none.
    selector: Option<String>,
}

impl Paths {
    /// Built-in workloads all look alike; custom kinds say where to look.
    fn of(kind: &Kind) -> Self {
        let paths = &kind.definition["subresources"]["scale"];
        let path = |name: &str| paths[name].as_str().map(|path| path.replace('.', "/"));
        let selector = (!kind.custom).then(|| "/spec/selector".to_owned());
        Self {
            wish: path("specReplicasPath").unwrap_or_else(|| "/spec/replicas".to_owned()),
            state: path("statusReplicasPath").unwrap_or_else(|| "/status/replicas".to_owned()),
            selector: path("labelSelectorPath").or(selector),
        }
    }

    fn scale(&self, object: &Value) -> Value {
        let at = |path: &str| object.pointer(path).cloned().unwrap_or_default();
        let metadata = &object["metadata"];
        let mut scale = json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": {
                "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
            },
            "spec": {}, "status": {"replicas": number(&at(&self.state))},
        });
        let wish = number(&at(&self.wish));
        if wish != 0 {
            scale["spec"]["replicas"] = wish.into();
        }
        let selector = self.selector.as_deref().map(|path| selector_text(&at(path))).unwrap_or_default();
        if !selector.is_empty() {
            scale["status"]["selector"] = selector.into();
        }
        scale
    }
}

/// An object's scale.
pub(in crate::api) fn scale_of(kind: &Kind, object: &Value) -> Value {
    Paths::of(kind).scale(object)
}

/// Gives an object the replicas of a scale.
pub(in crate::api) fn rescale(kind: &Kind, object: &mut Value, scale: &Value) {
    set(object, &Paths::of(kind).wish, number(&scale["spec"]["replicas"]).into());
}

/// The text form of a selector: of a text itself, of a map of labels, of a label selector.
fn selector_text(selector: &Value) -> String {
    if let Some(text) = selector.as_str() {
        return text.to_owned();
    }
    let labels = if selector["matchLabels"].is_object() { &selector["matchLabels"] } else { selector };
    let pairs =
        labels.as_object().into_iter().flatten().filter_map(|(label, value)| Some((label, value.as_str()?)));
    let mut parts: Vec<String> = pairs.map(|(label, value)| format!("{label}={value}")).collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        parts.push(match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({})", values.join(",")),
            Some("NotIn") => format!("{key} notin ({})", values.join(",")),
            Some("Exists") => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    parts.join(",")
}

impl Api {
    pub(super) fn scale(&self, call: &Call) -> Result<Response, Status> {
        let object = self.find(call)?;
        value_response(call, 200, &Paths::of(&call.path.kind).scale(&object))
    }

    pub(super) fn update_scale(&self, call: &Call) -> Result<Response, Status> {
        let options = WriteOptions::read(&call.query, "UpdateOptions")?;
        let wished = decode::object(&call.headers, &call.body, &call.path.kind)?.object;
        self.write_scale(call, &options, |_| Ok(wished))
    }

    pub(super) fn patch_scale(&self, call: &Call) -> Result<Response, Status> {
        let options = WriteOptions::read(&call.query, "PatchOptions")?;
        self.write_scale(call, &options, |scale| {
            let patched = match decode::media_type(&call.headers).as_deref() {
                Some("application/json-patch+json") => patch::json_patch(scale, &call.body),
                // A scale has no lists, so both kinds of merge are one.
                Some("application/merge-patch+json" | "application/strategic-merge-patch+json") => {
                    patch::merge_patch(scale, &call.body)
                }
                Some("application/apply-patch+yaml") => {
                    let text = String::from_utf8_lossy(&call.body);
                    patch::yaml_to_json(&text).map(|config| {
                        let mut scale = scale.clone();
                        scale["spec"] = config["spec"].clone();
                        scale
                    })
                }
                _ => {
                    let message = "415: Unsupported Media Type";
                    return Err(Status::new(415, "UnsupportedMediaType", message).with_empty_details());
                }
            };
            patched.map_err(crate::api::write::from_patch)
        })
    }

    fn write_scale(
        &self,
        call: &Call,
        options: &WriteOptions,
        change: impl FnOnce(&Value) -> Result<Value, Status>,
    ) -> Result<Response, Status> {
        let paths = Paths::of(&call.path.kind);
        let mut draft = Draft::new(call, "scale", options);
        let object = self.commit(options, |t| {
            let old = t.get(&call.key()).ok_or_else(|| Status::not_found(&call.path.kind, call.name()))?;
            let wished = change(&paths.scale(&old))?;
            let replicas = number(&wished["spec"]["replicas"]);
            if replicas < 0 {
                let detail = "must be greater than or equal to 0";
                let cause = Cause::invalid("spec.replicas", &json!(replicas), detail);
                return Err(Status::invalid_named("autoscaling", "Scale", call.name(), &[cause]));
            }
            let mut new = Value::clone(&old);
            set(&mut new, &paths.wish, replicas.into());
            match wished["metadata"]["resourceVersion"].as_str() {
                Some(version) if !version.is_empty() => new["metadata"]["resourceVersion"] = version.into(),
                _ => {}
            }
            update_in(t, &mut draft, &old, new)
        })?;
        Ok(with_warnings(value_response(call, 200, &paths.scale(&object))?, &draft.warnings))
    }
}

fn set(object: &mut Value, path: &str, value: Value) {
    let mut place = object;
    for segment in path.split('/').skip(1) {
        place = &mut place[segment];
    }
    *place = value;
}
