//! The four ways to patch: what each may ask, and how its result is read again.

use serde_json::{Value, json};

use super::Draft;
use super::change::{check_version, keep_other_parts, prepare_update, store_changed, update_in};
use super::creation::{prepare_creation, store_new};
use super::read::{check_kind, check_name, check_namespace, report_unknown};
use crate::api::query::{WriteOptions, refuse};
use crate::api::status::{Cause, Status};
use crate::api::{Call, decode, strategy};
use crate::kinds::Kind;
use crate::patch;
use crate::store::{Object, Transaction};

const CUSTOM_PATCHES: &str = "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

/// The four ways to patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchType {
    pub(super) fn of(call: &Call) -> Result<Self, Status> {
        let unsupported = || match call.path.kind.custom {
            false => {
                Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").with_empty_details()
            }
            true => Status::new(415, "UnsupportedMediaType", CUSTOM_PATCHES),
        };
        match decode::media_type(&call.headers).as_deref() {
            Some("application/json-patch+json") => Ok(Self::Json),
            Some("application/merge-patch+json") => Ok(Self::Merge),
            Some("application/strategic-merge-patch+json") if !call.path.kind.custom => Ok(Self::Strategic),
            Some("application/apply-patch+yaml") => Ok(Self::Apply),
            _ => Err(unsupported()),
        }
    }
}

/// `force` is for applies only, and an apply needs a manager.
pub(super) fn check_patch_options(
    patch_type: PatchType,
    options: &WriteOptions,
    call: &Call,
) -> Result<(), Status> {
    let mut causes = Vec::new();
    if patch_type != PatchType::Apply && call.query.has("force") {
        causes.push(Cause::forbidden("force", "may not be specified for non-apply patch"));
    }
    if patch_type == PatchType::Apply && options.field_manager.is_none() {
        causes.push(Cause::required("fieldManager", "is required for apply patch"));
    }
    refuse("PatchOptions", causes)
}

pub(super) fn patch_in(
    t: &mut Transaction<'_>,
    draft: &mut Draft<'_>,
    patch_type: PatchType,
    old: &Object,
) -> Result<Object, Status> {
    let body = &draft.call.body;
    let patched = match patch_type {
        PatchType::Json => patch::json_patch(old, body),
        PatchType::Merge => patch::merge_patch(old, body),
        PatchType::Strategic | PatchType::Apply => {
            patch::strategic_merge_patch(draft.object_type().schema(), old, body)
        }
    };
    let mut patched = patched.map_err(from_patch)?;
    if patch_type == PatchType::Strategic {
        check_types_of_strategic(draft, &patched)?;
    }
    let shown = shown(draft, &patched, patch_type);
    check_patched(draft, &mut patched, &shown)?;
    check_kept_identity(draft, old, &patched)?;
    update_in(t, draft, old, patched)
}

/// A strategic patch is converted without JSON in between, and its type errors say so.
fn check_types_of_strategic(draft: &Draft<'_>, patched: &Value) -> Result<(), Status> {
    let Err(problem) = draft.object_type().read(&mut patched.clone()) else { return Ok(()) };
    let Some((_, wanted)) = problem.rsplit_once(" of type ") else { return Ok(()) };
    let sent: Value = serde_json::from_slice(&draft.call.body).unwrap_or_default();
    let shown = json!(crate::patch::golang::print(&sent));
    let cause = Cause::invalid("patch", &shown, format!("unrecognized type: {wanted}"));
    Err(Status::invalid_named("", "", "", &[cause]))
}

/// A patched object is read like a sent one, but its mistakes are told differently.
pub(super) fn check_patched(draft: &mut Draft<'_>, patched: &mut Value, shown: &str) -> Result<(), Status> {
    let call = draft.call;
    let name = call.name();
    if patched["metadata"]["name"].as_str() != Some(name) {
        check_name(call, patched)?;
    }
    let unprocessable = |shown: &str, problem: String| {
        let cause = Cause::invalid("patch", &json!(shown), problem);
        Status::invalid_named("", "", "", &[cause])
    };
    check_kind(patched, draft.kind).map_err(|status| {
        let (_, problem) = status.message.split_once(": ").unwrap_or_default();
        let problem = problem.to_owned();
        unprocessable(shown, problem)
    })?;
    let unknown = draft.object_type().read(patched).map_err(|problem| unprocessable(shown, problem))?;
    let duplicates = decode::json(&call.body).map(|decoded| decoded.duplicates).unwrap_or_default();
    report_unknown(draft, unknown, duplicates)
        .map_err(|problem| unprocessable(shown, format!("strict decoding error: {problem}")))?;
    strategy::normalize(draft.kind, patched);
    draft.object_type().fill_defaults(patched);
    check_namespace(call, patched)
}

/// A patched object as a message shows it: objects that the patch looked into by name, what it left alone in the order
/// of its type; what a strategic patch made is all by name.
fn shown(draft: &Draft<'_>, patched: &Value, patch_type: PatchType) -> String {
    if patch_type == PatchType::Strategic {
        return patched.to_string();
    }
    let sent: Value = serde_json::from_slice(&draft.call.body).unwrap_or_default();
    let touched = match patch_type {
        PatchType::Json => looked_into(&sent),
        _ => sent,
    };
    shown_at(draft.kind, "", patched, &touched)
}

/// The objects that the operations of a JSON patch looked into, as a tree.
fn looked_into(operations: &Value) -> Value {
    let mut tree = json!({});
    for path in operations.as_array().into_iter().flatten().filter_map(|one| one["path"].as_str()) {
        let mut steps: Vec<&str> = path.split('/').skip(1).collect();
        steps.pop();
        let mut place = &mut tree;
        for step in steps {
            place = &mut place[step.replace("~1", "/").replace("~0", "~")];
            if !place.is_object() {
                *place = json!({});
            }
        }
    }
    tree
}

fn shown_at(kind: &Kind, path: &str, value: &Value, touched: &Value) -> String {
    match (value, touched) {
        (Value::Object(members), Value::Object(touched)) => {
            let member = |(name, value): (&String, &Value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let touched = touched.get(name).unwrap_or(&Value::Null);
                format!("{}:{}", json!(name), shown_at(kind, &path, value, touched))
            };
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        }
        _ if kind.custom => value.to_string(),
        _ => crate::protobuf::go_json(&kind.api_version(), &kind.kind, path, value),
    }
}

pub(in crate::api) fn apply_in(
    t: &mut Transaction<'_>,
    draft: &mut Draft<'_>,
    old: Option<Object>,
) -> Result<Object, Status> {
    let text = std::str::from_utf8(&draft.call.body)
        .map_err(|_| Status::bad_request("error decoding YAML: invalid UTF-8"))?;
    let mut config = patch::yaml_to_json(text).map_err(from_patch)?;
    check_applied(draft, &mut config)?;
    let manager = draft.manager();
    let has_status = draft.kind.subresource("status").is_some();
    let untouched =
        patch::untouched_fields(draft.subresource, has_status, strategy::kept_by_status(draft.kind));
    let object_type = draft.object_type();
    let time = t.ambient().timestamp();
    let merged = patch::apply(&patch::Apply {
        schema: object_type.schema(),
        live: old.as_deref(),
        config: &config,
        manager: &manager,
        force: draft.options.force,
        time: &time,
        untouched: &untouched,
    });
    let mut merged = merged.map_err(from_patch)?;
    read_applied(draft, &config, &mut merged)?;
    strategy::normalize(draft.kind, &mut merged);
    object_type.fill_defaults(&mut merged);
    check_namespace(draft.call, &mut merged)?;
    match old {
        None if !draft.subresource.is_empty() => Err(Status::not_found(draft.kind, draft.call.name())),
        None => {
            check_absent_identity(draft, &merged)?;
            let object = prepare_creation(t, draft, merged)?;
            store_new(t, draft, object)
        }
        Some(old) => {
            check_kept_identity(draft, &old, &merged)?;
            keep_other_parts(draft, &old, &mut merged);
            let object = prepare_update(t, draft, &old, merged)?;
            store_changed(t, draft, &old, object)
        }
    }
}

/// What an apply made is read like a sent object; a value that does not parse is the server's failure.
fn read_applied(draft: &Draft<'_>, config: &Value, merged: &mut Value) -> Result<(), Status> {
    let read = draft.object_type().read(merged);
    read.map(drop).map_err(|problem| {
        let kind = format!("{}, Kind={}", draft.kind.api_version(), draft.kind.kind);
        let text = |field: &str| config["metadata"][field].as_str().unwrap_or_default();
        let (namespace, name) = (text("namespace"), text("name"));
        Status::internal(format!(
            "failed to convert new object ({namespace}/{name}; {kind}) to proper version: unable to convert unstructured object to {kind}: {problem}"
        ))
    })
}

/// A patch may repeat the uid and the version, and not change them.
pub(super) fn check_kept_identity(draft: &Draft<'_>, old: &Value, merged: &Value) -> Result<(), Status> {
    let uid = &merged["metadata"]["uid"];
    if uid.is_null() || *uid == old["metadata"]["uid"] {
        return check_version(draft, old, merged);
    }
    let cause = Cause::invalid("metadata.uid", uid, "field is immutable");
    Err(draft.invalid(merged, &[cause.clone(), cause]))
}

pub(super) fn check_absent_identity(draft: &Draft<'_>, merged: &Value) -> Result<(), Status> {
    let Some(uid) = merged["metadata"]["uid"].as_str() else { return Ok(()) };
    let problem =
        format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
    Err(Status::conflict(draft.kind, draft.call.name(), &problem))
}

/// An applied configuration must name what the path names, and have no unknown fields.
pub(super) fn check_applied(draft: &mut Draft<'_>, config: &mut Value) -> Result<(), Status> {
    let call = draft.call;
    if !config.is_object() {
        return Err(Status::bad_request("error decoding YAML: expected an object"));
    }
    let api_version = draft.kind.api_version();
    let text = |field: &str| config[field].as_str().unwrap_or_default().to_owned();
    let (found_version, found_kind) = (text("apiVersion"), text("kind"));
    if found_version != api_version || found_kind != draft.kind.kind {
        let (group, version) = crate::kinds::split_api_version(&found_version);
        return Err(Status::bad_request(format!(
            "invalid object type: {group}/{version}, Kind={found_kind}"
        )));
    }
    match config["metadata"]["name"].as_str().unwrap_or_default() {
        // Metadata that is no map is told by the schema.
        "" if is_map_or_absent(&config["metadata"]) => config["metadata"]["name"] = call.name().into(),
        "" => {}
        _ => check_name(call, config)?,
    }
    // The namespace of the path is given to the merged object; the configuration stays as sent.
    check_namespace(call, &mut config.clone())
}

fn is_map_or_absent(value: &Value) -> bool {
    value.is_object() || value.is_null()
}

pub(in crate::api) fn from_patch(error: patch::PatchError) -> Status {
    let details = error.status().get("details").cloned();
    let mut status = Status::new(error.code(), error.reason().unwrap_or_default(), error.to_string());
    status.details = details;
    status
}
