//! `apply` and `diff`: server-side apply of one object or many, in waves, and what it would change.

use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::text;
use async_trait::async_trait;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::manifest::{Manifest, wave};
use super::object;
use super::preview::{Preview, place_of, preview, result, server_side_apply};
use super::restore;
use super::world::{Place, World};

/// How long a definition may take to be served.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(60);

/// Arguments of `apply` and `diff`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApplyArguments {
    /// An object, an array of objects, YAML text, or the path of a file or folder below the project.
    manifest: Manifest,
    /// Namespace of objects that name none. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// True: take over fields that other managers own.
    #[serde(default)]
    force: bool,
}

impl ApplyArguments {
    /// The scope when it can be told from the arguments alone.
    fn scope(&self) -> Option<String> {
        let namespace = self.namespace.as_deref().unwrap_or("_");
        match &self.manifest {
            Manifest::Object(object) => {
                super::target::Target::Object(object.clone()).scope(self.namespace.as_deref())
            }
            _ => Some(format!("{namespace}/*")),
        }
    }
}

async fn previews(world: &World<'_>, arguments: &ApplyArguments) -> Result<Vec<Preview>, CallError> {
    let objects = arguments.manifest.objects(&world.context.project)?;
    let namespace = arguments.namespace.as_deref();
    let looks = objects.iter().map(|object| async {
        let place = place_of(world, object, &objects, namespace).await?;
        preview(world, place, object, arguments.force).await
    });
    try_join_all(looks).await
}

/// `apply(manifest, [options])`.
pub(super) struct Apply;

#[async_trait]
impl HostFunction for Apply {
    type Arguments = ApplyArguments;

    fn describe() -> Description {
        Description {
            summary: "Makes objects be as a manifest says, by server-side apply.",
            capability: "k8s:change",
            positional: &["manifest"],
            returns: "array of maps `{kind, name, namespace, action}`; action is `created`, `configured` or `unchanged`",
            undo: "created objects are deleted, changed ones get their state before back; changed Secrets keep their new data, because secrets are not journaled",
            fails_when: "Another manager owns a field (A0307, see `force`), the server refuses an object (A0308), or a kind is not served (A0306).",
            example: r#"k8s::apply(#{ apiVersion: "v1", kind: "ConfigMap", metadata: #{ name: "settings", namespace: "shop" }, data: #{ mode: "fast" } })"#,
            ..Description::of("apply", Effect::Changes)
        }
    }

    fn scope(arguments: &ApplyArguments) -> Option<String> {
        arguments.scope()
    }

    async fn plan(context: &Context, arguments: &ApplyArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let previews = previews(&world, arguments).await?;
        let results = previews.iter().map(|preview| result(&preview.place, preview.action())).collect();
        let diffs: Vec<String> = previews.iter().map(Preview::diff).collect();
        let mut plan =
            Plan::new(summary(&previews)).with_diff(diffs.concat()).predicting(Value::Array(results));
        plan.unchanged = previews.iter().all(|preview| preview.action() == "unchanged");
        plan.overlay = previews.iter().map(Preview::overlay).collect();
        plan.undo = undo(&previews);
        Ok(plan)
    }

    async fn perform(context: &Context, arguments: ApplyArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let objects = arguments.manifest.objects(&context.project)?;
        let mut results = Vec::new();
        for objects in objects.chunk_by(|a, b| wave(a) == wave(b)) {
            let applies = objects.iter().map(|object| apply_one(&world, object, &arguments));
            let places = try_join_all(applies).await?;
            established(&world, &places).await?;
            results.extend(places.iter().map(|(place, action)| result(place, action)));
            context.progress(format!("{} applied", text::count(results.len(), "object")));
        }
        Ok(Value::Array(results))
    }

    async fn probe(
        context: &Context,
        arguments: &ApplyArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let world = World::of(context)?;
        let previews = previews(&world, arguments).await?;
        if previews.iter().any(|preview| preview.action() != "unchanged") {
            return Ok(Probe::DidNotHappen);
        }
        let results = previews.iter().map(|preview| result(&preview.place, "configured")).collect();
        Ok(Probe::Happened(Value::Array(results)))
    }
}

async fn apply_one(
    world: &World<'_>,
    object: &Value,
    arguments: &ApplyArguments,
) -> Result<(Place, &'static str), CallError> {
    let place = place_of(world, object, &[], arguments.namespace.as_deref()).await?;
    let before = world.live(&place).await?;
    let after = server_side_apply(world, &place, object, arguments.force, false).await?;
    let version = |object: &Value| object::text(object, "/metadata/resourceVersion").to_owned();
    let action = match before {
        None => "created",
        Some(before) if version(&before) == version(&after) => "unchanged",
        Some(_) => "configured",
    };
    Ok((place, action))
}

/// Waits until new definitions are served, so that the next wave can use them.
async fn established(world: &World<'_>, places: &[(Place, &str)]) -> Result<(), CallError> {
    let definitions = places.iter().filter(|(place, _)| place.kind.kind == "CustomResourceDefinition");
    let mut any = false;
    for (place, _) in definitions {
        let deadline = tokio::time::Instant::now() + ESTABLISHED_WITHIN;
        while !object::holds(&world.get(place).await?, "Established") {
            if tokio::time::Instant::now() > deadline {
                let message =
                    format!("{} is not served after {} s", place.title(), ESTABLISHED_WITHIN.as_secs());
                return Err(CallError::new(codes::NOT_READY, message).retryable());
            }
            world.context.progress(format!("waiting until `{}` is served", place.name));
            world.context.pause(Duration::from_millis(100)).await;
        }
        any = true;
    }
    if any {
        world.cluster.discover(world.context).await?;
    }
    Ok(())
}

fn summary(previews: &[Preview]) -> String {
    if let [only] = previews {
        return format!("apply {} ({})", only.place.title(), only.action());
    }
    let counts = ["created", "configured", "unchanged"]
        .map(|action| (previews.iter().filter(|preview| preview.action() == action).count(), action));
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, action)| format!("{count} {action}"))
        .collect();
    format!("apply {} ({})", text::count(previews.len(), "object"), counts.join(", "))
}

/// The inverse: what was there is put back, what was not is deleted, in the opposite order.
fn undo(previews: &[Preview]) -> Option<UndoCall> {
    let changed = previews.iter().rev().filter(|preview| preview.action() != "unchanged");
    let states: Vec<Value> =
        changed.filter_map(|preview| restore::state(&preview.place, preview.before.as_ref())).collect();
    restore::undo(states)
}

/// `diff(manifest, [options])`.
pub(super) struct Diff;

#[async_trait]
impl HostFunction for Diff {
    type Arguments = ApplyArguments;

    fn describe() -> Description {
        Description {
            summary: "Tells what `apply` of a manifest would change.",
            capability: "k8s:read",
            positional: &["manifest"],
            returns: "map `{changed: bool, diff: string, objects: array}`; diff is unified, from live to applied; objects as `apply` answers",
            undo: "none: the server is asked with `dryRun=All` and stores nothing",
            fails_when: "The server refuses an object (A0308) or another manager owns a field (A0307), as `apply` would.",
            example: r#"k8s::diff(#{ apiVersion: "v1", kind: "ConfigMap", metadata: #{ name: "settings", namespace: "shop" }, data: #{ mode: "slow" } })"#,
            ..Description::of("diff", Effect::Reads)
        }
    }

    fn scope(arguments: &ApplyArguments) -> Option<String> {
        arguments.scope()
    }

    async fn perform(context: &Context, arguments: ApplyArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let previews = previews(&world, &arguments).await?;
        let diffs: Vec<String> = previews.iter().map(Preview::diff).collect();
        let objects: Vec<Value> =
            previews.iter().map(|preview| result(&preview.place, preview.action())).collect();
        let changed = previews.iter().any(|preview| preview.action() != "unchanged");
        Ok(json!({ "changed": changed, "diff": diffs.concat(), "objects": objects }))
    }
}
