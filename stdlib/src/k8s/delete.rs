//! `delete`: removes an object, and waits until it is gone.

use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::units::Period;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::bell::Bell;
use super::object;
use super::request::Request;
use super::target::Target;
use super::wait::Deadline;
use super::world::{Place, World};

/// What becomes of the objects that the deleted one owns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Propagation {
    /// They are deleted afterwards.
    #[default]
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

impl Propagation {
    const fn word(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

/// Arguments of `delete`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteArguments {
    /// `kind/name`, or an object.
    target: Target,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// `background` (default), `foreground` or `orphan`: what becomes of the objects it owns.
    #[serde(default)]
    propagation: Propagation,
    /// Time its processes get to end. Default: what the object says.
    #[serde(default)]
    grace: Option<Period>,
    /// True: it is an error when it does not exist.
    #[serde(default)]
    must_exist: bool,
    /// False: answer as soon as the deletion is accepted.
    #[serde(default = "yes")]
    wait: bool,
    /// How long it may take to be gone. Default 5m.
    #[serde(default = "five_minutes")]
    timeout: Period,
}

pub(super) const fn yes() -> bool {
    true
}

pub(super) const fn five_minutes() -> Period {
    Period::minutes(5)
}

/// `DeleteOptions` of the API.
pub(super) fn deletion(propagation: Option<&str>, grace: Option<Duration>) -> Value {
    let mut options = json!({ "apiVersion": "v1", "kind": "DeleteOptions" });
    options["propagationPolicy"] = json!(propagation.unwrap_or("Background"));
    if let Some(grace) = grace {
        options["gracePeriodSeconds"] = json!(grace.as_secs());
    }
    options
}

/// `delete(target, [options])`.
pub(super) struct Delete;

#[async_trait]
impl HostFunction for Delete {
    type Arguments = DeleteArguments;

    fn describe() -> Description {
        Description {
            summary: "Deletes an object and waits until it is gone.",
            capability: "k8s:destroy",
            positional: &["target"],
            returns: "map `{kind, name, namespace, action}`; action is `deleted`, or `absent` when there was nothing",
            undo: "none: what an object owned and held is gone with it",
            fails_when: "Deleting is not allowed (A0304), or the object is not gone in time (A0309, with the finalizers that hold it).",
            example: r#"k8s::delete("configmap/settings", #{ namespace: "shop" })"#,
            ..Description::of("delete", Effect::Destroys)
        }
    }

    fn scope(arguments: &DeleteArguments) -> Option<String> {
        arguments.target.scope(arguments.namespace.as_deref())
    }

    async fn plan(context: &Context, arguments: &DeleteArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let live =
            if arguments.must_exist { Some(world.get(&place).await?) } else { world.find(&place).await? };
        if live.is_none() {
            let mut plan = Plan::new(format!("delete {} (it does not exist)", place.title()));
            plan.unchanged = true;
            return Ok(plan.predicting(answer(&place, "absent")));
        }
        let also = match arguments.propagation {
            Propagation::Orphan => ", leaving what it owns",
            _ if place.kind.plural == "namespaces" => " and everything in it",
            _ => "",
        };
        let plan = Plan::new(format!("delete {}{also}", place.title()));
        Ok(plan.predicting(answer(&place, "deleted")).overlaying(place.key(), None))
    }

    async fn perform(context: &Context, arguments: DeleteArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let live = world.live(&place).await?;
        let Some(live) = live else {
            return if arguments.must_exist { Err(place.missing()) } else { Ok(answer(&place, "absent")) };
        };
        let mut options = deletion(Some(arguments.propagation.word()), arguments.grace.map(Duration::from));
        // Never the one somebody created meanwhile under the same name.
        options["preconditions"] = json!({ "uid": live["metadata"]["uid"] });
        let request = Request::delete(&place.kind, place.namespace.as_deref(), &place.name, &options);
        match world.send(&request).await {
            Err(failure) if failure.is_not_found() => return Ok(answer(&place, "deleted")),
            other => other?,
        };
        if arguments.wait {
            let uid = object::text(&live, "/metadata/uid");
            gone(&world, &place, uid, Deadline::after(arguments.timeout)).await?;
        }
        Ok(answer(&place, "deleted"))
    }

    async fn probe(
        context: &Context,
        arguments: &DeleteArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        Ok(match world.live(&place).await? {
            None => Probe::Happened(answer(&place, "deleted")),
            Some(_) => Probe::DidNotHappen,
        })
    }
}

fn answer(place: &Place, action: &str) -> Value {
    super::preview::result(place, action)
}

/// Waits until the object with this uid is gone; one with the same name and another uid is somebody else.
pub(super) async fn gone(
    world: &World<'_>,
    place: &Place,
    uid: &str,
    deadline: Deadline,
) -> Result<(), CallError> {
    let mut bell = Bell::of(place);
    for attempt in 0.. {
        let held = match world.live(place).await? {
            None => return Ok(()),
            Some(live) if !uid.is_empty() && object::text(&live, "/metadata/uid") != uid => return Ok(()),
            Some(live) => held_by(&live),
        };
        world.context.progress(format!("waiting until {} is gone{held}", place.title()));
        if deadline.is_over() {
            let message = format!("{} is not gone after {}{held}", place.title(), deadline.period);
            return Err(CallError::new(codes::NOT_READY, message).retryable());
        }
        bell.wait(world, attempt, deadline.left()).await;
    }
    Ok(())
}

fn held_by(live: &Value) -> String {
    let finalizers =
        object::items(live, "/metadata/finalizers").iter().chain(object::items(live, "/spec/finalizers"));
    let finalizers: Vec<&str> = finalizers.filter_map(Value::as_str).collect();
    if finalizers.is_empty() {
        String::new()
    } else {
        format!(", held by {}", aegis_engine::text::list(&finalizers))
    }
}
