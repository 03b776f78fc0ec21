//! `create`: makes an object that must not exist yet, with a generated name where the manifest asks for one.

use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::diff::diff;
use super::object::{self, visible};
use super::preview::place_of;
use super::request::{MANAGER, Request};
use super::restore;
use super::target::Target;
use super::world::{Place, Selection, World};

/// Marks an object with a generated name, so that after a crash its call is found again.
const CALL: &str = "aegis.dev/call";

/// Arguments of `create`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateArguments {
    /// The object, with `metadata.name` or `metadata.generateName`.
    object: Map<String, Value>,
    /// Namespace when the object names none. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
}

impl CreateArguments {
    /// The object as it is sent.
    fn object(&self, context: &Context) -> Value {
        let mut object = Value::Object(self.object.clone());
        if object::name(&object).is_empty() {
            object["metadata"]["annotations"][CALL] = json!(context.idempotency_key);
        }
        object
    }
}

/// `create(object, [options])`.
pub(super) struct Create;

#[async_trait]
impl HostFunction for Create {
    type Arguments = CreateArguments;

    fn describe() -> Description {
        Description {
            summary: "Creates an object that does not exist yet.",
            capability: "k8s:change",
            positional: &["object"],
            returns: "map: the object as created; the data of a Secret is masked",
            undo: "the object is deleted",
            fails_when: "It exists already (A0307), or the server refuses it (A0308). A connection that breaks leaves the outcome unknown until it is looked up.",
            example: r#"k8s::create(#{ apiVersion: "v1", kind: "ConfigMap", metadata: #{ generateName: "note-", namespace: "shop" } })"#,
            ..Description::of("create", Effect::Once)
        }
    }

    fn scope(arguments: &CreateArguments) -> Option<String> {
        Target::Object(arguments.object.clone()).scope(arguments.namespace.as_deref())
    }

    async fn plan(context: &Context, arguments: &CreateArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let mut object = arguments.object(context);
        let mut place = place_of(&world, &object, &[], arguments.namespace.as_deref()).await?;
        let generated = place.name.is_empty();
        if generated {
            place.name = format!("{}xxxxx", object::text(&object, "/metadata/generateName"));
            object["metadata"]["name"] = json!(place.name);
        } else if world.find(&place).await?.is_some() {
            return Err(taken(&place));
        }
        if let Some(namespace) = &place.namespace {
            object["metadata"]["namespace"] = json!(namespace);
        }
        let text = diff(None, Some(&object), &place.title());
        let plan = Plan::new(format!("create {}", place.title())).with_diff(text);
        let plan = plan.predicting(visible(object.clone())).overlaying(place.key(), Some(visible(object)));
        // What was created under a generated name is only known afterwards: `probe` finds it, undo cannot.
        let undo =
            if generated { None } else { restore::undo(restore::state(&place, None).into_iter().collect()) };
        Ok(match undo {
            Some(undo) => plan.with_undo(undo),
            None => plan,
        })
    }

    async fn perform(context: &Context, arguments: CreateArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let object = arguments.object(context);
        let place = place_of(&world, &object, &[], arguments.namespace.as_deref()).await?;
        let request = Request::create(&place.kind, place.namespace.as_deref(), &object);
        let created = world.send(&request.query("fieldValidation", "Strict")).await;
        match created {
            Err(failure) if failure.status() == Some(409) && !place.name.is_empty() => Err(taken(&place)),
            other => Ok(visible(other?)),
        }
    }

    async fn probe(
        context: &Context,
        arguments: &CreateArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let world = World::of(context)?;
        let object = arguments.object(context);
        let place = place_of(&world, &object, &[], arguments.namespace.as_deref()).await?;
        if place.name.is_empty() {
            return generated(&world, &place).await;
        }
        // The plan found the name free right before the call: an object of ours there now is the call's.
        Ok(match world.live(&place).await? {
            None => Probe::DidNotHappen,
            Some(live) if is_ours(&live) => Probe::Happened(visible(live)),
            Some(_) => Probe::CannotTell,
        })
    }
}

async fn generated(world: &World<'_>, place: &Place) -> Result<Probe, CallError> {
    let objects = world.list(place, &Selection::default()).await?;
    let call = Some(world.context.idempotency_key.as_str());
    let ours = objects.into_iter().find(|object| object["metadata"]["annotations"][CALL].as_str() == call);
    Ok(ours.map_or(Probe::DidNotHappen, |object| Probe::Happened(visible(object))))
}

fn is_ours(object: &Value) -> bool {
    object::items(object, "/metadata/managedFields").iter().any(|entry| entry["manager"] == MANAGER)
}

fn taken(place: &Place) -> CallError {
    let error = CallError::new(aegis_engine::codes::CONFLICT, format!("{} exists already", place.title()));
    error.hint("`k8s::apply` changes what exists and creates what does not")
}
