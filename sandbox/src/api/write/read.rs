//! Reading what a client wants to write: the body as an object of the called kind, without unknown
//! fields, with its defaults, and where the path says it is.

use serde_json::{Value, json};

use super::{Draft, former, remove};
use crate::api::decode::{self, Decoded};
use crate::api::query::FieldValidation;
use crate::api::status::{Cause, Status};
use crate::api::{Call, strategy};
use crate::kinds::Kind;

/// Reads the body as an object of the called kind, without unknown fields, with its defaults.
pub(super) fn read_object(draft: &mut Draft<'_>) -> Result<Value, Status> {
    let call = draft.call;
    let Decoded { mut object, duplicates } = decode::object(&call.headers, &call.body, draft.kind)?;
    if let Err(status) = check_kind(&mut object, draft.kind) {
        report_unknown(draft, former::unknown_fields(&object), duplicates).map_err(Status::bad_request)?;
        return Err(status);
    }
    let refuse = |problem: String| {
        let (kind, version) = (&draft.kind.kind, &draft.kind.version);
        Status::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {problem}"))
    };
    let unknown = draft.object_type().read(&mut object).map_err(refuse)?;
    report_unknown(draft, unknown, duplicates)
        .map_err(|problem| refuse(format!("strict decoding error: {problem}")))?;
    strategy::normalize(draft.kind, &mut object);
    draft.object_type().fill_defaults(&mut object);
    check_namespace(call, &mut object)?;
    Ok(object)
}

/// Warns about fields that were dropped; with strict validation they are the problem itself.
pub(super) fn report_unknown(
    draft: &mut Draft<'_>,
    unknown: Vec<String>,
    duplicates: Vec<String>,
) -> Result<(), String> {
    let sentences: Vec<String> = unknown
        .iter()
        .map(|field| format!("unknown field {field:?}"))
        .chain(duplicates.iter().map(|field| format!("duplicate field {field:?}")))
        .collect();
    match draft.options.field_validation {
        FieldValidation::Strict if !sentences.is_empty() => return Err(sentences.join(", ")),
        FieldValidation::Warn => draft.warnings.extend(sentences),
        FieldValidation::Ignore | FieldValidation::Strict => {}
    }
    Ok(())
}

/// A missing kind or version is that of the path; any other must be the same.
pub(super) fn check_kind(object: &mut Value, kind: &Kind) -> Result<(), Status> {
    let api_version = kind.api_version();
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let (found_version, found_kind) = (text("apiVersion"), text("kind"));
    if found_version.is_empty() {
        object["apiVersion"] = api_version.clone().into();
    }
    if found_kind.is_empty() {
        object["kind"] = kind.kind.clone().into();
    }
    let same_version = found_version.is_empty() || found_version == api_version;
    if same_version && (found_kind.is_empty() || found_kind == kind.kind) {
        return Ok(());
    }
    if found_version.matches('/').count() > 1 {
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): unexpected GroupVersion string: {found_version} ({})",
            kind.kind,
            decode::excerpt(object.to_string().as_bytes())
        )));
    }
    let (_, version) = crate::kinds::split_api_version(&found_version);
    let shown_kind = if found_kind.is_empty() { &kind.kind } else { &found_kind };
    let problem = if kind.custom && same_version {
        let cause = Cause::invalid("kind", &json!(found_kind), format!("must be {}", kind.kind));
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        return Err(Status::invalid_named(&kind.group, &found_kind, name, &[cause]));
    } else if kind.custom || (!same_version && former::is_registered(&found_version, shown_kind)) {
        return Err(Status::bad_request(format!(
            "the API version in the data ({found_version}) does not match the expected API version ({api_version})"
        )));
    } else if same_version && is_registered(&found_kind) {
        format!("converting ({version}.{found_kind}) to (core.{}): unknown conversion", kind.kind)
    } else {
        format!(
            "no kind {shown_kind:?} is registered for version {found_version:?} in scheme \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\""
        )
    };
    let version = if version.is_empty() { &kind.version } else { version };
    let message =
        format!("{shown_kind} in version {version:?} cannot be handled as a {}: {problem}", kind.kind);
    Err(Status::bad_request(message))
}

pub(super) fn is_registered(kind: &str) -> bool {
    kind == "List" || crate::kinds::Kinds::builtin().all().iter().any(|known| known.kind == kind)
}

/// The namespace of the path is the object's.
pub(super) fn check_namespace(call: &Call, object: &mut Value) -> Result<(), Status> {
    let namespace = &call.path.namespace;
    match object["metadata"]["namespace"].as_str() {
        Some(found) if !found.is_empty() && found != namespace && call.path.kind.namespaced => {
            let message =
                "the namespace of the provided object does not match the namespace sent on the request";
            Err(Status::bad_request(message))
        }
        _ => {
            if !object["metadata"].is_object() {
                object["metadata"] = json!({});
            }
            match namespace.is_empty() {
                true => remove(&mut object["metadata"], "namespace"),
                false => object["metadata"]["namespace"] = namespace.clone().into(),
            }
            Ok(())
        }
    }
}

/// The name of the path is the object's.
pub(super) fn check_name(call: &Call, object: &Value) -> Result<(), Status> {
    let found = object["metadata"]["name"].as_str().unwrap_or_default();
    if found == call.name() {
        return Ok(());
    }
    let message = match found {
        "" => "name must be provided".to_owned(),
        found => {
            format!("the name of the object ({found}) does not match the name on the URL ({})", call.name())
        }
    };
    Err(Status::bad_request(message))
}
