//! `evict`: asks one pod to leave. A refusal by its disruption budgets (429) is asked again until they allow it or
//! the time is over.

use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::units::Period;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::delete::{deletion, five_minutes, gone, yes};
use super::errors::{Failure, Refusal};
use super::object::{controller, text};
use super::request::Request;
use super::target::Target;
use super::wait::{Deadline, pace};
use super::world::{Place, World};

/// A budget that is spent is asked again this often, as kubectl does.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Asks for a pod to leave until its budgets allow it, then waits until it is gone.
pub(super) async fn evict_until_gone(
    world: &World<'_>,
    place: &Place,
    pod: &Value,
    grace: Option<Period>,
    deadline: Deadline,
) -> Result<(), CallError> {
    let uid = text(pod, "/metadata/uid");
    let mut attempt = 0;
    while let Some(refusal) = evict(world, place, uid, grace).await? {
        let why = held_by(&refusal);
        world.context.progress(format!("{} stays for now: {why}", place.title()));
        if deadline.is_over() {
            let message = format!("{} could not be evicted within {}: {why}", place.title(), deadline.period);
            return Err(CallError::new(codes::DRAIN_BLOCKED, message).retryable());
        }
        world.context.pause(refusal.retry_after.unwrap_or_else(|| (pace(attempt) * 5).min(ASK_AGAIN))).await;
        attempt += 1;
    }
    gone(world, place, uid, deadline)
        .await
        .map_err(|error| CallError { code: codes::DRAIN_BLOCKED.0.to_owned(), ..error })
}

/// Evicts a pod; a budget that does not allow it answers `Some`.
async fn evict(
    world: &World<'_>,
    place: &Place,
    uid: &str,
    grace: Option<Period>,
) -> Result<Option<Box<Refusal>>, CallError> {
    let mut options = deletion(None, grace.map(Duration::from));
    // The pod that was looked at, not one that took its name meanwhile.
    options["preconditions"] = json!({ "uid": uid });
    let body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "deleteOptions": options,
        "metadata": { "name": place.name, "namespace": place.namespace } });
    let request =
        Request::subresource(&place.kind, place.namespace.as_deref(), &place.name, "eviction", &body);
    match world.send(&Request { busy_is_an_answer: true, ..request }).await {
        Ok(_) => Ok(None),
        Err(failure) if failure.is_not_found() => Ok(None),
        Err(Failure::Refused(refusal)) if refusal.status == 429 => Ok(Some(refusal)),
        // Another pod by now: this one is gone.
        Err(Failure::Refused(refusal)) if refusal.status == 409 => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

fn held_by(refusal: &Refusal) -> String {
    let cause = refusal.causes.iter().find(|cause| cause.reason == "DisruptionBudget");
    cause.map_or_else(|| refusal.message.clone(), |cause| cause.message.clone())
}

/// Arguments of `evict`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EvictArguments {
    /// A pod: its name, `pod/name`, or an object.
    pod: Target,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// Time its processes get to end. Default: what the pod says.
    #[serde(default)]
    grace: Option<Period>,
    /// False: answer as soon as the eviction is accepted.
    #[serde(default = "yes")]
    wait: bool,
    /// How long its budgets and its end may take. Default 5m.
    #[serde(default = "five_minutes")]
    timeout: Period,
}

/// `evict(pod, [options])`.
pub(super) struct Evict;

#[async_trait]
impl HostFunction for Evict {
    type Arguments = EvictArguments;

    fn describe() -> Description {
        Description {
            summary: "Evicts one pod, as its disruption budgets allow.",
            capability: "k8s:change",
            positional: &["pod"],
            returns: "map `{kind, name, namespace, action}`; action is `evicted`, or `absent` when there was none",
            undo: "none: the pod's controller makes another one, the old one is gone",
            fails_when: "A budget does not let it go in time (A0311).",
            example: r#"k8s::evict("web-0", #{ namespace: "shop" })"#,
            ..Description::of("evict", Effect::Changes)
        }
    }

    fn scope(arguments: &EvictArguments) -> Option<String> {
        let reference = arguments.pod.reference_to("pods").ok()?;
        Some(super::target::scope(&reference, arguments.namespace.as_deref()))
    }

    async fn plan(context: &Context, arguments: &EvictArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let place = pod_place(&world, arguments).await?;
        world.get(&place).await?;
        let predicted = super::preview::result(&place, "evicted");
        Ok(Plan::new(format!("evict {}", place.title())).predicting(predicted).overlaying(place.key(), None))
    }

    async fn perform(context: &Context, arguments: EvictArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = pod_place(&world, &arguments).await?;
        let Some(pod) = world.live(&place).await? else {
            return Ok(super::preview::result(&place, "absent"));
        };
        let deadline = Deadline::after(arguments.timeout);
        if arguments.wait {
            evict_until_gone(&world, &place, &pod, arguments.grace, deadline).await?;
        } else if let Some(refusal) =
            evict(&world, &place, text(&pod, "/metadata/uid"), arguments.grace).await?
        {
            let message = format!("{} may not go now: {}", place.title(), held_by(&refusal));
            return Err(CallError::new(codes::DRAIN_BLOCKED, message).retryable());
        }
        Ok(super::preview::result(&place, "evicted"))
    }

    async fn probe(
        context: &Context,
        arguments: &EvictArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let world = World::of(context)?;
        let place = pod_place(&world, arguments).await?;
        let there = world.live(&place).await?.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        Ok(match there {
            None => Probe::Happened(super::preview::result(&place, "evicted")),
            // A StatefulSet's pod may be a new one under the old name: nobody can tell.
            Some(pod) if controller(&pod).is_some_and(|owner| owner["kind"] == "StatefulSet") => {
                Probe::CannotTell
            }
            Some(_) => Probe::DidNotHappen,
        })
    }
}

async fn pod_place(world: &World<'_>, arguments: &EvictArguments) -> Result<Place, CallError> {
    world.at(&arguments.pod.reference_to("pods")?, arguments.namespace.as_deref()).await
}
