//! `patch`: changes parts of an object by a JSON, merge or strategic merge patch.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::diff::diff;
use super::object::{essence, visible};
use super::request::{PatchKind, Request};
use super::restore;
use super::target::Target;
use super::world::{Place, World};

/// How a patch is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum PatchType {
    /// RFC 7396: the parts to change; `()` removes.
    #[default]
    Merge,
    /// RFC 6902: an array of operations.
    Json,
    /// As merge, with lists merged by key; built-in kinds only.
    Strategic,
}

impl From<PatchType> for PatchKind {
    fn from(kind: PatchType) -> Self {
        match kind {
            PatchType::Json => Self::Json,
            PatchType::Merge => Self::Merge,
            PatchType::Strategic => Self::Strategic,
        }
    }
}

/// Arguments of `patch`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PatchArguments {
    /// `kind/name`, or an object.
    target: Target,
    /// A map, or an array of operations for `type: "json"`.
    patch: Value,
    /// `merge` (default), `json` or `strategic`.
    #[serde(default, rename = "type")]
    kind: PatchType,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// Part of the object that has its own address, as `status`.
    #[serde(default)]
    subresource: Option<String>,
}

impl PatchArguments {
    fn request(&self, place: &Place) -> Request {
        let mut request = place.patch(self.kind.into(), &self.patch);
        if let Some(subresource) = &self.subresource {
            request.path = format!("{}/{subresource}", request.path);
        }
        request
    }
}

/// `patch(target, patch, [options])`.
pub(super) struct Patch;

#[async_trait]
impl HostFunction for Patch {
    type Arguments = PatchArguments;

    fn describe() -> Description {
        Description {
            summary: "Changes parts of an object.",
            capability: "k8s:change",
            positional: &["target", "patch"],
            returns: "map: the object after the patch; the data of a Secret is masked",
            undo: "the object gets its state before back; not for Secrets, whose data is not journaled, nor for subresources",
            fails_when: "The object does not exist (A0306), or the patch does not fit it (A0308).",
            example: r#"k8s::patch("configmap/settings", #{ data: #{ mode: "slow" } }, #{ namespace: "shop" })"#,
            ..Description::of("patch", Effect::Once)
        }
    }

    fn scope(arguments: &PatchArguments) -> Option<String> {
        arguments.target.scope(arguments.namespace.as_deref())
    }

    async fn plan(context: &Context, arguments: &PatchArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let before = world.get(&place).await?;
        let after = patched(&world, &place, arguments, &before).await?;
        let mut plan = Plan::new(format!("patch {}", place.title()));
        plan.unchanged = essence(&before) == essence(&after) && arguments.subresource.is_none();
        if arguments.subresource.is_none() && !plan.unchanged {
            plan.undo = restore::undo(restore::state(&place, Some(&before)).into_iter().collect());
        }
        let text = diff(Some(&before), Some(&after), &place.title());
        Ok(plan
            .with_diff(text)
            .predicting(visible(after.clone()))
            .overlaying(place.key(), Some(visible(after))))
    }

    async fn perform(context: &Context, arguments: PatchArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        match world.send(&arguments.request(&place)).await {
            Err(failure) if failure.is_not_found() => Err(place.missing()),
            other => Ok(visible(other?)),
        }
    }

    async fn probe(
        context: &Context,
        arguments: &PatchArguments,
        asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let Some(live) = world.live(&place).await? else { return Ok(Probe::CannotTell) };
        let before = asked.and_then(|undo| undo.arguments.pointer("/states/0/before"));
        if before.is_some_and(|before| *before == essence(&live)) {
            return Ok(Probe::DidNotHappen);
        }
        let again = if arguments.kind == PatchType::Json {
            let Some(before) = before else { return Ok(Probe::CannotTell) };
            local(before, arguments)?
        } else {
            patched(&world, &place, arguments, &live).await?
        };
        let same = essence(&again) == essence(&live);
        Ok(match (same, arguments.kind) {
            (true, _) => Probe::Happened(visible(live)),
            (false, PatchType::Json) => Probe::CannotTell,
            (false, _) => Probe::DidNotHappen,
        })
    }
}

/// The object after the patch: by the server's dry run, or here when the object itself is only planned.
async fn patched(
    world: &World<'_>,
    place: &Place,
    arguments: &PatchArguments,
    before: &Value,
) -> Result<Value, CallError> {
    if world.planned(place).is_some() {
        return local(before, arguments);
    }
    Ok(world.send(&arguments.request(place).dry()).await?)
}

/// The patch done here. Lists of a strategic patch replace the old ones: good enough for an object that does
/// not exist yet.
fn local(before: &Value, arguments: &PatchArguments) -> Result<Value, CallError> {
    let mut after = before.clone();
    if arguments.kind != PatchType::Json {
        json_patch::merge(&mut after, &arguments.patch);
        return Ok(after);
    }
    let wrong = |error: &dyn std::fmt::Display| {
        CallError::new(codes::INVALID, "the JSON patch does not fit").because(error)
    };
    let operations: json_patch::Patch =
        serde_json::from_value(arguments.patch.clone()).map_err(|error| wrong(&error))?;
    json_patch::patch(&mut after, &operations).map_err(|error| wrong(&error))?;
    Ok(after)
}
