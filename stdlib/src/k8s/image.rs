//! `set_image`: other images for the containers of a workload, waited for as any rollout.

use std::collections::BTreeMap;

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
use super::object::{self, essence, visible};
use super::rollout::rolled_out;
use super::target::Target;
use super::world::{Place, World};

/// Arguments of `set_image`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetImageArguments {
    /// A workload with a pod template: `kind/name`, or an object.
    target: Target,
    /// Image by container name: `#{ web: "shop/web:2" }`.
    images: BTreeMap<String, String>,
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

/// `set_image(target, images, [options])`.
pub(super) struct SetImage;

#[async_trait]
impl HostFunction for SetImage {
    type Arguments = SetImageArguments;

    fn describe() -> Description {
        Description {
            summary: "Sets the images of a workload's containers and waits until they are rolled out.",
            capability: "k8s:change",
            positional: &["target", "images"],
            returns: "map: the workload as it then is",
            undo: "the containers get their images before back",
            fails_when: "The workload has no such container (A0306), or the rollout is not done in time (A0309, with the pods' reasons).",
            example: r#"k8s::set_image("deployment/web", #{ web: "registry.local/web:2" }, #{ namespace: "shop" })"#,
            ..Description::of("set_image", Effect::Changes)
        }
    }

    fn scope(arguments: &SetImageArguments) -> Option<String> {
        arguments.target.scope(arguments.namespace.as_deref())
    }

    async fn plan(context: &Context, arguments: &SetImageArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let live = world.get(&place).await?;
        let (planned, before) = with_images(&live, &place, &arguments.images)?;
        let text = diff(Some(&live), Some(&planned), &place.title());
        let changes: Vec<String> =
            arguments.images.iter().map(|(name, image)| format!("{name} to {image}")).collect();
        let summary = format!("set image of {}: {}", place.title(), changes.join(", "));
        let mut plan = Plan::new(summary).with_diff(text).predicting(visible(planned.clone()));
        plan.unchanged = essence(&planned) == essence(&live);
        if !plan.unchanged {
            plan = plan.with_undo(UndoCall {
                function: "k8s::set_image".to_owned(),
                arguments: json!({ "target": place.target(), "namespace": place.namespace, "images": before }),
                summary: format!("set the images of {} back", place.title()),
            });
        }
        Ok(plan.overlaying(place.key(), Some(visible(planned))))
    }

    async fn perform(context: &Context, arguments: SetImageArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        world
            .modify(&place, |live| {
                let (planned, _) = with_images(live, &place, &arguments.images)?;
                Ok(object::merge_patch(live, &planned))
            })
            .await?;
        rolled_out(&world, place, arguments.wait, arguments.timeout).await
    }

    async fn probe(
        context: &Context,
        arguments: &SetImageArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let live = world.get(&place).await?;
        let (planned, _) = with_images(&live, &place, &arguments.images)?;
        if planned != live {
            return Ok(Probe::DidNotHappen);
        }
        rolled_out(&world, place, arguments.wait, arguments.timeout).await.map(Probe::Happened)
    }
}

/// The workload with other images, and the images it had.
fn with_images(
    live: &Value,
    place: &Place,
    images: &BTreeMap<String, String>,
) -> Result<(Value, Value), CallError> {
    let root = match place.kind.plural.as_str() {
        "pods" => "/spec",
        "cronjobs" => "/spec/jobTemplate/spec/template/spec",
        _ => "/spec/template/spec",
    };
    let (mut planned, mut before) = (live.clone(), json!({}));
    for (name, image) in images {
        let lists = ["containers", "initContainers"].map(|list| format!("{root}/{list}"));
        let index = |list: &String| {
            object::items(live, list).iter().position(|container| container["name"] == **name)
        };
        let Some((list, at)) = lists.iter().find_map(|list| Some((list, index(list)?))) else {
            let names =
                lists.iter().flat_map(|list| object::items(live, list)).filter_map(|c| c["name"].as_str());
            let names: Vec<&str> = names.collect();
            let error =
                CallError::new(codes::NOT_FOUND, format!("{} has no container `{name}`", place.title()));
            return Err(error.hint(format!("it has {}", aegis_engine::text::list(&names))));
        };
        if let Some(container) = planned.pointer_mut(&format!("{list}/{at}")) {
            before[name] = container["image"].take();
            container["image"] = json!(image);
        }
    }
    Ok((planned, before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::kinds::tests::deployments;

    #[test]
    fn images_are_set_by_container_and_remembered() {
        let place = Place { kind: deployments(), namespace: Some("shop".to_owned()), name: "web".to_owned() };
        let live = json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]}}}});
        let images = [("b".to_owned(), "b:2".to_owned())].into();
        let (planned, before) = with_images(&live, &place, &images).unwrap();
        assert_eq!(planned["spec"]["template"]["spec"]["containers"][1]["image"], "b:2");
        assert_eq!(before, json!({"b": "b:1"}));
        let error = with_images(&live, &place, &[("c".to_owned(), "c".to_owned())].into()).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("it has `a` and `b`"));
    }
}
