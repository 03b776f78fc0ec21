//! Deleting one object, or all that a selector means.

use axum::response::Response;
use serde_json::{Value, json};

use super::admit::admit_deletion;
use super::answer::{Listed, list_response, object_response, value_response, with_warnings};
use super::decode;
use super::fields::Selection;
use super::query::{read_dry_run, refuse};
use super::read::served;
use super::status::{Cause, Status};
use super::{Api, Call, custom};
use crate::store::{DeleteOptions, Deleted, Error, Key, Propagation, Transaction};

/// Kinds whose deletion answers the object even when it is gone at once.
const ANSWER_THE_OBJECT: &[&str] = &[
    "namespaces",
    "pods",
    "services",
    "persistentvolumeclaims",
    "persistentvolumes",
    "storageclasses",
    "customresourcedefinitions",
    "serviceaccounts",
    "podtemplates",
    "replicationcontrollers",
];

struct Request {
    options: DeleteOptions,
    dry_run: bool,
    warnings: Vec<String>,
}

impl Api {
    pub(super) fn delete(&self, call: &Call) -> Result<Response, Status> {
        let mut request = self.delete_options(call)?;
        super::strategy::check_delete(&call.path.kind, call.name())?;
        let deleted = self.delete_one(call, &call.key(), &mut request)?;
        let kind = &call.path.kind;
        let object = served(deleted.object(), kind);
        let response = match deleted {
            Deleted::Removed(_) if !ANSWER_THE_OBJECT.contains(&&*kind.plural) => {
                let mut details = json!({
                    "name": call.name(), "kind": kind.plural, "uid": object["metadata"]["uid"],
                });
                if !kind.group.is_empty() {
                    details["group"] = kind.group.clone().into();
                }
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
                });
                value_response(call, 200, &status)?
            }
            _ => object_response(call, 200, &object)?,
        };
        Ok(with_warnings(response, &request.warnings))
    }

    pub(super) fn delete_collection(&self, call: &Call) -> Result<Response, Status> {
        let mut request = self.delete_options(call)?;
        let selection = Selection::of(call)?;
        let list = self.store().list(&call.path.kind.storage, selection.namespace.as_deref());
        let selected = list.items.iter().filter(|item| selection.matches(&item.outline()));
        let keys: Vec<Key> =
            selected.map(|item| call.path.kind.storage.key(item.namespace(), item.name())).collect();
        // All are asked about before the first goes: a webhook that has to be asked starts this anew.
        self.store().rehearse(|t| {
            keys.iter().try_for_each(|key| admit_deletion(t, call, key, request.dry_run).map(drop))
        })?;
        let mut gone = Vec::new();
        for key in &keys {
            match self.delete_one(call, key, &mut request) {
                Ok(deleted) => gone.push(Listed::Object(served(deleted.object(), &call.path.kind))),
                // Somebody else was faster.
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
        }
        let meta = json!({"resourceVersion": list.version.to_string()});
        Ok(with_warnings(list_response(call, gone, &meta)?, &request.warnings))
    }

    fn delete_one(&self, call: &Call, key: &Key, request: &mut Request) -> Result<Deleted, Status> {
        let (options, dry_run) = (&request.options, request.dry_run);
        let work = |t: &mut Transaction<'_>| {
            let warnings = admit_deletion(t, call, key, dry_run)?;
            let deleted = delete_in(t, key, options);
            deleted
                .map(|deleted| (deleted, warnings))
                .map_err(|error| Status::from_store(&error, &call.path.kind))
        };
        let (deleted, warnings) =
            if dry_run { self.store().rehearse(work) } else { self.store().transaction(work) }?;
        request.warnings.extend(warnings);
        Ok(deleted)
    }

    fn delete_options(&self, call: &Call) -> Result<Request, Status> {
        let body = match call.body.is_empty() {
            true => Value::Null,
            false => delete_body(call)?,
        };
        let mut causes = Vec::new();
        let text = |field: &str| match &body[field] {
            Value::String(text) => Some(text.clone()),
            _ => call.query.get(field).map(str::to_owned),
        };
        let dry_runs: Vec<&str> = match body["dryRun"].as_array() {
            Some(values) => values.iter().filter_map(Value::as_str).collect(),
            None => call.query.all("dryRun").collect(),
        };
        let dry_run = read_dry_run(&dry_runs, &mut causes);
        let asked = call.query.get("orphanDependents").map(|text| text != "false" && text != "0");
        let orphan = body["orphanDependents"].as_bool().or(asked);
        let propagation = read_propagation(text("propagationPolicy").as_deref(), orphan, &mut causes);
        let grace = match body["gracePeriodSeconds"].as_i64() {
            Some(seconds) => Some(seconds),
            None => call.query.number("gracePeriodSeconds")?,
        };
        refuse("DeleteOptions", causes)?;
        let mut warnings = Vec::new();
        let propagation = propagation.or_else(|| default_propagation(call, &mut warnings));
        let condition = |field: &str| body["preconditions"][field].as_str().map(str::to_owned);
        let options = DeleteOptions {
            // A negative grace period means the shortest that is graceful.
            grace_seconds: grace.map(|seconds| if seconds < 0 { 1 } else { seconds }),
            propagation,
            uid: condition("uid"),
            resource_version: condition("resourceVersion"),
        };
        Ok(Request { options, dry_run, warnings })
    }
}

/// Deletes an object, and what goes with it at once.
pub(super) fn delete_in(
    t: &mut Transaction<'_>,
    key: &Key,
    options: &DeleteOptions,
) -> Result<Deleted, Error> {
    if custom::is_definition(key) {
        return custom::delete(t, key, options);
    }
    let deleted = t.delete(key, options)?;
    if t.kinds().of(&key.resource).is_some_and(|kind| kind.custom) {
        custom::finish(t, &key.resource)?;
    }
    Ok(deleted)
}

fn delete_body(call: &Call) -> Result<Value, Status> {
    let parsed = match decode::media_type(&call.headers).as_deref() {
        Some("application/vnd.kubernetes.protobuf") => {
            crate::protobuf::decode(&call.body).map_err(|error| error.to_string())
        }
        Some("application/yaml") => decode::yaml(&call.body).map(|decoded| decoded.object),
        _ => decode::json(&call.body)
            .map(|decoded| decoded.object)
            .map_err(|error| format!("couldn't get version/kind; json parse error: {error}")),
    };
    let body = parsed.map_err(Status::bad_request)?;
    match body["kind"].as_str() {
        None | Some("DeleteOptions") => Ok(body),
        Some(kind) => {
            let version = body["apiVersion"].as_str().unwrap_or_default();
            Err(Status::bad_request(format!(
                "no kind {kind:?} is registered for version {version:?} in scheme \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\""
            )))
        }
    }
}

fn read_propagation(
    text: Option<&str>,
    orphan: Option<bool>,
    causes: &mut Vec<Cause>,
) -> Option<Propagation> {
    if let (Some(text), Some(_)) = (text, orphan) {
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        causes.push(Cause::invalid("propagationPolicy", &json!(text), detail));
        return None;
    }
    match (text, orphan) {
        (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
        (Some("Foreground"), _) => Some(Propagation::Foreground),
        (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
        (None, None) => None,
        (Some(other), _) => {
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            causes.push(Cause::unsupported("propagationPolicy", &json!(other), &supported));
            None
        }
    }
}

/// Jobs orphan their pods unless told otherwise, for the sake of clients from before there was a choice.
fn default_propagation(call: &Call, warnings: &mut Vec<String>) -> Option<Propagation> {
    if call.path.kind.group != "batch" || call.path.kind.kind != "Job" {
        return None;
    }
    warnings.push("child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning".into());
    Some(Propagation::Orphan)
}
