//! `restore`: puts objects back as they were. The inverse that `apply`, `patch` and `rollout_undo` journal
//! before they change anything; scripts seldom call it themselves.

use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::text;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::delete::deletion;
use super::diff::diff;
use super::object::{essence, is_secret, merge_patch};
use super::request::{PatchKind, Request};
use super::target::Target;
use super::world::{Place, World};

/// One object and its state before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// `kind/name`, or an object.
    target: Target,
    /// Its namespace.
    #[serde(default)]
    namespace: Option<String>,
    /// The object as it was; nothing: it did not exist, and is deleted.
    #[serde(default)]
    before: Option<Value>,
}

/// Arguments of `restore`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreArguments {
    /// Maps `{target, namespace, before}`; without `before` the object is deleted.
    states: Vec<State>,
}

/// The state of a place worth journaling. A Secret that exists has none: its data must not be journaled.
pub(super) fn state(place: &Place, before: Option<&Value>) -> Option<Value> {
    if before.is_some_and(is_secret) {
        return None;
    }
    Some(json!({ "target": place.target(), "namespace": place.namespace, "before": before.map(essence) }))
}

/// The inverse that brings these states back; none when there are none.
pub(super) fn undo(states: Vec<Value>) -> Option<UndoCall> {
    if states.is_empty() {
        return None;
    }
    let summary = match states.as_slice() {
        [only] if only["before"].is_null() => {
            format!("delete {}", only["target"].as_str().unwrap_or_default())
        }
        [only] => format!("put {} back as it was", only["target"].as_str().unwrap_or_default()),
        many => format!("put {} back as they were", text::count(many.len(), "object")),
    };
    Some(UndoCall { function: "k8s::restore".to_owned(), arguments: json!({ "states": states }), summary })
}

/// `restore(states)`.
pub(super) struct Restore;

#[async_trait]
impl HostFunction for Restore {
    type Arguments = RestoreArguments;

    fn describe() -> Description {
        Description {
            summary: "Puts objects back as they were; deletes those that were not there.",
            capability: "k8s:change",
            positional: &["states"],
            returns: "array of maps `{target, namespace, action}`; action is `restored`, `deleted`, `created` or `unchanged`",
            undo: "none: it is an inverse itself",
            fails_when: "The server refuses a state (A0308) or the change is not allowed (A0304).",
            example: r#"k8s::restore([#{ target: "configmap/settings", namespace: "shop", before: () }])"#,
            ..Description::of("restore", Effect::Changes)
        }
    }

    fn scope(arguments: &RestoreArguments) -> Option<String> {
        match arguments.states.as_slice() {
            [only] => only.target.scope(only.namespace.as_deref()),
            _ => None,
        }
    }

    async fn plan(context: &Context, arguments: &RestoreArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let mut plan = Plan::new(format!("put {} back", text::count(arguments.states.len(), "object")));
        let mut diffs = String::new();
        for state in &arguments.states {
            let place = world.place(&state.target, state.namespace.as_deref()).await?;
            let live = world.find(&place).await?;
            diffs.push_str(&diff(live.as_ref(), state.before.as_ref(), &place.title()));
            plan.overlay.push((place.key(), state.before.clone()));
        }
        plan.unchanged = diffs.is_empty();
        Ok(plan.with_diff(diffs))
    }

    async fn perform(context: &Context, arguments: RestoreArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let mut results = Vec::new();
        for state in &arguments.states {
            let place = world.place(&state.target, state.namespace.as_deref()).await?;
            let action = put_back(&world, &place, state.before.as_ref()).await?;
            results.push(json!({ "target": place.target(), "namespace": place.namespace, "action": action }));
        }
        Ok(Value::Array(results))
    }

    async fn probe(
        context: &Context,
        arguments: &RestoreArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        // Putting back twice is as good as once; looking is no cheaper than doing.
        let plan = Self::plan(context, arguments).await?;
        Ok(if plan.unchanged { Probe::Happened(json!([])) } else { Probe::DidNotHappen })
    }
}

async fn put_back(
    world: &World<'_>,
    place: &Place,
    before: Option<&Value>,
) -> Result<&'static str, CallError> {
    let live = world.live(place).await?;
    match (live, before) {
        (None, None) => Ok("unchanged"),
        (Some(_), None) => {
            let request =
                Request::delete(&place.kind, place.namespace.as_deref(), &place.name, &deletion(None, None));
            match world.send(&request).await {
                Err(failure) if !failure.is_not_found() => Err(failure.into()),
                _ => Ok("deleted"),
            }
        }
        (None, Some(before)) => {
            world.send(&Request::create(&place.kind, place.namespace.as_deref(), before)).await?;
            Ok("created")
        }
        (Some(live), Some(before)) => {
            let patch = merge_patch(&essence(&live), &essence(before));
            if patch == json!({}) {
                return Ok("unchanged");
            }
            world.send(&place.patch(PatchKind::Merge, &patch)).await?;
            Ok("restored")
        }
    }
}
