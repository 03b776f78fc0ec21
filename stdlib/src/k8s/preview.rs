//! What applying an object would make of it: the server's own dry run where it can give one, else a merge done
//! here (the namespace or the kind is itself only planned, or a webhook does not take dry runs).

use aegis_engine::codes;
use aegis_engine::error::CallError;
use serde_json::{Value, json};

use super::diff::diff;
use super::errors::Failure;
use super::kinds::Kind;
use super::object::{self, essence, visible};
use super::request::Request;
use super::target::KindWord;
use super::world::{Place, World};

/// One object before and after.
#[derive(Debug)]
pub(super) struct Preview {
    pub(super) place: Place,
    pub(super) before: Option<Value>,
    pub(super) after: Value,
    /// Why this is only an estimate.
    pub(super) note: Option<&'static str>,
}

impl Preview {
    pub(super) fn action(&self) -> &'static str {
        match &self.before {
            None => "created",
            Some(before) if essence(before) == essence(&self.after) => "unchanged",
            Some(_) => "configured",
        }
    }

    pub(super) fn diff(&self) -> String {
        let text = diff(self.before.as_ref(), Some(&self.after), &self.place.title());
        match self.note {
            Some(note) if !text.is_empty() => format!("# {note}\n{text}"),
            _ => text,
        }
    }

    /// What is planned, for later reads of the same plan.
    pub(super) fn overlay(&self) -> (String, Option<Value>) {
        (self.place.key(), Some(visible(self.after.clone())))
    }
}

/// `{kind, name, namespace, action}`.
pub(super) fn result(place: &Place, action: &str) -> Value {
    json!({ "kind": place.kind.kind, "name": place.name, "namespace": place.namespace, "action": action })
}

/// Where an object of a manifest goes. `together` are the objects applied with it: a definition among them
/// makes a kind known before the cluster serves it.
pub(super) async fn place_of(
    world: &World<'_>,
    object: &Value,
    together: &[Value],
    namespace: Option<&str>,
) -> Result<Place, CallError> {
    let api_version = object::text(object, "/apiVersion").to_owned();
    let kind = object::text(object, "/kind").to_owned();
    let given = object::namespace(object).or(namespace);
    let exact = KindWord::Exact { api_version: api_version.clone(), kind: kind.clone() };
    let kind = match world.kind(&exact).await {
        Ok(kind) => kind,
        Err(error) if error.code == codes::NOT_FOUND.0 => {
            let defined = together.iter().filter_map(Kind::defined_by);
            let defined =
                defined.into_iter().find(|known| known.kind == kind && known.api_version() == api_version);
            match defined {
                Some(kind) => kind,
                None if world.context.planning() => Kind::assumed(&api_version, &kind, given.is_some()),
                None => return Err(error),
            }
        }
        Err(error) => return Err(error),
    };
    let namespace = world.namespace_of(&kind, given).await?;
    Ok(Place { kind, namespace, name: object::name(object).to_owned() })
}

/// Applies an object, or asks what that would make of it. Fields that aegis itself wrote by other means (a
/// scale, a patch, an undo) are taken over without `force`: nobody loses anything.
pub(super) async fn server_side_apply(
    world: &World<'_>,
    place: &Place,
    object: &Value,
    force: bool,
    dry: bool,
) -> Result<Value, Failure> {
    let request = |force| {
        let request =
            Request::apply(&place.kind, place.namespace.as_deref(), &place.name, &bare(object), force);
        if dry { request.dry() } else { request }
    };
    match world.send(&request(force)).await {
        Err(Failure::Refused(refusal)) if !force && refusal.collides_only_with_us() => {
            world.send(&request(true)).await
        }
        other => other,
    }
}

/// The object without what an apply must not carry, so that an object that was read can be applied.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"] {
            metadata.remove(field);
        }
    }
    object
}

/// Looks what applying an object would make of it.
pub(super) async fn preview(
    world: &World<'_>,
    place: Place,
    object: &Value,
    force: bool,
) -> Result<Preview, CallError> {
    if let Some(planned) = world.planned(&place) {
        let after = merged(planned.as_ref(), object, &place);
        return Ok(Preview { place, before: planned, after, note: None });
    }
    let before = world.live(&place).await?;
    let (after, note) = match server_side_apply(world, &place, object, force, true).await {
        Ok(after) => (after, None),
        Err(failure) => match estimate(&failure) {
            Some(note) => (merged(before.as_ref(), object, &place), Some(note)),
            None => return Err(failure.into()),
        },
    };
    Ok(Preview { place, before, after, note })
}

/// Why a dry run that the server refused can be replaced by an estimate.
fn estimate(failure: &Failure) -> Option<&'static str> {
    let Failure::Refused(refusal) = failure else { return None };
    match refusal.status {
        404 => Some("an estimate: the namespace or kind does not exist yet"),
        400 if refusal.message.contains("dry run") => {
            Some("an estimate: an admission webhook does not take dry runs")
        }
        500 if refusal.message.contains("failed calling webhook") => {
            Some("an estimate: an admission webhook does not answer")
        }
        _ => None,
    }
}

/// The manifest laid over what is there.
fn merged(before: Option<&Value>, object: &Value, place: &Place) -> Value {
    let mut after = before.cloned().unwrap_or_else(|| json!({}));
    json_patch::merge(&mut after, &bare(object));
    if let Some(namespace) = &place.namespace {
        after["metadata"]["namespace"] = json!(namespace);
    }
    after
}
