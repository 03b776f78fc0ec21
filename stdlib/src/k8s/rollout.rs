//! Rollouts of Deployments, StatefulSets and DaemonSets: `rollout_status`, `rollout_history`, `rollout_restart` and
//! `rollout_undo`. What a revision holds is found by `revision.rs`; `set_image` stands in `image.rs`.

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
use super::object::{self, visible};
use super::read::One;
use super::ready::{Readiness, readiness};
use super::request::PatchKind;
use super::restore;
use super::revision::{Revision, revisions};
use super::target::Target;
use super::wait::{Deadline, Subject};
use super::world::{Place, World};

/// Says which call restarted a workload, so that a lost answer can be told from a lost restart.
const RESTARTED_BY: &str = "aegis.dev/restarted-by";

/// Where kubectl notes a restart; the change of the template is what makes the pods new.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Arguments of functions that change a rollout and wait for it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RolloutArguments {
    /// A Deployment, StatefulSet or DaemonSet: `kind/name`, or an object.
    target: Target,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// False: do not wait until it is rolled out.
    #[serde(default = "yes")]
    wait: bool,
    /// How long the rollout may take. Default 5m.
    #[serde(default = "five_minutes")]
    timeout: Period,
}

/// Waits for a rollout where that is wanted, and answers the workload.
pub(super) async fn rolled_out(
    world: &World<'_>,
    place: Place,
    wait: bool,
    timeout: Period,
) -> Result<Value, CallError> {
    if wait {
        return Subject::One(place).hold(world, &Until::Ready, Deadline::after(timeout)).await;
    }
    Ok(visible(world.get(&place).await?))
}

fn must_roll(place: &Place) -> Result<(), CallError> {
    if ["deployments", "statefulsets", "daemonsets"].contains(&place.kind.plural.as_str()) {
        return Ok(());
    }
    let message = format!("{} has no rollout", place.title());
    Err(CallError::new(codes::INVALID, message).hint("Deployments, StatefulSets and DaemonSets have"))
}

/// `rollout_status(target, [options])`.
pub(super) struct RolloutStatus;

#[async_trait]
impl HostFunction for RolloutStatus {
    type Arguments = One;

    fn describe() -> Description {
        Description {
            summary: "Tells how far a rollout is, without waiting for it (`wait` does).",
            capability: "k8s:read",
            positional: &["target"],
            returns: "map `{done: bool, failed: bool, message, revision, replicas, updated, available}`",
            undo: "none: it only reads",
            fails_when: "The workload does not exist (A0306) or has no rollout (A0308).",
            example: r#"k8s::rollout_status("deployment/web", #{ namespace: "shop" })"#,
            ..Description::of("rollout_status", Effect::Reads)
        }
    }

    fn scope(arguments: &One) -> Option<String> {
        arguments.target.scope(arguments.namespace.as_deref())
    }

    async fn perform(context: &Context, arguments: One) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        must_roll(&place)?;
        let object = world.get(&place).await?;
        let (done, failed, message) = match readiness(&object) {
            Readiness::Ready => (true, false, "rolled out".to_owned()),
            Readiness::Waiting(missing) => (false, false, missing),
            Readiness::Failed(why) => (false, true, why),
        };
        let first = |fields: [&str; 2]| {
            fields
                .into_iter()
                .map(|field| object::number(&object, field))
                .find(|count| *count > 0)
                .unwrap_or(0)
        };
        let current =
            revisions(&world, &place, &object).await?.into_iter().map(|revision| revision.number).max();
        Ok(json!({
            "done": done, "failed": failed, "message": message, "revision": current,
            "replicas": first(["/spec/replicas", "/status/desiredNumberScheduled"]),
            "updated": first(["/status/updatedReplicas", "/status/updatedNumberScheduled"]),
            "available": first(["/status/availableReplicas", "/status/numberAvailable"]),
        }))
    }
}

/// `rollout_history(target, [options])`.
pub(super) struct RolloutHistory;

#[async_trait]
impl HostFunction for RolloutHistory {
    type Arguments = One;

    fn describe() -> Description {
        Description {
            summary: "Lists the revisions of a workload that can be gone back to.",
            capability: "k8s:read",
            positional: &["target"],
            returns: "array of maps `{revision, current: bool, images: array, change_cause, created}`, oldest first",
            undo: "none: it only reads",
            fails_when: "The workload does not exist (A0306) or has no rollout (A0308).",
            example: r#"k8s::rollout_history("deployment/web", #{ namespace: "shop" })"#,
            ..Description::of("rollout_history", Effect::Reads)
        }
    }

    fn scope(arguments: &One) -> Option<String> {
        arguments.target.scope(arguments.namespace.as_deref())
    }

    async fn perform(context: &Context, arguments: One) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        must_roll(&place)?;
        let object = world.get(&place).await?;
        let history = revisions(&world, &place, &object).await?;
        let newest = history.last().map(|revision| revision.number);
        Ok(history.iter().map(|revision| revision.describe(Some(revision.number) == newest)).collect())
    }
}

/// `rollout_restart(target, [options])`.
pub(super) struct RolloutRestart;

#[async_trait]
impl HostFunction for RolloutRestart {
    type Arguments = RolloutArguments;

    fn describe() -> Description {
        Description {
            summary: "Replaces the pods of a workload by new ones, as its update strategy allows, and waits for them.",
            capability: "k8s:change",
            positional: &["target"],
            returns: "map: the workload as it then is",
            undo: "none: pods that were replaced do not come back, and the new ones are the same",
            fails_when: "The workload does not exist (A0306) or has no rollout (A0308), or the new pods are not ready in time (A0309).",
            example: r#"k8s::rollout_restart("deployment/web", #{ namespace: "shop" })"#,
            ..Description::of("rollout_restart", Effect::Changes)
        }
    }

    fn scope(arguments: &RolloutArguments) -> Option<String> {
        arguments.target.scope(arguments.namespace.as_deref())
    }

    async fn plan(context: &Context, arguments: &RolloutArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        must_roll(&place)?;
        let object = world.get(&place).await?;
        let pods = object::number(&object, "/spec/replicas")
            .max(object::number(&object, "/status/desiredNumberScheduled"));
        let pods = aegis_engine::text::count(usize::try_from(pods).unwrap_or_default(), "pod");
        Ok(Plan::new(format!("restart {} ({pods})", place.title())).predicting(visible(object)))
    }

    async fn perform(context: &Context, arguments: RolloutArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        must_roll(&place)?;
        let live = world.get(&place).await?;
        if live["spec"]["paused"] == true {
            let message = format!("{} is paused: a restart would not begin", place.title());
            return Err(CallError::new(codes::INVALID, message).hint("set `spec.paused` to false first"));
        }
        let marks = json!({ RESTARTED_AT: context.now().to_string(), RESTARTED_BY: context.idempotency_key });
        let patch = json!({ "spec": { "template": { "metadata": { "annotations": marks } } } });
        world.send(&place.patch(PatchKind::Merge, &patch)).await?;
        rolled_out(&world, place, arguments.wait, arguments.timeout).await
    }

    async fn probe(
        context: &Context,
        arguments: &RolloutArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let live = world.get(&place).await?;
        let by = &live["spec"]["template"]["metadata"]["annotations"][RESTARTED_BY];
        if by.as_str() != Some(context.idempotency_key.as_str()) {
            return Ok(Probe::DidNotHappen);
        }
        // Restarted by this very call; what is left of it is the waiting.
        rolled_out(&world, place, arguments.wait, arguments.timeout).await.map(Probe::Happened)
    }
}

/// Arguments of `rollout_undo`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RolloutUndoArguments {
    /// A Deployment, StatefulSet or DaemonSet: `kind/name`, or an object.
    target: Target,
    /// The revision to go back to, from `rollout_history`. Default: the one before the current.
    #[serde(default)]
    revision: Option<i64>,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// False: do not wait until it is rolled out.
    #[serde(default = "yes")]
    wait: bool,
    /// How long the rollout may take. Default 5m.
    #[serde(default = "five_minutes")]
    timeout: Period,
}

/// `rollout_undo(target, [options])`.
pub(super) struct RolloutUndo;

#[async_trait]
impl HostFunction for RolloutUndo {
    type Arguments = RolloutUndoArguments;

    fn describe() -> Description {
        Description {
            summary: "Rolls a workload back to an earlier revision and waits for it.",
            capability: "k8s:change",
            positional: &["target"],
            returns: "map: the workload as it then is",
            undo: "the workload gets its state before back",
            fails_when: "There is no such revision (A0306), or the rollout is not done in time (A0309).",
            example: r#"k8s::rollout_undo("deployment/web", #{ namespace: "shop" })"#,
            ..Description::of("rollout_undo", Effect::Once)
        }
    }

    fn scope(arguments: &RolloutUndoArguments) -> Option<String> {
        arguments.target.scope(arguments.namespace.as_deref())
    }

    async fn plan(context: &Context, arguments: &RolloutUndoArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let (place, live, revision) = goal(&world, arguments).await?;
        let mut planned = live.clone();
        planned["spec"]["template"] = revision.template.clone();
        let text = diff(Some(&live), Some(&planned), &place.title());
        let summary = format!("roll {} back to revision {}", place.title(), revision.number);
        let mut plan = Plan::new(summary).with_diff(text).predicting(visible(planned.clone()));
        plan.undo = restore::undo(restore::state(&place, Some(&live)).into_iter().collect());
        Ok(plan.overlaying(place.key(), Some(visible(planned))))
    }

    async fn perform(context: &Context, arguments: RolloutUndoArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let (place, live, revision) = goal(&world, &arguments).await?;
        // Only the template that was looked at is replaced: a newer one is somebody's decision.
        let patch = json!([
            { "op": "test", "path": "/spec/template", "value": live["spec"]["template"] },
            { "op": "replace", "path": "/spec/template", "value": revision.template },
        ]);
        world.send(&place.patch(PatchKind::Json, &patch)).await?;
        rolled_out(&world, place, arguments.wait, arguments.timeout).await
    }

    async fn probe(
        context: &Context,
        arguments: &RolloutUndoArguments,
        asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let live = world.get(&place).await?;
        let before = asked.and_then(|undo| undo.arguments.pointer("/states/0/before/spec/template"));
        match before {
            Some(before) if *before == live["spec"]["template"] => Ok(Probe::DidNotHappen),
            Some(_) => {
                rolled_out(&world, place, arguments.wait, arguments.timeout).await.map(Probe::Happened)
            }
            None => Ok(Probe::CannotTell),
        }
    }
}

async fn goal(
    world: &World<'_>,
    arguments: &RolloutUndoArguments,
) -> Result<(Place, Value, Revision), CallError> {
    let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
    must_roll(&place)?;
    let live = world.get(&place).await?;
    let mut history = revisions(world, &place, &live).await?;
    let found = match arguments.revision {
        Some(number) => history.iter().position(|revision| revision.number == number),
        None => history.len().checked_sub(2),
    };
    let numbers: Vec<String> = history.iter().map(|revision| revision.number.to_string()).collect();
    let Some(found) = found else {
        let message = match arguments.revision {
            Some(number) => format!("{} has no revision {number}", place.title()),
            None => format!("{} has no revision before the current one", place.title()),
        };
        return Err(CallError::new(codes::NOT_FOUND, message)
            .hint(format!("its revisions are {}", numbers.join(", "))));
    };
    Ok((place, live, history.swap_remove(found)))
}
