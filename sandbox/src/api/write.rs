//! Creating, updating and patching: one pipeline for every kind.
//!
//! ```text
//!   body -> type check -> unknown fields -> defaults -> (patch) -> admission -> strategy
//!        -> validation -> field ownership -> store
//! ```
//!
//! From the first look at the stored object to the write everything is one transaction, so a write
//! is checked against the very object it replaces. A dry run is the same with the write undone.

use std::sync::Arc;

use axum::response::Response;
use http::header;
use serde_json::{Value, json};

use super::admit;
use super::answer::{object_response, with_warnings};
use super::decode::{self, Decoded};
use super::query::{FieldValidation, WriteOptions, refuse};
use super::read::served;
use super::status::{Cause, Status};
use super::{Api, Call, custom, metadata, strategy};
use crate::admission::{Operation, Request};
use crate::kinds::Kind;
use crate::patch::{self, Manager};
use crate::schema::ObjectType;
use crate::store::{self, Key, Object, Transaction};

/// A write on its way: what is wished, and what is known so far.
pub(super) struct Draft<'a> {
    pub(super) call: &'a Call,
    pub(super) kind: &'a Kind,
    /// `status` and so on; empty for the object itself.
    pub(super) subresource: &'a str,
    pub(super) options: &'a WriteOptions,
    pub(super) warnings: Vec<String>,
}

impl From<store::Error> for Status {
    fn from(error: store::Error) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {error}"))
    }
}

impl<'a> Draft<'a> {
    pub(super) fn new(call: &'a Call, subresource: &'a str, options: &'a WriteOptions) -> Self {
        Self { call, kind: &call.path.kind, subresource, options, warnings: Vec::new() }
    }

    fn manager(&self) -> Manager {
        let name = self.options.field_manager.clone().unwrap_or_else(|| user_agent(self.call));
        Manager { name, api_version: self.kind.api_version(), subresource: self.subresource.to_owned() }
    }

    fn store_error(&self, error: &store::Error) -> Status {
        Status::from_store(error, self.kind)
    }

    fn invalid(&self, object: &Value, causes: &[Cause]) -> Status {
        Status::invalid(self.kind, object["metadata"]["name"].as_str().unwrap_or_default(), causes)
    }

    /// What the objects of the kind look like.
    fn object_type(&self) -> ObjectType {
        self.kind.object_type()
    }
}

impl Api {
    pub(super) fn create(&self, call: &Call) -> Result<Response, Status> {
        let options = WriteOptions::read(&call.query, "CreateOptions")?;
        let mut draft = Draft::new(call, "", &options);
        let object = read_object(&mut draft)?;
        let object = self.commit(&options, |t| create_in(t, &mut draft, object))?;
        let object = without_version_of_dry_run(object, &options);
        Ok(with_warnings(object_response(call, 201, &served(&object, &call.path.kind))?, &draft.warnings))
    }

    pub(super) fn update(&self, call: &Call) -> Result<Response, Status> {
        self.update_part(call, "")
    }

    /// Replaces an object, or the part of it that a subresource is.
    pub(super) fn update_part(&self, call: &Call, subresource: &str) -> Result<Response, Status> {
        let options = WriteOptions::read(&call.query, "UpdateOptions")?;
        let mut draft = Draft::new(call, subresource, &options);
        let object = read_object(&mut draft)?;
        check_name(call, &object)?;
        let mut created = false;
        let object = self.commit(&options, |t| match t.get(&call.key()) {
            Some(old) => {
                let old = served(&old, draft.kind);
                check_identity(&draft, &old, &object)?;
                update_in(t, &mut draft, &old, object)
            }
            None if strategy::may_create_by_update(draft.kind) && subresource.is_empty() => {
                created = true;
                create_in(t, &mut draft, object)
            }
            None => Err(Status::not_found(draft.kind, call.name())),
        })?;
        let code = if created { 201 } else { 200 };
        Ok(with_warnings(object_response(call, code, &served(&object, &call.path.kind))?, &draft.warnings))
    }

    pub(super) fn patch(&self, call: &Call) -> Result<Response, Status> {
        self.patch_part(call, "")
    }

    /// Patches an object, or the part of it that a subresource is.
    pub(super) fn patch_part(&self, call: &Call, subresource: &str) -> Result<Response, Status> {
        let patch_type = PatchType::of(call)?;
        let options = WriteOptions::read(&call.query, "PatchOptions")?;
        check_patch_options(patch_type, &options, call)?;
        let mut draft = Draft::new(call, subresource, &options);
        let mut created = false;
        let object = self.commit(&options, |t| {
            let old = t.get(&call.key()).map(|old| served(&old, draft.kind));
            match (patch_type, old) {
                (PatchType::Apply, old) => {
                    created = old.is_none();
                    apply_in(t, &mut draft, old)
                }
                (_, None) => Err(Status::not_found(draft.kind, call.name())),
                (_, Some(old)) => patch_in(t, &mut draft, patch_type, &old),
            }
        })?;
        let code = if created { 201 } else { 200 };
        let object = if created { without_version_of_dry_run(object, &options) } else { object };
        Ok(with_warnings(object_response(call, code, &served(&object, &call.path.kind))?, &draft.warnings))
    }

    pub(super) fn commit<T>(
        &self,
        options: &WriteOptions,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Status>,
    ) -> Result<T, Status> {
        if options.dry_run { self.store().rehearse(work) } else { self.store().transaction(work) }
    }
}

fn without_version_of_dry_run(object: Object, options: &WriteOptions) -> Object {
    if !options.dry_run {
        return object;
    }
    let mut object = Value::clone(&object);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    Arc::new(object)
}

/// Reads the body as an object of the called kind, without unknown fields, with its defaults.
fn read_object(draft: &mut Draft<'_>) -> Result<Value, Status> {
    let call = draft.call;
    let Decoded { mut object, duplicates } = decode::object(&call.headers, &call.body, draft.kind)?;
    check_kind(&mut object, draft.kind)?;
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
fn report_unknown(
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
fn check_kind(object: &mut Value, kind: &Kind) -> Result<(), Status> {
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
            "the object provided is unrecognized (must be of type {}): unexpected GroupVersion string: {found_version}",
            kind.kind
        )));
    }
    let (_, version) = crate::kinds::split_api_version(&found_version);
    let shown_kind = if found_kind.is_empty() { &kind.kind } else { &found_kind };
    let problem = if kind.custom && same_version {
        let cause = Cause::invalid("kind", &json!(found_kind), format!("must be {}", kind.kind));
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        return Err(Status::invalid_named(&kind.group, &found_kind, name, &[cause]));
    } else if kind.custom {
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

fn is_registered(kind: &str) -> bool {
    kind == "List" || crate::kinds::Kinds::builtin().all().iter().any(|known| known.kind == kind)
}

/// The namespace of the path is the object's.
fn check_namespace(call: &Call, object: &mut Value) -> Result<(), Status> {
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
fn check_name(call: &Call, object: &Value) -> Result<(), Status> {
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

/// Creates an object that was read, or made by an apply.
pub(super) fn create_in(
    t: &mut Transaction<'_>,
    draft: &mut Draft<'_>,
    object: Value,
) -> Result<Object, Status> {
    let mut object = object;
    check_is_new(&object)?;
    track(draft, None, &mut object, t);
    let object = prepare_creation(t, draft, object)?;
    store_new(t, draft, object)
}

/// A new object has no version yet.
fn check_is_new(object: &Value) -> Result<(), Status> {
    match object["metadata"]["resourceVersion"].as_str() {
        None | Some("") => Ok(()),
        Some(_) => Err(Status::internal("resourceVersion should not be set on objects to be created")),
    }
}

/// Everything a new object goes through once its fields have owners: what the server adds has none.
fn prepare_creation(t: &Transaction<'_>, draft: &mut Draft<'_>, mut object: Value) -> Result<Value, Status> {
    let fields = [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "generation",
        "resourceVersion",
    ];
    for field in fields {
        remove(&mut object["metadata"], field);
    }
    object["metadata"]["uid"] = t.ambient().uid().into();
    object["metadata"]["creationTimestamp"] = t.ambient().timestamp().into();
    give_name(t, &mut object);
    admit(t, draft, Operation::Create, None, &mut object)?;
    strategy::prepare_for_create(t, draft.kind, &mut object)?;
    let mut causes = metadata::problems(&object, draft.kind);
    causes.extend(schema_problems(draft, None, &object));
    causes.extend(strategy::validate(t, draft.kind, None, &object));
    if !causes.is_empty() {
        return Err(draft.invalid(&object, &causes));
    }
    Ok(object)
}

fn give_name(t: &Transaction<'_>, object: &mut Value) {
    let metadata = &mut object["metadata"];
    let prefix = metadata["generateName"].as_str().unwrap_or_default().to_owned();
    if metadata["name"].as_str().unwrap_or_default().is_empty() && !prefix.is_empty() {
        // A name has at most 63 characters with its suffix of five.
        let prefix: String = prefix.chars().take(58).collect();
        metadata["name"] = format!("{prefix}{}", t.ambient().suffix(5)).into();
    }
}

fn store_new(t: &mut Transaction<'_>, draft: &Draft<'_>, object: Value) -> Result<Object, Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let key = draft.call.key_of(name);
    let stored = strategy::to_storage(object, draft.kind);
    let object = t.create(&key, stored).map_err(|error| draft.store_error(&error))?;
    settle(t, draft, &key)?;
    Ok(object)
}

/// What follows from a write at once: definitions are accepted, or go with their last object.
fn settle(t: &mut Transaction<'_>, draft: &Draft<'_>, key: &Key) -> Result<(), Status> {
    let settled = if custom::is_definition(key) {
        custom::accept(t, key)
    } else if draft.kind.custom {
        custom::finish(t, &draft.kind.storage)
    } else {
        Ok(())
    };
    settled.map_err(|error| draft.store_error(&error))
}

/// Replaces an object by one that was read or patched.
pub(super) fn update_in(
    t: &mut Transaction<'_>,
    draft: &mut Draft<'_>,
    old: &Object,
    new: Value,
) -> Result<Object, Status> {
    let mut new = new;
    keep_other_parts(draft, old, &mut new);
    track(draft, Some(old), &mut new, t);
    let new = prepare_update(t, draft, old, new)?;
    store_changed(t, draft, old, new)
}

/// Everything a changed object goes through once its fields have owners.
fn prepare_update(
    t: &Transaction<'_>,
    draft: &mut Draft<'_>,
    old: &Object,
    mut new: Value,
) -> Result<Value, Status> {
    let key_fields = [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
    ];
    for field in key_fields {
        match old["metadata"].get(field) {
            Some(value) => new["metadata"][field] = value.clone(),
            None => remove(&mut new["metadata"], field),
        }
    }
    admit(t, draft, Operation::Update, Some(old), &mut new)?;
    if draft.subresource.is_empty() {
        strategy::prepare_for_update(t, draft.kind, old, &mut new);
    }
    let mut causes = metadata::update_problems(old, &new);
    if !draft.kind.custom {
        // The real server checks these twice for built-in kinds, and tells of both.
        causes.extend(causes.clone());
    }
    causes.extend(metadata::problems(&new, draft.kind));
    causes.extend(schema_problems(draft, Some(old), &new));
    if draft.subresource.is_empty() {
        causes.extend(strategy::validate(t, draft.kind, Some(old), &new));
    }
    if !causes.is_empty() {
        return Err(draft.invalid(&new, &causes));
    }
    Ok(new)
}

/// The writer must mean the object that is there, in the version that is there.
fn check_identity(draft: &Draft<'_>, old: &Object, new: &Value) -> Result<(), Status> {
    let name = draft.call.name();
    let version = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if version.is_empty() && draft.kind.custom {
        let causes =
            [Cause::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update")];
        // About options the resource is named, where objects name their kind.
        return Err(Status::invalid_named(&draft.kind.group, &draft.kind.plural, name, &causes));
    }
    if !version.is_empty() && version.parse::<u64>().is_err() {
        let message = format!("strconv.ParseUint: parsing {version:?}: invalid syntax");
        return Err(Status::internal(message));
    }
    let text = |object: &Value| object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let (expected, actual) = (text(new), text(old));
    if !expected.is_empty() && expected != actual {
        let place = format!("/registry/{}/{}/{name}", draft.kind.plural, draft.call.path.namespace);
        let problem = format!(
            "StorageError: invalid object, Code: 4, Key: {place}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {expected}, UID in object meta: {actual}"
        );
        return Err(Status::conflict(draft.kind, name, &problem));
    }
    check_version(draft, old, new)
}

fn check_version(draft: &Draft<'_>, old: &Value, new: &Value) -> Result<(), Status> {
    let version = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    match version.is_empty() || old["metadata"]["resourceVersion"] == version {
        true => Ok(()),
        false => Err(Status::modified(draft.kind, draft.call.name())),
    }
}

/// A write to an object leaves its status alone, and a write to a subresource everything else.
fn keep_other_parts(draft: &Draft<'_>, old: &Object, new: &mut Value) {
    if draft.subresource.is_empty() {
        if draft.kind.subresource("status").is_some() {
            copy_field(old, new, "status");
        }
        return;
    }
    if draft.subresource == "scale" {
        // Changed in place already.
        return;
    }
    let parts = strategy::parts_of(draft.subresource);
    let mut merged = Value::clone(old);
    for part in parts {
        copy_field(new, &mut merged, part);
    }
    let wished = new["metadata"].take();
    if !draft.kind.custom {
        for field in ["annotations", "finalizers", "ownerReferences"] {
            copy_field(&wished, &mut merged["metadata"], field);
        }
    }
    copy_field(&wished, &mut merged["metadata"], "managedFields");
    copy_field(&wished, &mut merged["metadata"], "resourceVersion");
    *new = merged;
}

fn copy_field(from: &Value, to: &mut Value, field: &str) {
    match from.get(field) {
        Some(value) => to[field] = value.clone(),
        None => remove(to, field),
    }
}

fn store_changed(
    t: &mut Transaction<'_>,
    draft: &Draft<'_>,
    old: &Object,
    new: Value,
) -> Result<Object, Status> {
    if patch::same_but_for_times(old, &new) {
        return Ok(old.clone());
    }
    let key = draft.call.key();
    let stored = strategy::to_storage(new, draft.kind);
    let written = match draft.subresource {
        "status" => t.update_quietly(&key, stored),
        _ => t.update(&key, stored),
    };
    let object = written.map_err(|error| draft.store_error(&error))?;
    settle(t, draft, &key)?;
    Ok(object)
}

/// Runs the admission rules; they may change the object.
fn admit(
    t: &Transaction<'_>,
    draft: &mut Draft<'_>,
    operation: Operation,
    old: Option<&Value>,
    object: &mut Value,
) -> Result<(), Status> {
    let request = Request {
        operation,
        kind: draft.kind,
        namespace: &draft.call.path.namespace,
        subresource: draft.subresource,
        old,
        store: t,
    };
    let warnings = admit::admit(&request, object)?;
    draft.warnings.extend(warnings);
    Ok(())
}

fn schema_problems(draft: &Draft<'_>, old: Option<&Value>, object: &Value) -> Vec<Cause> {
    draft.object_type().problems(old, object)
}

/// Gives the changed fields their owner.
fn track(draft: &Draft<'_>, old: Option<&Value>, new: &mut Value, t: &Transaction<'_>) {
    let manager = &draft.manager();
    // The fields that a type always has belong to nobody.
    let blank = (!draft.kind.custom).then(|| strategy::blank(draft.kind));
    let old = old.or(blank.as_ref());
    let has_status = draft.kind.subresource("status").is_some();
    let untouched = patch::untouched_fields(draft.subresource, has_status, draft.kind.custom);
    patch::track_update(
        draft.object_type().schema(),
        old,
        new,
        manager,
        &t.ambient().timestamp(),
        &untouched,
    );
}

const CUSTOM_PATCHES: &str = "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

/// The four ways to patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchType {
    fn of(call: &Call) -> Result<Self, Status> {
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
fn check_patch_options(patch_type: PatchType, options: &WriteOptions, call: &Call) -> Result<(), Status> {
    let mut causes = Vec::new();
    if patch_type != PatchType::Apply && call.query.has("force") {
        causes.push(Cause::forbidden("force", "may not be specified for non-apply patch"));
    }
    if patch_type == PatchType::Apply && options.field_manager.is_none() {
        causes.push(Cause::required("fieldManager", "is required for apply patch"));
    }
    refuse("PatchOptions", causes)
}

fn patch_in(
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
    check_patched(draft, &mut patched)?;
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
fn check_patched(draft: &mut Draft<'_>, patched: &mut Value) -> Result<(), Status> {
    let call = draft.call;
    let name = call.name();
    if patched["metadata"]["name"].as_str() != Some(name) {
        check_name(call, patched)?;
    }
    let unprocessable = |shown: &str, problem: String| {
        let cause = Cause::invalid("patch", &json!(shown), problem);
        Status::invalid_named("", "", "", &[cause])
    };
    let shown = patched.to_string();
    check_kind(patched, draft.kind).map_err(|status| {
        let problem = status.message.rsplit(": ").next().unwrap_or_default().to_owned();
        unprocessable(&shown, problem)
    })?;
    let unknown = draft.object_type().read(patched).map_err(|problem| unprocessable(&shown, problem))?;
    let duplicates = decode::json(&call.body).map(|decoded| decoded.duplicates).unwrap_or_default();
    report_unknown(draft, unknown, duplicates)
        .map_err(|problem| unprocessable(&shown, format!("strict decoding error: {problem}")))?;
    strategy::normalize(draft.kind, patched);
    draft.object_type().fill_defaults(patched);
    check_namespace(call, patched)
}

fn apply_in(t: &mut Transaction<'_>, draft: &mut Draft<'_>, old: Option<Object>) -> Result<Object, Status> {
    let text = std::str::from_utf8(&draft.call.body)
        .map_err(|_| Status::bad_request("error decoding YAML: invalid UTF-8"))?;
    let mut config = patch::yaml_to_json(text).map_err(from_patch)?;
    check_applied(draft, &mut config)?;
    let manager = draft.manager();
    let has_status = draft.kind.subresource("status").is_some();
    let untouched = patch::untouched_fields(draft.subresource, has_status, draft.kind.custom);
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
fn check_kept_identity(draft: &Draft<'_>, old: &Value, merged: &Value) -> Result<(), Status> {
    let uid = &merged["metadata"]["uid"];
    if uid.is_null() || *uid == old["metadata"]["uid"] {
        return check_version(draft, old, merged);
    }
    let cause = Cause::invalid("metadata.uid", uid, "field is immutable");
    Err(draft.invalid(merged, &[cause.clone(), cause]))
}

fn check_absent_identity(draft: &Draft<'_>, merged: &Value) -> Result<(), Status> {
    let Some(uid) = merged["metadata"]["uid"].as_str() else { return Ok(()) };
    let problem =
        format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
    Err(Status::conflict(draft.kind, draft.call.name(), &problem))
}

/// An applied configuration must name what the path names, and have no unknown fields.
fn check_applied(draft: &mut Draft<'_>, config: &mut Value) -> Result<(), Status> {
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
        "" => config["metadata"]["name"] = call.name().into(),
        _ => check_name(call, config)?,
    }
    // The namespace of the path is given to the merged object; the configuration stays as sent.
    check_namespace(call, &mut config.clone())
}

pub(super) fn from_patch(error: patch::PatchError) -> Status {
    let details = error.status().get("details").cloned();
    let mut status = Status::new(error.code(), error.reason().unwrap_or_default(), error.to_string());
    status.details = details;
    status
}

/// The default manager: what the client calls itself, up to the version.
fn user_agent(call: &Call) -> String {
    let agent =
        call.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("unknown");
    let name = agent.split('/').next().unwrap_or_default();
    name.chars().take(128).collect()
}

/// The key of another object a write looks at.
pub(super) fn remove(object: &mut Value, field: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(field);
    }
}
