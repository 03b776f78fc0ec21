//! `scale`: sets the replicas of a workload through its `scale` subresource, and waits for them.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::units::Period;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::delete::{five_minutes, yes};
use super::diff::diff;
use super::expression::Until;
use super::object::visible;
use super::target::Target;
use super::wait::{Deadline, Subject};
use super::world::{Place, World};

/// Arguments of `scale`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScaleArguments {
    /// `kind/name`, or an object.
    target: Target,
    /// How many.
    replicas: u32,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// False: do not wait until the replicas are there.
    #[serde(default = "yes")]
    wait: bool,
    /// How long the replicas may take. Default 5m.
    #[serde(default = "five_minutes")]
    timeout: Period,
}

/// `scale(target, replicas, [options])`.
pub(super) struct Scale;

#[async_trait]
impl HostFunction for Scale {
    type Arguments = ScaleArguments;

    fn describe() -> Description {
        Description {
            summary: "Scales a workload and waits until it is ready.",
            capability: "k8s:change",
            positional: &["target", "replicas"],
            returns: "map: the workload as it then is",
            undo: "the workload is scaled back to the number before",
            fails_when: "The workload does not exist (A0306) or cannot be scaled (A0308), or its replicas are not ready in time (A0309).",
            example: r#"k8s::scale("deployment/web", 3, #{ namespace: "shop", timeout: "2m" })"#,
            ..Description::of("scale", Effect::Changes)
        }
    }

    fn scope(arguments: &ScaleArguments) -> Option<String> {
        arguments.target.scope(arguments.namespace.as_deref())
    }

    async fn plan(context: &Context, arguments: &ScaleArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let live = world.get(&place).await?;
        let before = replicas(&live, &place)?;
        let mut planned = live.clone();
        planned["spec"]["replicas"] = json!(arguments.replicas);
        let text = diff(Some(&live), Some(&planned), &place.title());
        let summary = format!("scale {} from {before} to {}", place.title(), arguments.replicas);
        let mut plan = Plan::new(summary).with_diff(text).predicting(visible(planned.clone()));
        plan.unchanged = before == i64::from(arguments.replicas);
        if !plan.unchanged {
            plan = plan.with_undo(back_to(&place, before)).overlaying(place.key(), Some(visible(planned)));
        }
        Ok(plan)
    }

    async fn perform(context: &Context, arguments: ScaleArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let patch = json!({ "spec": { "replicas": arguments.replicas } });
        match world.send(&place.patch_subresource("scale", &patch)).await {
            Err(failure) if failure.is_not_found() => {
                // Either the workload is not there, or it has no replicas.
                let live = world.get(&place).await?;
                replicas(&live, &place)?;
                return Err(failure.into());
            }
            other => other?,
        };
        if !arguments.wait {
            return Ok(visible(world.get(&place).await?));
        }
        let deadline = Deadline::after(arguments.timeout);
        Subject::One(place).hold(&world, &Until::Ready, deadline).await
    }

    async fn probe(
        context: &Context,
        arguments: &ScaleArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let live = world.get(&place).await?;
        // The number may be there and the replicas not yet: performing again waits for them.
        let there = replicas(&live, &place)? == i64::from(arguments.replicas);
        let ready = super::ready::readiness(&live) == super::ready::Readiness::Ready;
        Ok(if there && (ready || !arguments.wait) {
            Probe::Happened(visible(live))
        } else {
            Probe::DidNotHappen
        })
    }
}

fn replicas(object: &Value, place: &Place) -> Result<i64, CallError> {
    object.pointer("/spec/replicas").and_then(Value::as_i64).ok_or_else(|| {
        let message = format!("{} cannot be scaled: it has no `spec.replicas`", place.title());
        CallError::new(codes::INVALID, message)
    })
}

fn back_to(place: &Place, before: i64) -> UndoCall {
    UndoCall {
        function: "k8s::scale".to_owned(),
        arguments: json!({ "target": place.target(), "namespace": place.namespace, "replicas": before }),
        summary: format!("scale {} back to {before}", place.title()),
    }
}
