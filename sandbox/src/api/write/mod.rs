//! Creating, updating and patching: one pipeline for every kind.
//!
//! ```text
//!   body -> type check -> unknown fields -> defaults -> (patch) -> field ownership
//!        -> admission -> strategy -> validation -> store
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `read` | what the client sent, as an object |
//! | `creation` | new objects |
//! | `change` | changed objects |
//! | `former` | versions that are known and no longer served |
//! | `patching` | what the four patch types ask |
//!
//! From the first look at the stored object to the write everything is one transaction, so a write
//! is checked against the very object it replaces. A dry run is the same with the write undone.

mod change;
mod creation;
mod former;
mod patching;
mod read;

use std::sync::Arc;

use axum::response::Response;
use http::header;
use serde_json::Value;

pub(super) use self::change::{check_version, update_in};
pub(super) use self::creation::create_in;
pub(super) use self::patching::{apply_in, from_patch};

use self::change::{check_identity, copy_field};
use self::patching::{PatchType, check_patch_options, patch_in};
use self::read::{check_name, read_object};
use super::answer::{object_response, with_warnings};
use super::query::WriteOptions;
use super::read::served;
use super::status::{Cause, Status};
use super::{Api, Call, strategy};
use crate::kinds::Kind;
use crate::patch::{self, Manager};
use crate::schema::ObjectType;
use crate::store::{self, Object, Transaction};

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

    /// Gives the fields that differ from `old` their owner.
    pub(super) fn own(&self, old: Option<&Value>, new: &mut Value, time: &str) {
        let manager = self.manager();
        // The fields that a type always has belong to nobody.
        let blank = (!self.kind.custom).then(|| strategy::blank(self.kind));
        let old = old.or(blank.as_ref());
        let has_status = self.kind.subresource("status").is_some();
        let untouched =
            patch::untouched_fields(self.subresource, has_status, strategy::kept_by_status(self.kind));
        patch::track_update(self.object_type().schema(), old, new, &manager, time, &untouched);
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
        let object = read_object(&mut draft).map_err(|status| status.warning(&draft.warnings))?;
        self.check_grant(&call.user, &call.path.kind, &object)?;
        let object = self.commit(&options, |t| create_in(t, &mut draft, object));
        let object = object.map_err(|status| status.warning(&draft.warnings))?;
        let object = self.as_told(call, &options, object);
        Ok(with_warnings(object_response(call, 201, &served(&object, &call.path.kind))?, &draft.warnings))
    }

    pub(super) fn update(&self, call: &Call) -> Result<Response, Status> {
        self.update_part(call, "")
    }

    /// Replaces an object, or the part of it that a subresource is.
    pub(super) fn update_part(&self, call: &Call, subresource: &str) -> Result<Response, Status> {
        let options = WriteOptions::read(&call.query, "UpdateOptions")?;
        let mut draft = Draft::new(call, subresource, &options);
        let object = read_object(&mut draft).map_err(|status| status.warning(&draft.warnings))?;
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
        });
        let object = object.map_err(|status| status.warning(&draft.warnings))?;
        let code = if created { 201 } else { 200 };
        let object = self.as_told(call, &options, object);
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
        });
        let object = object.map_err(|status| status.warning(&draft.warnings))?;
        let code = if created { 201 } else { 200 };
        let object = self.as_told(call, &options, object);
        Ok(with_warnings(object_response(call, code, &served(&object, &call.path.kind))?, &draft.warnings))
    }

    pub(super) fn commit<T>(
        &self,
        options: &WriteOptions,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Status>,
    ) -> Result<T, Status> {
        if options.dry_run { self.store().rehearse(work) } else { self.store().transaction(work) }
    }

    /// What a writer is told: a dry run makes no version, so the object has the one it had, or none.
    fn as_told(&self, call: &Call, options: &WriteOptions, object: Object) -> Object {
        if !options.dry_run {
            return object;
        }
        let before = self.store().get(&call.key());
        let mut told = Value::clone(&object);
        match before {
            Some(before) => copy_field(&before["metadata"], &mut told["metadata"], "resourceVersion"),
            None => remove(&mut told["metadata"], "resourceVersion"),
        }
        Arc::new(told)
    }
}

/// The default manager: what the client calls itself, up to the version.
pub(in crate::api) fn user_agent(call: &Call) -> String {
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
