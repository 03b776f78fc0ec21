//! The door for controllers: the same pipeline as for clients, without HTTP around it.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method};
use serde_json::Value;

use super::query::{Query, WriteOptions};
use super::route::ObjectPath;
use super::status::Status;
use super::write::{Draft, apply_in, check_version, create_in, update_in};
use super::{Api, Call, User};
use crate::admission::Webhooks;
use crate::controllers::api::{Api as Door, Deletion, Part, Refused};
use crate::store::{DeleteOptions, Object, Propagation};

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self { code: status.code, reason: status.reason.into(), message: status.message }
    }
}

impl Api {
    /// A call that a client would have made to write `object`.
    fn inside_call(&self, manager: &str, object: &Value) -> Result<Call, Status> {
        let kind = self.store().kinds().of_object(object).ok_or_else(Status::no_such_path)?;
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let namespace = if kind.namespaced { text("namespace") } else { String::new() };
        let name = Some(text("name")).filter(|name| !name.is_empty());
        Ok(Call {
            method: Method::POST,
            path: ObjectPath { kind, namespace, name, subresource: None, watch: false },
            query: Query::of(&[("fieldManager", manager), ("fieldValidation", "Ignore")]),
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
            user: User::new(&format!("system:{manager}"), &[super::auth::MASTERS]),
            upgrade: None,
            webhooks: Webhooks::counting(self.assumed()),
            now: self.store().ambient().now().as_second(),
        })
    }
}

impl Api {
    /// Creates the objects that a cluster begins with, all or none, each by a manager.
    pub(crate) fn begin(&self, objects: Vec<(&str, Value)>) -> Result<(), Status> {
        let mut calls = Vec::new();
        for (manager, mut object) in objects {
            let call = self.inside_call(manager, &object)?;
            let object_type = call.path.kind.object_type();
            object_type.read(&mut object).map_err(Status::bad_request)?;
            object_type.fill_defaults(&mut object);
            calls.push((WriteOptions::read(&call.query, "CreateOptions")?, call, object));
        }
        self.store().transaction(|t| {
            for (options, call, object) in calls {
                let status = object["status"].clone();
                let created = create_in(t, &mut Draft::new(&call, "", &options), object)?;
                // A new object has no status of its own: it is written as by whoever reports it.
                if status.is_object() && call.path.kind.subresource("status").is_some() {
                    let mut reported = Value::clone(&created);
                    reported["status"] = status;
                    update_in(t, &mut Draft::new(&call, "status", &options), &created, reported)?;
                }
            }
            Ok(())
        })
    }
}

/// Controllers send the status alone, and the version they decided on.
fn with_status_of(old: &Value, mut object: Value) -> Value {
    let mut new = old.clone();
    new["status"] = object["status"].take();
    new["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].take();
    new
}

/// Whether a controller changes nothing but annotations of a Deployment, such as its revision. The real
/// one writes these with the status, which is no new wish and no new generation.
fn is_only_a_note(old: &Value, new: &Value) -> bool {
    if new["kind"] != "Deployment" {
        return false;
    }
    let without_notes = |object: &Value| {
        let mut object = object.clone();
        for field in ["annotations", "managedFields", "resourceVersion"] {
            super::write::remove(&mut object["metadata"], field);
        }
        super::write::remove(&mut object, "status");
        object
    };
    old["metadata"]["annotations"] != new["metadata"]["annotations"]
        && without_notes(old) == without_notes(new)
}

#[async_trait]
impl Door for Api {
    async fn create(&self, manager: &str, mut object: Value) -> Result<Object, Refused> {
        let call = self.inside_call(manager, &object)?;
        let object_type = call.path.kind.object_type();
        object_type.read(&mut object).map_err(Status::bad_request)?;
        object_type.fill_defaults(&mut object);
        let options = WriteOptions::read(&call.query, "CreateOptions")?;
        loop {
            let mut draft = Draft::new(&call, "", &options);
            let outcome = self.commit(&options, |t| create_in(t, &mut draft, object.clone()));
            if !call.webhooks.ask_next().await {
                return Ok(outcome?);
            }
        }
    }

    async fn replace(&self, manager: &str, object: Value, part: Part) -> Result<Object, Refused> {
        let call = self.inside_call(manager, &object)?;
        let options = WriteOptions::read(&call.query, "UpdateOptions")?;
        let has_status = call.path.kind.subresource("status").is_some();
        loop {
            let object = object.clone();
            let outcome = self.commit(&options, |t| {
                let old =
                    t.get(&call.key()).ok_or_else(|| Status::not_found(&call.path.kind, call.name()))?;
                // A part is written over what is stored, so a stale writer is refused here.
                check_version(&Draft::new(&call, "", &options), &old, &object)?;
                let (subresource, new) = match part {
                    Part::Status if has_status => ("status", with_status_of(&old, object)),
                    Part::Status => ("", with_status_of(&old, object)),
                    Part::Finalizers => ("finalize", object),
                    Part::Scale => ("scale", object),
                    Part::Main if has_status && is_only_a_note(&old, &object) => ("status", object),
                    Part::Main => ("", object),
                };
                let mut draft = Draft::new(&call, subresource, &options);
                update_in(t, &mut draft, &old, new)
            });
            if !call.webhooks.ask_next().await {
                return Ok(outcome?);
            }
        }
    }

    async fn apply(&self, manager: &str, object: Value, subresource: &str) -> Result<Object, Refused> {
        let mut call = self.inside_call(manager, &object)?;
        call.query = Query::of(&[("fieldManager", manager), ("force", "true")]);
        call.body = object.to_string().into();
        let options = WriteOptions::read(&call.query, "PatchOptions")?;
        loop {
            let mut draft = Draft::new(&call, subresource, &options);
            let outcome = self.commit(&options, |t| {
                let old = t.get(&call.key());
                apply_in(t, &mut draft, old)
            });
            if !call.webhooks.ask_next().await {
                return Ok(outcome?);
            }
        }
    }

    fn token(&self, account: &Value, secret: &Value) -> String {
        STANDARD.encode(self.issue_lasting_token(account, secret))
    }

    async fn bind(&self, manager: &str, pod: &Value, node: &str) -> Result<(), Refused> {
        let call = self.inside_call(manager, pod)?;
        let namespace = &call.path.namespace;
        Ok(self.store().transaction(|t| super::subresource::bind_in(t, namespace, call.name(), node))?)
    }

    async fn delete(&self, manager: &str, object: &Value, how: Deletion) -> Result<(), Refused> {
        let call = self.inside_call(manager, object)?;
        let options = DeleteOptions {
            grace_seconds: how.grace.and_then(|seconds| i64::try_from(seconds).ok()),
            propagation: how.propagation.map(|name| match name {
                "Foreground" => Propagation::Foreground,
                "Orphan" => Propagation::Orphan,
                _ => Propagation::Background,
            }),
            uid: object["metadata"]["uid"].as_str().map(str::to_owned),
            resource_version: None,
        };
        loop {
            let outcome = self.store().transaction(|t| {
                super::admit::admit_deletion(t, &call, &call.key(), false)?;
                super::delete::delete_in(t, &call.key(), &options)
                    .map_err(|error| Status::from_store(&error, &call.path.kind))
            });
            if !call.webhooks.ask_next().await {
                return Ok(outcome.map(drop)?);
            }
        }
    }
}
